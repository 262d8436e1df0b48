"""Sections of the abdomen twin: organs by name, upright, two sequences of one body on one grid."""

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from medkd_lib.course.experiments.abdomen_sections import (
    COARSE_ABDOMEN,
    label_of,
    pair_recipe,
    paired_sections,
    t1_sections,
)
from medkd_lib.course.experiments.lung_sections import framed
from medkd_lib.data.index import Index, index
from medkd_lib.data.manifest import load_manifest
from medkd_lib.data.read_case import read_case
from medkd_lib.data.recipe import Recipe
from medkd_lib.data.sections import Sections
from medkd_lib.data.volumes import Volumes
from medkd_lib.evaluate.stack import volumes
from medkd_lib.phantom import chaos_grids
from medkd_lib.phantom.chaos import write_chaos

ORGANS = ("liver", "right_kidney", "left_kidney", "spleen")
WIDTH, HEIGHT = COARSE_ABDOMEN.shape
MATRIX = 96


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    """Six patients, three of them MR, with pixels about as large as those of the sections."""
    chaos_grids.MATRIX["small"], whole = MATRIX, chaos_grids.MATRIX["small"]
    out = write_chaos(tmp_path_factory.mktemp("twin") / "chaos", patients=6, seed=3)
    chaos_grids.MATRIX["small"] = whole
    yield index(load_manifest("chaos"), out)


@pytest.fixture(scope="module")
def paired(twin: Index) -> dict[str, Sections]:
    return {organ: paired_sections(twin, organ) for organ in ORGANS}


@pytest.fixture(scope="module")
def alone(twin: Index) -> dict[str, Sections]:
    return {organ: t1_sections(twin, organ) for organ in ORGANS}


def middle(sections: Sections) -> NDArray[np.float64]:
    """Return where the foreground's middle lies: slice, row and column, a mean over patients."""
    stacked = volumes(sections.masks, sections.ids)
    row, column, k = np.mean([np.argwhere(v > 0).mean(axis=0) for v in stacked.values()], axis=0)
    return np.array([k, row, column])


def test_sections_have_one_size_one_spacing_and_one_scale(
    paired: dict[str, Sections], alone: dict[str, Sections]
) -> None:
    for found, modalities in ((paired, ["t2", "t1"]), (alone, ["t1"])):
        for sections in found.values():
            assert list(sections.images) == modalities
            assert sections.masks.shape == (len(sections), HEIGHT, WIDTH)
            assert sections.masks.dtype == torch.uint8
            assert set(sections.masks.unique().tolist()) == {0, 1}
            assert sections.spacing_mm == COARSE_ABDOMEN.spacing_mm
            assert len(set(sections.ids)) == len(sections) > 3 * 15
            for image in sections.images.values():
                assert image.shape == (len(sections), 1, HEIGHT, WIDTH)
                assert image.dtype == torch.float32
                assert image.min() == -1 and image.max() == 1 and image.std() > 0.2


def test_only_mr_patients_are_there(
    paired: dict[str, Sections], alone: dict[str, Sections]
) -> None:
    for sections in (paired["liver"], alone["liver"]):
        assert sorted(set(sections.patients)) == ["MR/1", "MR/2", "MR/3"]


def test_an_organ_is_the_one_that_was_asked_for(
    twin: Index, paired: dict[str, Sections], alone: dict[str, Sections]
) -> None:
    with (twin.root / "truth.csv").open(newline="", encoding="utf-8") as handle:
        told = {row["patient"]: row for row in csv.DictReader(handle)}
    for organ in ORGANS:
        for sections in (paired[organ], alone[organ]):
            for patient, volume in zip(sections.patients, sections.facts["volume_ml"], strict=True):
                assert volume == pytest.approx(float(told[patient][f"{organ}_ml"]), rel=0.2)
    masks = torch.stack([paired[organ].masks for organ in ORGANS])
    assert masks.sum(dim=0).max() == 1, "two organs share a voxel"
    assert len({paired[organ].fingerprint for organ in ORGANS}) == len(ORGANS)


@pytest.mark.parametrize("kind", ["paired", "alone"])
def test_patients_stand_upright(kind: str, request: pytest.FixtureRequest) -> None:
    found: dict[str, Sections] = request.getfixturevalue(kind)
    slices, rows, columns = np.array([middle(found[organ]) for organ in ORGANS]).T
    liver, right, left, spleen = range(4)
    # the patient's right is on the left of the picture
    assert columns[liver] < WIDTH / 2 - 5 < columns[spleen] - 10
    assert columns[right] < WIDTH / 2 - 5 and columns[left] > WIDTH / 2 + 5
    # kidneys lie behind the liver, and below it; numbers run upwards
    assert min(rows[right], rows[left]) > rows[liver] + 1
    assert max(slices[right], slices[left]) < min(slices[liver], slices[spleen]) - 1


def test_the_frame_cuts_nothing_off_an_organ(twin: Index, paired: dict[str, Sections]) -> None:
    cases = [case for case in twin.cases if "t2" in case.files]
    prepared = Volumes(twin.manifest, cases, pair_recipe())
    for organ in ORGANS:
        label = label_of(twin.manifest, organ)
        for case, mask in volumes(paired[organ].masks, paired[organ].ids).items():
            whole = prepared[[c.id for c in cases].index(case)].mask
            names = [name for name in paired[organ].ids if name.startswith(f"{case}/")]
            kept = [int(name[-3:]) for name in names]
            assert whole is not None
            assert int(mask.sum()) == int((whole[:, :, kept] == label).sum()) > 0


