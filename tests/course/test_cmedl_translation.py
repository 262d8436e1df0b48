"""The translation report: translators of known failure are called by their name."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from medkd_lib.course.experiments.cmedl_translation import (
    AIR,
    MOST_CORRELATION,
    patient_outline,
    translation_report,
)
from medkd_lib.data.sections import Sections

PATIENTS, SLICES, SIDE = 8, 2, 32
# intensity of air, body, organ, tumour; on CT the tumour hardly differs from the organ
CT, MR = (-1.0, 0.1, 0.2, 0.23), (-1.0, -0.3, 0.2, 0.9)


def labels(name: str) -> np.ndarray:
    """Ovals within each other, different in every patient, ``(N, H, W)``."""
    rng = np.random.default_rng([ord(c) for c in name])
    n = PATIENTS * SLICES
    rows, columns = np.mgrid[:SIDE, :SIDE]
    found = np.zeros((n, SIDE, SIDE), int)
    shift = np.repeat(rng.normal(0, 1.5, (PATIENTS, 2)), SLICES, axis=0)
    for label, radius in ((1, 13), (2, 8), (3, 3)):
        size = radius + np.repeat(rng.normal(0, 0.6, (PATIENTS, 2)), SLICES, axis=0)
        y = (rows - 15.5 - shift[:, :1, None]) / size[:, :1, None]
        x = (columns - 15.5 - shift[:, 1:, None]) / size[:, 1:, None]
        found[y**2 + x**2 < 1] = label
    return found


def scan(of: np.ndarray, tissue: tuple[float, ...], seed: int) -> Tensor:
    noise = np.random.default_rng(seed).normal(0, 0.02, of.shape)
    return torch.from_numpy(np.clip(np.array(tissue)[of] + noise, -1, 1)[:, None]).float()


def sections(name: str, modalities: dict[str, tuple[float, ...]]) -> Sections:
    of = labels(name)
    images = {m: scan(of, tissue, number) for number, (m, tissue) in enumerate(modalities.items())}
    patients = tuple(f"{name}{n // SLICES}" for n in range(len(of)))
    ids = tuple(f"{p}/k{n % SLICES:03d}" for n, p in enumerate(patients))
    masks = torch.from_numpy((of == 3).astype(np.uint8))
    return Sections(images, masks, patients, ids, (2.0, 2.0, 5.0), {}, name)


source = sections("test", {"ct": CT, "mr": MR})
teaching = sections("other", {"mr": MR})


def report(pseudo: Tensor, of: Sections = source) -> dict[str, float]:
    found = translation_report(
        pseudo, of, teaching, student="ct", teacher="mr", teacher_dice=0.5
    )  # fmt: skip
    assert all(isinstance(v, float) and np.isfinite(v) for v in found.values()), found
    return found


def painted(tissue: tuple[float, ...]) -> Tensor:
    """Return a translation that gives every tissue its own value."""
    return scan(labels("test"), tissue, 9)


def test_a_true_translation_has_no_flag_and_the_true_contrast() -> None:
    found = report(source.images["mr"])
    assert (found["collapsed"], found["copied"]) == (0, 0)
    assert found["mae"] == found["mae_tumour"] == 0
    assert found["contrast_pseudo"] == found["contrast_true"] == pytest.approx(0.7, abs=0.15)
    assert found["contrast_teaching"] == pytest.approx(found["contrast_true"], abs=0.05)
    assert found["variance_ratio"] == pytest.approx(1, abs=0.6)
    assert found["true_correlation"] < MOST_CORRELATION
    assert found["teacher_dice"] == 0.5


@pytest.mark.parametrize("contrast", [1.0, 0.7])
def test_the_identity_is_a_copy(contrast: float) -> None:
    """A copy that is only darker is one, too."""
    found = report(contrast * source.images["ct"])
    assert (found["collapsed"], found["copied"]) == (0, 1)
    assert found["source_correlation"] > 0.999
    if contrast == 1:
        assert found["moved"] == 0
        assert found["contrast_pseudo"] == found["contrast_source"]
        assert found["mae"] == found["copy_mae"]
        assert found["mae_tumour"] == found["copy_mae_tumour"]


def test_one_picture_for_all_is_a_collapse() -> None:
    constant = source.images["mr"][:1].repeat(len(source), 1, 1, 1)
    found = report(constant)
    assert (found["collapsed"], found["copied"]) == (1, 0)
    assert found["variance_ratio"] == pytest.approx(0, abs=1e-9)


def test_a_lost_tumour_has_no_flag_and_no_contrast() -> None:
    """Everything right but the tumour: only the contrast and the error inside it tell."""
    lost = report(painted((*MR[:3], MR[2])))
    assert (lost["collapsed"], lost["copied"]) == (0, 0)
    assert abs(lost["contrast_pseudo"]) < 0.3 * lost["contrast_true"]
    assert lost["mae_tumour"] == pytest.approx(0.7, abs=0.05)
    assert lost["mae"] < 0.1 * lost["mae_tumour"]
    kept = report(painted(MR))
    assert kept["histogram_kl"] < lost["histogram_kl"]


def test_without_a_truth_what_needs_one_is_absent() -> None:
    unpaired = replace(source, images={"ct": source.images["ct"]})
    found, full = report(source.images["mr"], unpaired), report(source.images["mr"])
    assert set(full) - set(found) == {
        "contrast_true", "soft_true", "true_correlation", "mae", "mae_tumour", "copy_mae",
        "copy_mae_tumour",
    }  # fmt: skip
    assert all(found[name] == full[name] for name in found)


def test_beside_a_lung_only_soft_tissue_tells_what_ct_lacks() -> None:
    """The organ is a lung but for its right half: tumour and half are alike on CT."""
    of = labels("test")
    of[:, :, :16][of[:, :, :16] == 2] = 0
    lung = replace(
        source, images={"ct": scan(of, (-1, 0.1, 0.2, 0.2), 0), "mr": scan(of, MR, 1)}
    )  # fmt: skip
    found = report(lung.images["mr"], lung)
    assert found["contrast_source"] > 0.3
    assert found["soft_source"] == pytest.approx(0, abs=0.05)
    assert found["soft_pseudo"] == found["soft_true"] > 0.6
    # half of what is around the tumour becomes rib: bright on CT, dark on MR, and not compared
    rib = torch.from_numpy((of == 2)[:, None]) & (torch.arange(SIDE)[:, None] < SIDE // 2)
    ct, mr = (torch.where(rib, x, lung.images[m]) for m, x in (("ct", 0.9), ("mr", -0.8)))
    ribs = replace(lung, images={"ct": ct, "mr": mr})
    beside_ribs = report(mr, ribs)
    assert beside_ribs["soft_source"] == pytest.approx(found["soft_source"], abs=0.1)
    assert beside_ribs["soft_true"] == pytest.approx(found["soft_true"], abs=0.1)
    # all that is left is a thin wall far from the tumour
    away = np.stack([ndimage.distance_transform_edt(section != 3) for section in of])
    near = (away > 0) & (away < 7)
    ct = torch.where(torch.from_numpy(near)[:, None], -1.0, lung.images["ct"])
    alone = replace(lung, images={"ct": ct, "mr": lung.images["mr"]})
    assert not [name for name in report(lung.images["mr"], alone) if name.startswith("soft")]


def test_every_patient_counts_once() -> None:
    """One patient's sections, repeated, change no mean over patients."""
    pseudo = painted((-1.0, -0.1, 0.4, 0.5))
    rows = [*range(len(source)), *[0, 1] * 20]
    twice = source.rows(rows)
    once, again = report(pseudo), report(pseudo[rows], twice)
    for name in ("contrast_source", "contrast_pseudo", "contrast_true", "mae", "mae_tumour"):
        assert again[name] == pytest.approx(once[name], rel=1e-6)


