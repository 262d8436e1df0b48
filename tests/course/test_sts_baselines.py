"""The row without voxels and plain features: fair folds, and what the real set says."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage

from medkd_lib.course.experiments.sts_baselines import (
    baseline_table,
    image_features,
    place_alone,
    place_features,
    scores_by_folds,
)
from medkd_lib.course.experiments.sts_blocks import SHAPE, sts_blocks
from medkd_lib.course.experiments.sts_scans import PHOTONS
from medkd_lib.course.experiments.sts_sections import PIXEL_MM, SLICE_MM
from medkd_lib.data.blocks import Blocks
from medkd_lib.data.index import index
from medkd_lib.data.manifest import load_manifest
from medkd_lib.data.recipe import Recipe
from medkd_lib.data.volumes import Prepared, Volumes
from medkd_lib.evaluate.auc import auc_table
from tests.course.own_photons import own_photons

PATIENTS = tuple(f"P{n // 6:02d}" for n in range(120))


def planted(seed: int) -> Blocks:
    """Blocks whose PET tells the class, whose CT tells nothing, and whose place tells a little."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, 120)
    images = {n: torch.from_numpy(rng.normal(size=(120, 1, 2, 4, 4))) for n in ("ct", "pet")}
    images["pet"] += 2.0 * torch.from_numpy(label)[:, None, None, None, None]
    facts = {f"extent_{a}_mm": np.full(120, 100.0) for a in "zyx"}
    facts |= {f"offset_{a}_mm": rng.normal(size=120) for a in "zyx"}
    facts["offset_z_mm"] = facts["offset_z_mm"] * np.where(label, 1.0, 3.0)
    return Blocks(
        {n: x.half() for n, x in images.items()}, torch.zeros(120, 2, 4, 4, dtype=torch.uint8),
        ("core",), torch.from_numpy(label), PATIENTS, tuple(map(str, range(120))), (1.0, 1.0, 1.0),
        facts, "planted",
    )  # fmt: skip


def test_rows_find_what_was_planted_and_no_more() -> None:
    table = baseline_table(planted(0)).set_index("row")
    assert list(table.index) == ["geometry", "ct", "pet", "ct + pet"]
    assert table.auc["pet"] > 0.99 and table.auc["ct + pet"] > 0.99
    assert table.low["ct"] < 0.5 < table.high["ct"]
    assert 0.65 < table.auc["geometry"] < 0.95 and table.low["geometry"] > 0.5
    assert ((table.low <= table.auc) & (table.auc <= table.high)).all()


def test_features_are_these_numbers() -> None:
    made = planted(1)
    ct = made.images["ct"].double().flatten(1).numpy()
    features = image_features(made, ("pet", "ct"))
    assert features.shape == (120, 22)
    assert np.allclose(features[:, 11], ct.mean(1), atol=1e-5)
    assert np.allclose(features[:, 12], ct.std(1), atol=1e-5)
    assert np.allclose(features[:, 13], ct.max(1))
    # from -0.5 up to -0.25 is the third of eight; the outer two have no end
    assert np.allclose(features[:, 16], ((ct >= -0.5) & (ct < -0.25)).mean(1))
    assert np.allclose(features[:, 14], (ct < -0.75).mean(1))
    assert np.allclose(features[:, 14:].sum(1), 1)
    place = place_features(made)
    assert np.allclose(place[:, 3], np.abs(made.facts["offset_z_mm"]))
    assert np.allclose(place[:, 6], place[:, 3] / 100)


def test_nobody_is_scored_by_a_fit_that_saw_the_same_patient() -> None:
    """Columns that name the patient tell a class that is a trait of the patient; not here."""
    names = sorted(set(PATIENTS))
    who = np.array([names.index(p) for p in PATIENTS])
    label = (who % 2).astype(np.int64)
    scores = scores_by_folds(np.eye(len(names))[who], label, PATIENTS)
    assert np.isfinite(scores.probabilities).all()
    assert auc_table(scores, ("no", "yes"))["yes"].value <= 0.6
    # a column that tells the class of strangers is used
    known = scores_by_folds(label[:, None].astype(float), label, PATIENTS)
    assert auc_table(known, ("no", "yes"))["yes"].value == 1.0


def test_a_fold_that_leaves_one_class_is_told() -> None:
    label = np.zeros(120, np.int64)
    with pytest.raises(ValueError, match=r"expected two classes .* found \[0\]; add patients"):
        scores_by_folds(np.ones((120, 1)), label, PATIENTS)


def test_place_alone_learns_from_some_patients_and_is_asked_about_others() -> None:
    made = planted(2)
    train, test = made.of(sorted(set(PATIENTS))[:12]), made.of(sorted(set(PATIENTS))[12:])
    answer = place_alone(train, test)
    assert answer.patients == test.patients and answer.probabilities.shape == (len(test), 2)
    assert np.allclose(answer.probabilities.sum(1), 1)
    # near the middle, as planted
    far = np.abs(test.facts["offset_z_mm"])
    assert np.corrcoef(far, answer.probabilities[:, 1])[0, 1] < -0.6
    # no voxel has a say, and no label of those who are asked
    blind = replace(
        test, images={n: torch.zeros_like(x) for n, x in test.images.items()},
        labels=1 - test.labels,
    )  # fmt: skip
    assert np.array_equal(place_alone(train, blind).probabilities, answer.probabilities)


CALIBRATED = Recipe(
    ("ct",), "ct_mask", spacing_mm=(PIXEL_MM, PIXEL_MM, SLICE_MM), intensity="as_stored"
)


@pytest.fixture(scope="module")
def real(real_data: Path) -> Path:
    if not (real_data / "sts_petctmr").is_dir():
        pytest.skip(f"{real_data} has no sts_petctmr")
    return real_data / "sts_petctmr"


def test_on_patients_pet_knows_the_target_better_than_ct(real: Path) -> None:
    made = sts_blocks(index(load_manifest("sts_petctmr"), real))
    assert len(made) == 21 * 12 and made.regions.shape[1:] == SHAPE
    assert 0.4 < float(made.labels.double().mean()) < 0.6
    table = baseline_table(made).set_index("row")
    assert table.low["pet"] > table.high["ct"] and table.auc["pet"] > 0.9
    assert table.low["ct"] > 0.5
    # the reason why this row is in every table: no network sees the place, and it tells a lot
    assert table.low["geometry"] > table.auc["ct"]


def test_full_dose_is_where_the_patients_own_noise_arises(real: Path) -> None:
    """PHOTONS, measured anew: muscle that two slices share, their difference over √2."""
    found = index(load_manifest("sts_petctmr"), real)
    volumes = Volumes(found.manifest, found.cases, CALIBRATED)
    own = [_own_photons(volumes[n]) for n in range(len(volumes))]
    assert np.median(own) == pytest.approx(PHOTONS, rel=0.1)
    assert np.percentile(own, 25) < PHOTONS < np.percentile(own, 75)


def _own_photons(prepared: Prepared) -> float:
    """Return the I0 at which a patient's own noise would arise, told from muscle."""
    assert prepared.mask is not None
    hu = prepared.image[0].permute(2, 1, 0).float().contiguous()
    tumour = prepared.mask.permute(2, 1, 0).numpy() > 0
    smooth = ndimage.gaussian_filter(hu.numpy(), (1, 1.5, 1.5))
    muscle = (smooth > 10) & (smooth < 110) & ~tumour
    muscle = ndimage.binary_erosion(muscle, np.ones((1, 5, 5)))
    return own_photons(hu, muscle, PIXEL_MM)