def test_sections_are_those_that_both_sequences_reach(
    twin: Index, paired: dict[str, Sections]
) -> None:
    """Their heights between the first and the last slice of both series, and all of these."""
    cases = [case for case in twin.cases if "t2" in case.files]
    prepared = Volumes(twin.manifest, cases, pair_recipe())
    left_out = 0
    for row, case in enumerate(cases):
        series = read_case(case, twin.manifest, ("t2", "t1_in")).values()
        ends = [np.sort(v.affine[2, 3] + v.affine[2, 2] * np.array([0, v.shape[2] - 1]))
                for v in series]  # fmt: skip
        low, high = max(e[0] for e in ends) - 0.01, min(e[1] for e in ends) + 0.01
        one = prepared[row]
        heights = one.affine.numpy()[2, 3] + one.affine.numpy()[2, 2] * np.arange(
            one.image.shape[3]
        )
        expected = np.flatnonzero((heights >= low) & (heights <= high)).tolist()
        names = [name for name in paired["liver"].ids if name.startswith(f"{case.id}/")]
        assert [int(name[-3:]) for name in names] == expected
        left_out += len(heights) - len(expected)
    assert left_out > 0, "or the question would be none"
    # and no T1 is black where the T2 shows a body
    images = paired["liver"].images
    assert (images["t1"].flatten(1).amax(dim=1) > 0).all()


def test_the_students_image_and_mask_are_those_of_the_t2_alone(
    twin: Index, paired: dict[str, Sections]
) -> None:
    case = next(case for case in twin.cases if case.id == "MR/2")
    recipe = Recipe(("t2",), "t2_mask", spacing_mm=COARSE_ABDOMEN.spacing_mm, intensity="unit")
    alone = Volumes(twin.manifest, [case], recipe)[0]
    mine = paired["spleen"].of(["MR/2"])
    slices = [int(name[-3:]) for name in mine.ids]
    assert alone.mask is not None
    spleen = (alone.mask == label_of(twin.manifest, "spleen")).to(torch.uint8)
    assert torch.equal(mine.masks, framed(spleen, 0, COARSE_ABDOMEN.shape)[slices])
    image = framed(2 * alone.image[0].float() - 1, -1.0, COARSE_ABDOMEN.shape)[slices]
    torch.testing.assert_close(mine.images["t2"][:, 0], image, atol=2e-3, rtol=0)


def test_both_sequences_show_one_body_but_for_its_breath(paired: dict[str, Sections]) -> None:
    """The organ's outline, drawn on the T2, is where the T1 changes: not five pixels beside."""
    liver = paired["liver"]
    t1, mask = liver.images["t1"][:, 0], liver.masks > 0

    def spread(of: torch.Tensor) -> float:
        return float(torch.stack([t1[n][m].std() for n, m in enumerate(of) if m.sum() > 50]).mean())

    inside = spread(mask)
    for axis, step in ((1, 5), (1, -5), (2, 5), (2, -5)):
        assert spread(mask.roll(step, dims=axis)) > 1.3 * inside, (axis, step)


def test_a_teachers_t1_has_its_own_grid_and_mask(
    paired: dict[str, Sections], alone: dict[str, Sections]
) -> None:
    for organ in ORGANS:
        mine, theirs = alone[organ].of(["MR/1"]), paired[organ].of(["MR/1"])
        assert mine.masks.shape != theirs.masks.shape or not torch.equal(mine.masks, theirs.masks)
        assert "t2" not in mine.images


def test_an_unknown_organ_and_a_set_without_mr_are_told(twin: Index) -> None:
    with pytest.raises(ValueError, match=r"one of \['liver', 'right_kidney', .* found 'pancreas'"):
        paired_sections(twin, "pancreas")
    with pytest.raises(ValueError, match="found 'background'"):
        t1_sections(twin, "background")
    ct = replace(twin, cases=[case for case in twin.cases if "ct" in case.files])
    with pytest.raises(ValueError, match=r"found none among 3 cases .* fetch the MR part"):
        paired_sections(ct, "liver")


def test_series_that_do_not_meet_are_told(twin: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    from medkd_lib.course.experiments import abdomen_sections as module

    nowhere = torch.zeros(200, dtype=torch.bool)
    monkeypatch.setattr(module, "_measured", lambda volumes, row: nowhere)
    with pytest.raises(ValueError, match="case MR/1: expected slices that its sequences all reach"):
        paired_sections(twin, "liver")


@pytest.mark.real_data
def test_the_release_is_read_as_its_twin(real_data: Path) -> None:
    root = real_data / "chaos"
    if not root.is_dir():
        pytest.skip(f"no {root}")
    found = index(load_manifest("chaos"), root)
    for organ in ORGANS:
        both, own = paired_sections(found, organ), t1_sections(found, organ)
        assert len(set(both.patients)) == len(set(own.patients)) == 20
        assert set(both.masks.unique().tolist()) == {0, 1}
    slices, rows, columns = np.array([middle(paired_sections(found, o)) for o in ORGANS]).T
    assert columns[0] < WIDTH / 2 < columns[3] and columns[1] < columns[2]
    assert min(rows[1:3]) > rows[0] and max(slices[1:3]) < slices[0]