def test_the_outline_holds_lungs_and_no_specks() -> None:
    image = np.full((1, 20, 20), -1.0)
    image[0, 4:16, 4:16] = 0.0
    image[0, 8:12, 8:12] = -1.0  # a lung
    image[0, 1, 1] = 0.5
    image[0, 18, :2] = AIR + 0.1
    inside = patient_outline(image)
    assert inside.sum() == 12 * 12 and inside[0, 4:16, 4:16].all()


def test_errors_name_what_is_wrong() -> None:
    pseudo = source.images["mr"]
    with pytest.raises(ValueError, match=r"expected \(16, 1, 32, 32\) like its sources"):
        report(pseudo[1:])
    with pytest.raises(ValueError, match=r"target: expected sections that show 'pet'"):
        translation_report(
            pseudo, source, teaching, student="ct", teacher="pet", teacher_dice=0.5
        )  # fmt: skip
    with pytest.raises(ValueError, match=r"teacher_dice: expected a number in \[0, 1\], found nan"):
        translation_report(
            pseudo, source, teaching, student="ct", teacher="mr", teacher_dice=float("nan")
        )  # fmt: skip
    with pytest.raises(ValueError, match="expected a tumour with a ring"):
        report(pseudo, replace(source, masks=torch.zeros_like(source.masks)))
