"""Boxes around phantom livers: in place, told from the liver, noisier at lower doses, no leaks."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage

from medkd_lib.course.experiments.liver_blocks import (
    DOSES,
    MARGIN,
    UNIT_HU,
    label_ids,
    liver_blocks,
    recipe_of,
    voxels_of,
)
from medkd_lib.course.experiments.liver_frame import COARSE_LIVER, LiverFrame
from medkd_lib.course.experiments.react_cohort import middle
from medkd_lib.data.blocks import Blocks
from medkd_lib.data.index import Index, index
from medkd_lib.data.manifest import load_manifest
from medkd_lib.data.volumes import Volumes
from medkd_lib.phantom.low_dose_fast import noise_std
from medkd_lib.phantom.twin import make_twin
from tests.course.own_photons import own_photons

PATIENTS = 3
# A median of as many is within a quarter of all patients'.
MEASURED = 8


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Index]:
    """Return the twins of both hospitals."""
    found = {}
    for name in ("react_kd_private_cohort", "hcc_tace_seg"):
        manifest = load_manifest(name)
        out = tmp_path_factory.mktemp("twins") / name
        make_twin(manifest, out, patients=PATIENTS, difficulty="clear", seed=3)
        found[name] = index(manifest, out)
    return found


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep the cache of these tests to themselves."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("home")
        patch.setenv("MEDKD_HOME", str(folder))
        yield folder


@pytest.fixture(scope="module")
def boxes(twins: dict[str, Index], home: Path) -> Blocks:
    """Return the boxes of the cohort."""
    return liver_blocks(twins["react_kd_private_cohort"])


def test_a_box_holds_the_whole_liver_and_its_masses(boxes: Blocks) -> None:
    assert boxes.regions.shape[1:] == tuple(n + 2 * MARGIN for n in COARSE_LIVER.shape)
    cut = middle(boxes, COARSE_LIVER.shape)
    for part in (boxes, cut):
        there = {part.region_names[int(n) - 1] for n in part.regions.unique() if n}
        assert {f"liver segment {n}" for n in ("I", "IV", "VIII")} <= there
    # next to nothing of the masses is lost by the cut
    roi = [float(x.images["roi"].sum()) for x in (boxes, cut)]
    assert roi[1] >= 0.99 * roi[0] > 0


def test_everything_is_told_from_the_patients_own_liver(boxes: Blocks) -> None:
    parenchyma = (boxes.regions > 0) & (boxes.regions <= 8)
    for n in range(PATIENTS):
        here = parenchyma[n]
        assert abs(float(boxes.images["ct"][n, 0][here].float().median())) < 0.1
        for tracer in ("fdg", "acetate"):
            assert abs(float(boxes.images[tracer][n, 0][here].float().median())) < 0.05
    outside = boxes.regions == 0
    for name, image in boxes.images.items():
        assert not image[:, 0][outside & (boxes.images["roi"][:, 0] == 0)].any(), name


def test_the_region_of_interest_is_the_masses(boxes: Blocks) -> None:
    masses = torch.isin(
        boxes.regions,
        torch.tensor([n for n, x in enumerate(boxes.region_names, 1) if x.startswith("tumour")]),
    )
    roi = boxes.images["roi"][:, 0].bool()
    # specks below the least size are pooled over, and are no node
    assert bool((masses <= roi).all())
    assert float((roi & ~masses).sum()) <= 0.02 * float(roi.sum())
    millilitres = masses.flatten(1).sum(1) * COARSE_LIVER.spacing_mm**3 / 1000
    assert np.allclose(boxes.facts["tumour_ml"], millilitres)


def test_lower_doses_are_noisier_and_each_patient_has_its_own_noise(boxes: Blocks) -> None:
    parenchyma = (boxes.regions > 0) & (boxes.regions <= 8)
    full = boxes.images["ct"].float()[:, 0]
    spread = [float(full[parenchyma].std())]
    for name in DOSES:
        image = boxes.images[name].float()[:, 0]
        spread.append(float(image[parenchyma].std()))
        added = image - full
        one, other = (added[n][parenchyma[0] & parenchyma[1]] for n in (0, 1))
        assert abs(float(torch.corrcoef(torch.stack([one, other]))[0, 1])) < 0.2
    assert spread == sorted(spread) and spread[-1] > 1.5 * spread[0]
    assert 8 < spread[0] * UNIT_HU < 25


def test_the_other_hospital_has_ct_alone(twins: dict[str, Index], home: Path) -> None:
    boxes = liver_blocks(twins["hcc_tace_seg"])
    assert set(boxes.images) == {"ct", *DOSES, "roi"}
    assert len(boxes) == PATIENTS and float(boxes.images["roi"].sum()) > 0


def test_a_second_look_is_from_the_cache_and_the_same(
    twins: dict[str, Index], boxes: Blocks
) -> None:
    again = liver_blocks(twins["react_kd_private_cohort"])
    assert again.fingerprint == boxes.fingerprint
    assert all(torch.equal(again.images[n], x) for n, x in boxes.images.items())


@pytest.mark.parametrize("name", ["react_kd_private_cohort", "hcc_tace_seg"])
def test_full_dose_is_where_the_scans_own_noise_arises(
    name: str, home: Path, tmp_path: Path
) -> None:
    """I0 of either hospital, measured anew: livers that two slices share."""
    out, manifest = tmp_path / name, load_manifest(name)
    make_twin(manifest, out, patients=MEASURED, difficulty="subtle", seed=5)
    found, frame = index(manifest, out), COARSE_LIVER
    volumes, values = Volumes(manifest, found.cases, recipe_of(found, frame)), label_ids(found)
    own = []
    for n in range(MEASURED):
        mask = volumes[n].mask
        assert mask is not None
        liver = voxels_of(mask.permute(2, 1, 0).numpy(), values, "liver")
        even = ndimage.binary_erosion(liver, np.ones((1, 3, 3)))
        hu = volumes[n].image[0].permute(2, 1, 0).float().contiguous()
        own.append(own_photons(hu, even, frame.spacing_mm))
    told = frame.dose(name, 0.5).source_photons
    assert told is not None
    # 1.6 times too much or too little is seen
    assert told / 1.25 < np.median(own) < told * 1.25


def test_a_share_of_the_dose_is_a_share_of_the_scans_own() -> None:
    """Half the dose adds the noise that the scan has, wherever it comes from."""
    frame = LiverFrame(photons=1e4, photons_elsewhere=9e4)
    water = torch.full((1, 48, 48), -1000.0)
    water[:, 8:40, 8:40] = 0.0
    added = [
        float(noise_std(water, frame.spacing_mm, frame.dose(name, 0.5))[0, 24, 24])
        for name in ("react_kd_private_cohort", "hcc_tace_seg")
    ]
    # quantum and electronic noise keep their shares
    assert added[0] == pytest.approx(3 * added[1], rel=0.1)
    with pytest.raises(ValueError, match="found 'kits23'; measure its I0"):
        frame.dose("kits23", 0.5)
