"""Sections of the chest twins: whole tumours, upright patients, and an MR of the very same body."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from medkd_lib.course.experiments.lung_sections import (
    COARSE,
    framed,
    lung_sections,
    recipe,
    true_mr,
)
from medkd_lib.data.index import Index, index
from medkd_lib.data.manifest import load_manifest
from medkd_lib.data.sections import Sections
from medkd_lib.data.volume import Volume
from medkd_lib.data.volumes import Volumes
from medkd_lib.evaluate.stack import volumes
from medkd_lib.phantom.chest_cohort import pair_of
from medkd_lib.phantom.lung_mr import write_lung_mr
from medkd_lib.phantom.msd_lung import write_msd_lung
from medkd_lib.phantom.nsclc import write_nsclc

SEED = 3


@pytest.fixture(scope="module")
def ct_twin(tmp_path_factory: pytest.TempPathFactory) -> Index:
    out = write_msd_lung(tmp_path_factory.mktemp("twin") / "ct", patients=3, seed=SEED)
    return index(load_manifest("msd_task06_lung"), out)


@pytest.fixture(scope="module")
def mr_twin(tmp_path_factory: pytest.TempPathFactory) -> Index:
    out = write_lung_mr(tmp_path_factory.mktemp("twin") / "mr", patients=2, seed=SEED)
    return index(load_manifest("cmedl_private_mr_cohort"), out)


@pytest.fixture(scope="module")
def ct(ct_twin: Index) -> Sections:
    return lung_sections(ct_twin, "ct")


@pytest.fixture(scope="module")
def mr(mr_twin: Index) -> Sections:
    return lung_sections(mr_twin, "mr")


def test_sections_have_one_size_one_spacing_and_one_scale(ct: Sections, mr: Sections) -> None:
    width, height = COARSE.shape
    for modality, sections in (("ct", ct), ("mr", mr)):
        image = sections.images[modality]
        assert image.shape == (len(sections), 1, height, width) and image.dtype == torch.float32
        assert sections.masks.shape == (len(sections), height, width)
        assert image.min() >= -1 and image.max() <= 1 and image.std() > 0.3
        assert sections.spacing_mm == COARSE.spacing_mm
        assert set(sections.masks.unique().tolist()) == {0, 1}


def test_every_case_and_every_slice_is_there(ct_twin: Index, mr_twin: Index) -> None:
    for found, modality in ((ct_twin, "ct"), (mr_twin, "mr")):
        sections = lung_sections(found, modality)
        cases = Volumes(found.manifest, found.cases, recipe(modality))
        expected = [
            (f"{c.case.id}/k{k:03d}", c.case.patient)
            for c in map(cases.__getitem__, range(len(cases)))
            for k in range(c.image.shape[3])
        ]
        assert list(zip(sections.ids, sections.patients, strict=True)) == expected
    # weekly scans are cases of one patient, whom a split keeps together
    assert len(mr_twin.cases) > len(set(sections.patients)) == 2


def test_the_frame_cuts_nothing_off_a_tumour(ct_twin: Index, mr_twin: Index) -> None:
    for found, modality in ((ct_twin, "ct"), (mr_twin, "mr")):
        sections = lung_sections(found, modality)
        cases = Volumes(found.manifest, found.cases, recipe(modality))
        stacked = volumes(sections.masks, sections.ids)
        facts = dict(zip(sections.ids, sections.facts["volume_ml"], strict=True))
        for row in range(len(cases)):
            prepared = cases[row]
            assert prepared.mask is not None
            voxels = int((prepared.mask > 0).sum())
            assert int(stacked[prepared.case.id].sum()) == voxels > 0
            # and it is the tumour that the phantom's table tells of
            told = facts[f"{prepared.case.id}/k000"]
            assert voxels * COARSE.pixel_mm**2 * COARSE.slice_mm / 1000 == pytest.approx(
                told, rel=0.15
            )


def test_regions_of_dicom_files_make_sections_as_masks_do(tmp_path: Path) -> None:
    """``nsclc_radiomics`` tells its tumour by name, in DICOM files; it is a mask all the same."""
    found = index(load_manifest("nsclc_radiomics"), write_nsclc(tmp_path / "nsclc", patients=2))
    sections = lung_sections(found, "ct")
    width, height = COARSE.shape
    assert sections.images["ct"].shape == (len(sections), 1, height, width)
    assert sorted(set(sections.patients)) == ["LUNG1-001", "LUNG1-002"]
    stacked = volumes(sections.masks, sections.ids)
    told = dict(zip(sections.ids, sections.facts["volume_ml"], strict=True))
    for case in found.cases:
        volume_ml = stacked[case.id].sum() * COARSE.pixel_mm**2 * COARSE.slice_mm / 1000
        assert volume_ml == pytest.approx(told[f"{case.id}/k000"], rel=0.15)
    # and it lies where the phantom put it in the MR that nobody took
    truth = true_mr(found, difficulty="subtle")
    pair = pair_of("nsclc_radiomics", 1, seed=0, difficulty="subtle")
    scans = {"mr": Volume(pair.t2w, pair.affine), "seg": Volume(pair.label, pair.affine, "label")}
    prepared = recipe("mr").apply(scans)
    mask = framed(prepared["mask"], 0)
    mine = sections.of(["LUNG1-002"])
    assert torch.equal(mine.masks, mask)
    assert torch.equal(truth[1], framed(2 * prepared["image"][0].float() - 1, -1.0))
    assert len(truth[0]) + len(truth[1]) == len(sections)


def test_the_frame_keeps_the_middle_and_stands_upright() -> None:
    volume = torch.zeros(100, 60, 2)  # LPS: from right to left, from front to back, upwards
    volume[50, 30] = 1
    volume[50, 3, 1] = 2  # in front, beyond nothing: 60 rows become 56
    volume[12, 30, 1] = 3  # on the patient's right
    out = framed(volume, -1.0)
    assert out.shape == (2, *COARSE.shape[::-1])
    assert (out[0] == 1).nonzero().tolist() == [[28, 40]]
    assert (out[1] == 2).nonzero().tolist() == [[1, 40]]  # at the top
    assert (out[1] == 3).nonzero().tolist() == [[28, 2]]  # at the picture's left
    small = framed(torch.zeros(10, 10, 1), -1.0)
    assert (small == 0).sum() == 100
    assert (small[0, 23:33, 35:45] == 0).all()


def test_fewer_slices_are_spread_evenly(ct_twin: Index, ct: Sections) -> None:
    few = lung_sections(ct_twin, "ct", slices=5)
    assert len(few) == 15 and few.fingerprint != ct.fingerprint
    for case in ct_twin.cases:
        numbers = [int(i[-3:]) for i in few.ids if i.startswith(f"{case.id}/")]
        depth = sum(i.startswith(f"{case.id}/") for i in ct.ids)
        assert numbers[0] == 0 and numbers[-1] == depth - 1
        assert np.ptp(np.diff(numbers)) <= 1
    row = ct.ids.index(few.ids[1])
    assert torch.equal(few.images["ct"][1], ct.images["ct"][row])
    assert len(lung_sections(ct_twin, "ct", slices=1000)) == len(ct)


def edges(images: Tensor) -> Tensor:
    """Return how fast the intensity changes at each pixel, ``(N, H - 2, W - 2)``."""
    down = images[:, 2:, 1:-1] - images[:, :-2, 1:-1]
    along = images[:, 1:-1, 2:] - images[:, 1:-1, :-2]
    return (down**2 + along**2).sqrt()


def alike(ct: Tensor, mr: Tensor) -> float:
    """Return how well the edges of two scans coincide: the body's, the heart's, the tumour's."""
    both = torch.stack([edges(ct).flatten(), edges(mr).flatten()])
    return float(torch.corrcoef(both)[0, 1])


