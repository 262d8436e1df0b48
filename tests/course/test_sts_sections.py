"""Sections of the sarcoma twin: windows of one size, inside what all three scanners saw."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from medkd_lib.course.experiments import sts_sections as module
from medkd_lib.course.experiments.sts_sections import (
    MODALITIES,
    PIXEL_MM,
    RECIPE,
    SLICE_MM,
    WINDOW_MM,
    common_field,
    sts_sections,
)
from medkd_lib.data.index import Index, index
from medkd_lib.data.manifest import load_manifest
from medkd_lib.data.sections import Sections
from medkd_lib.data.volumes import Prepared, Volumes
from medkd_lib.evaluate.stack import volumes
from medkd_lib.phantom.sts import write_sts

SIDE = round(WINDOW_MM / PIXEL_MM)
Corners = list[tuple[int, int, int]]


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Index:
    out = write_sts(tmp_path_factory.mktemp("twin") / "sts", patients=3, seed=3)
    return index(load_manifest("sts_petctmr"), out)


@pytest.fixture(scope="module")
def still(twin: Index) -> Sections:
    return sts_sections(twin, moving=False, seed=0)


@pytest.fixture(scope="module")
def moving(twin: Index) -> Sections:
    return sts_sections(twin, moving=True, seed=0)


def corners_of(twin: Index, moving: bool) -> dict[str, Corners]:
    """Return where each patient's windows begin: slice, I and J."""
    seen: dict[str, Corners] = {}
    cut = module._cut

    def spy(prepared: Prepared, corners: Corners, side: int) -> Sections:
        seen[prepared.case.patient] = corners
        return cut(prepared, corners, side)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_cut", spy)
        sts_sections(twin, moving=moving, seed=0)
    return seen


def test_windows_have_one_size_one_spacing_and_one_scale(still: Sections, moving: Sections) -> None:
    for sections in (still, moving):
        assert tuple(sections.images) == MODALITIES
        for image in sections.images.values():
            assert image.shape == (len(sections), 1, SIDE, SIDE)
            assert image.min() >= -1 and image.max() <= 1
        assert sections.spacing_mm == (PIXEL_MM, PIXEL_MM, SLICE_MM)
        assert set(sections.masks.unique().tolist()) == {0, 1}
        assert len(set(sections.ids)) == len(sections)


def test_no_patient_of_the_twin_is_lost(twin: Index, still: Sections, moving: Sections) -> None:
    for sections in (still, moving):
        assert set(sections.patients) == {case.patient for case in twin.cases}


@pytest.mark.parametrize("how", [True, False])
def test_every_window_lies_in_the_common_field(twin: Index, how: bool) -> None:
    corners = corners_of(twin, how)
    cases = Volumes(twin.manifest, twin.cases, RECIPE)
    for row in range(len(cases)):
        prepared = cases[row]
        field = common_field(twin, prepared)
        # or the question would be none
        assert 0.1 < field.mean() < 0.9
        for k, i, j in corners[prepared.case.patient]:
            assert field[i : i + SIDE, j : j + SIDE, k].all()


def test_windows_move_in_training_and_stand_still_in_a_test(twin: Index) -> None:
    still, moving = (corners_of(twin, how) for how in (False, True))
    for patient, corners in still.items():
        assert len({(i, j) for _, i, j in corners}) == 1
        assert len({(i, j) for _, i, j in moving[patient]}) > 5
        # training uses every slice on which a window fits at all
        assert {k for k, _, _ in corners} <= {k for k, _, _ in moving[patient]}


def test_still_windows_make_volumes(still: Sections, twin: Index) -> None:
    stacked = volumes(still.images["ct"][:, 0], still.ids)
    assert set(stacked) == {case.id for case in twin.cases}
    assert all(v.shape[:2] == (SIDE, SIDE) and v.shape[2] > 20 for v in stacked.values())
    # slices follow each other: neighbours are more alike than slices far apart
    for volume in stacked.values():
        near = np.abs(np.diff(volume, axis=2)).mean()
        half = volume.shape[2] // 2
        assert near < 0.8 * np.abs(volume[:, :, half:] - volume[:, :, :-half]).mean()


def test_the_three_modalities_show_one_place(still: Sections) -> None:
    ct, mr = (still.images[name][:, 0] > -0.9 for name in ("ct", "mr"))
    overlap = 2 * (ct & mr).sum() / (ct.sum() + mr.sum())
    assert overlap > 0.93
    for step in (3, -3):
        moved = mr.roll(step, dims=2)
        assert 2 * (ct & moved).sum() / (ct.sum() + moved.sum()) < overlap - 0.01
    # FDG is taken up by the tumour that the mask shows
    pet, tumour = still.images["pet"][:, 0], still.masks > 0
    assert tumour.any() and pet[tumour].mean() > pet[~tumour].mean() + 0.2


def test_the_window_does_not_give_the_tumour_away(twin: Index) -> None:
    """Over seeds, the tumour's middle lies at many places of the window."""
    middles = []
    for seed in range(4):
        masks = sts_sections(twin, moving=True, seed=seed).masks
        middles += [
            torch.argwhere(m > 0).float().mean(dim=0).numpy() for m in masks if (m > 0).sum() > 20
        ]
    assert (np.std(middles, axis=0) > 3).all()


def test_places_follow_from_the_seed(twin: Index, moving: Sections) -> None:
    again, other = (sts_sections(twin, moving=True, seed=seed) for seed in (0, 1))
    assert again.fingerprint == moving.fingerprint != other.fingerprint
    assert torch.equal(again.images["mr"], moving.images["mr"])
    assert not torch.equal(other.masks.sum(dim=(1, 2)), moving.masks.sum(dim=(1, 2)))


def test_the_volume_is_that_of_the_whole_tumour(twin: Index, still: Sections) -> None:
    with (Path(twin.root) / "truth.csv").open(newline="", encoding="utf-8") as handle:
        told = {row["patient"]: float(row["mask_ml"]) for row in csv.DictReader(handle)}
    for patient, volume in zip(still.patients, still.facts["volume_ml"], strict=True):
        assert volume == pytest.approx(told[patient], rel=0.1)
    # what a window shows of it may be less, and never more
    voxel_ml = PIXEL_MM**2 * SLICE_MM / 1000
    for case, mask in volumes(still.masks, still.ids).items():
        assert 0 < mask.sum() * voxel_ml <= told[case.split("/")[0]] * 1.1


def test_a_field_smaller_than_a_window_is_told(
    twin: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WINDOW_MM", 400.0)
    with pytest.raises(ValueError, match="share a field of 400 mm, found none among 3"):
        sts_sections(twin, moving=False, seed=0)