def test_the_true_mr_is_of_the_same_body_on_the_same_grid(ct_twin: Index, ct: Sections) -> None:
    truth = true_mr(ct_twin, difficulty="subtle", seed=SEED)
    assert [len(t) for t in truth] == [
        sum(i.startswith(f"{case.id}/") for i in ct.ids) for case in ct_twin.cases
    ]
    stacked, image = torch.cat(truth), ct.images["ct"][:, 0]
    assert stacked.shape == ct.masks.shape
    together = alike(image, stacked)
    assert together > 0.3
    # a grid that is one pixel or slice off fits worse, whichever way
    for axis, step in ((0, 1), (0, -1), (1, 1), (1, -1), (2, 1), (2, -1)):
        assert alike(image, stacked.roll(step, dims=axis)) < together - 0.02, (axis, step)
    # the tumour of the CT's label is bright on T2w
    tumour = ct.masks > 0
    assert stacked[tumour].mean() > stacked[~tumour & (image > -0.9)].mean() + 0.2


def test_each_true_mr_is_of_its_own_patient(ct_twin: Index, ct: Sections) -> None:
    truth = true_mr(ct_twin, difficulty="subtle", seed=SEED)
    bodies = [ct.of([case.patient]).images["ct"][:, 0] for case in ct_twin.cases]
    # on the middle slices, of which every patient has some
    found = np.array([[alike(b[5:11], t[5:11]) for t in truth] for b in bodies])
    assert (found.argmax(axis=1) == np.arange(3)).all()
    # another twin's seed is another patient
    stranger = true_mr(replace(ct_twin, cases=ct_twin.cases[:1]), difficulty="subtle", seed=9)
    assert stranger[0].shape != truth[0].shape or not torch.equal(stranger[0], truth[0])


def test_reality_has_no_true_mr(ct_twin: Index, mr_twin: Index, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected the twin of a CT set of chests, found cmedl_p"):
        true_mr(mr_twin, difficulty="subtle", seed=SEED)
    with pytest.raises(ValueError, match="reality has no MR of these patients"):
        true_mr(replace(ct_twin, root=tmp_path), difficulty="subtle", seed=SEED)


def test_what_nobody_knows_is_nan(ct_twin: Index, tmp_path: Path) -> None:
    (tmp_path / "Task06_Lung").symlink_to(ct_twin.root / "Task06_Lung")
    real = index(ct_twin.manifest, tmp_path)  # as a release: without the phantom's table
    sections = lung_sections(real, "ct", slices=2)
    assert np.isnan(sections.facts["volume_ml"]).all() and len(sections) == 6
