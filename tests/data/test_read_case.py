"""Case → volumes: what the manifest says about grids and label ids is carried out and checked."""

import gc
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medkd_lib.data.case import LayoutError
from medkd_lib.data.grid import resampled
from medkd_lib.data.index import index
from medkd_lib.data.manifest import Manifest
from medkd_lib.data.problems import DataError
from medkd_lib.data.read_case import grid_groups, read_case
from medkd_lib.data.volume import Volume

from .tiny import AFFINE, LABELS, brain, lesion, manifest, write, write_case


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_case(tmp_path, "P0", 0)
    return tmp_path


def read(root: Path, listed: Manifest, roles: list[str] | None = None) -> dict[str, Volume]:
    return read_case(index(listed, root).cases[0], listed, roles)


def write_seg(root: Path, values: list[int]) -> np.ndarray[Any, Any]:
    """Write the mask with its ids 0…3 replaced."""
    mask = np.array(values, np.uint8)[lesion(0)]
    write(root / "P0" / "P0-seg.nii.gz", mask)
    return mask


def test_every_role_comes_with_its_voxels_and_its_place(root: Path) -> None:
    volumes = read(root, manifest())
    assert list(volumes) == ["t1", "t2", "seg"]
    np.testing.assert_array_equal(volumes["t2"].array, brain(100))
    np.testing.assert_array_equal(volumes["seg"].array, lesion(0))
    assert volumes["seg"].unit == "label" and volumes["seg"].array.dtype == np.uint8
    for volume in volumes.values():
        np.testing.assert_allclose(volume.affine, AFFINE)
        assert volume.axcodes == "LPS" and volume.spacing_mm == pytest.approx((1, 1.25, 2))


def test_only_wanted_roles_are_opened(root: Path) -> None:
    (root / "P0" / "P0-t2.nii.gz").write_bytes(b"not an image")
    assert list(read(root, manifest(), ["seg", "t1"])) == ["seg", "t1"]
    with pytest.raises(DataError, match=r"P0-t2\.nii\.gz"):
        read(root, manifest())


def test_an_absent_role_is_named(root: Path) -> None:
    with pytest.raises(LayoutError, match=r"case P0: expected the roles \['flair'\]"):
        read(root, manifest(), ["flair"])


@pytest.mark.parametrize("shift", [0.002, 1.0])
def test_volumes_off_the_common_grid_are_refused(root: Path, shift: float) -> None:
    moved = AFFINE.copy()
    moved[0, 3] += shift
    write(root / "P0" / "P0-seg.nii.gz", lesion(0), moved)
    with pytest.raises(DataError, match=r"P0-seg\.nii\.gz: expected the grid of .*P0-t1") as caught:
        read(root, manifest())
    assert caught.value.problem.kind == "grid_mismatch"


def test_rounding_of_headers_is_no_other_grid(root: Path) -> None:
    moved = AFFINE.copy()
    moved[:3, 3] += 4e-4
    write(root / "P0" / "P0-seg.nii.gz", lesion(0), moved)
    assert len(read(root, manifest())) == 3


def test_stated_grids_are_compared_within_and_not_across(root: Path) -> None:
    coarse = np.diag([4.0, 4, 4, 1])
    write(root / "P0" / "P0-t2.nii.gz", brain(5)[:4, :4, :4] + 1, coarse)
    own = manifest({"grids": [["t1", "seg"], ["t2"]]})
    assert read(root, own)["t2"].shape == (4, 4, 4)
    with pytest.raises(DataError, match="grid of"):
        read(root, manifest({"grids": [["t2", "seg"], ["t1"]]}))
    assert grid_groups(own, ["seg", "t2"]) == [["seg"], ["t2"]]
    assert grid_groups(manifest(), ["seg", "t2"]) == [["seg", "t2"]]


def test_remap_gives_the_course_its_ids(root: Path) -> None:
    write_seg(root, [0, 1, 2, 4])
    listed = manifest(labels=LABELS | {"remap": {4: 3}})
    np.testing.assert_array_equal(read(root, listed)["seg"].array, lesion(0))


def test_a_file_that_has_the_new_id_already_is_not_guessed_at(root: Path) -> None:
    # BraTS 2013 has a label 3 of another meaning; a converted file would be a mixture.
    listed = manifest(labels=LABELS | {"remap": {4: 3}})
    with pytest.raises(DataError, match=r"P0-seg\.nii\.gz.*\{3: 4\}"):
        read(root, listed)


def test_an_unknown_value_in_a_mask_is_refused(root: Path) -> None:
    write_seg(root, [0, 1, 2, 7])
    with pytest.raises(DataError, match=r"P0-seg\.nii\.gz.*\{7: 4\}"):
        read(root, manifest())


def relabel(to: str, **labels: Any) -> Manifest:
    fix = {"cases": ["P0"], "what": "swapped", "action": "relabel", "source": "here",
           "role": "seg", "to": to}  # fmt: skip
    return manifest(known_issues=[fix], labels=LABELS | labels)


def test_relabel_exchanges_two_ids_at_once(root: Path) -> None:
    write_seg(root, [0, 2, 1, 3])
    np.testing.assert_array_equal(read(root, relabel("1->2, 2->1"))["seg"].array, lesion(0))


def test_relabel_comes_before_remap(root: Path) -> None:
    # The file's 3 is the release's 4, which is the course's 3.
    write_seg(root, [0, 1, 2, 3])
    listed = relabel("3->4", remap={4: 3})
    np.testing.assert_array_equal(read(root, listed)["seg"].array, lesion(0))


def test_relabel_leaves_other_cases_alone(root: Path) -> None:
    write_case(root, "P1", 0)
    listed = relabel("1->2, 2->1")
    other = index(listed, root).cases[1]
    np.testing.assert_array_equal(read_case(other, listed)["seg"].array, lesion(0))


def test_an_affine_is_copied_from_a_mended_one(root: Path) -> None:
    for role, array in (("t1", brain(0)), ("seg", lesion(0))):
        wrong = AFFINE.copy()
        wrong[:3, :3] *= 0.5
        write(root / "P0" / f"P0-{role}.nii.gz", array, wrong)
    fixes = [
        {"cases": ["*"], "what": "lost", "action": "fix_affine", "source": "here"} | more
        for more in (
            {"role": "t1", "to": "spacing 1,1.25,2"},
            {"role": "seg", "to": "copy:t1"},
        )
    ]
    volumes = read(root, manifest(known_issues=fixes))
    np.testing.assert_allclose(volumes["seg"].affine, AFFINE)
    fixes[1]["to"] = "copy:flair"
    with pytest.raises(DataError, match="'flair', whose affine seg shall take"):
        read(root, manifest(known_issues=fixes))


def fix(role: str, to: str) -> dict[str, Any]:
    return {"cases": ["*"], "what": "lost", "action": "fix_affine", "source": "here",
            "role": role, "to": to}  # fmt: skip


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("roles", [["seg"], ["seg", "t1"], ["t2", "seg", "t1"]])
def test_a_copied_affine_does_not_depend_on_company_or_order(
    root: Path, roles: list[str], turned: bool
) -> None:
    wrong = AFFINE.copy()
    wrong[:3, :3] *= 0.5
    for role, array in (("t1", brain(0)), ("t2", brain(1)), ("seg", lesion(0))):
        write(root / "P0" / f"P0-{role}.nii.gz", array, wrong)
    fixes = [fix("t1", "spacing 1,1.25,2"), fix("t2", "copy:t1"), fix("seg", "copy:t2")]
    volumes = read(root, manifest(known_issues=fixes[::-1] if turned else fixes), roles)
    assert list(volumes) == roles
    for volume in volumes.values():
        np.testing.assert_allclose(volume.affine, AFFINE)


def test_affines_copied_in_a_circle_are_refused(root: Path) -> None:
    circle = manifest(known_issues=[fix("t1", "copy:seg"), fix("seg", "copy:t1")])
    with pytest.raises(DataError, match="t1 ← seg ← t1") as caught:
        read(root, circle)
    assert caught.value.problem.kind == "affine_cycle"


def test_new_ids_do_not_wrap_around(root: Path) -> None:
    values = [*LABELS["values"], {"id": 300, "name": "far"}]
    listed = manifest(labels=LABELS | {"values": values, "remap": {3: 300}})
    mask = read(root, listed, ["seg"])["seg"].array
    assert set(np.unique(mask)) == {0, 1, 2, 300}
    # An old id that the stored type cannot hold is in no voxel.
    listed = manifest(labels=LABELS | {"remap": {500: 3}})
    write_seg(root, [0, 1, 2, 2])
    assert set(np.unique(read(root, listed, ["seg"])["seg"].array)) == {0, 1, 2}


def test_a_mask_that_resampling_would_wrap_is_refused() -> None:
    big = np.full((4, 4, 4), 65537, np.int32)
    volumes = {"i": Volume(np.ones((4, 4, 4)), np.eye(4)), "m": Volume(big, np.eye(4))}
    with pytest.raises(DataError, match="m: expected label ids up to 65535, found 65537") as caught:
        resampled(volumes, frozenset({"m"}), {}, spacing_mm=(1, 1, 1))
    assert caught.value.problem.kind == "many_labels"


def test_voxels_are_freed_at_once(root: Path) -> None:
    gc.collect()
    gc.disable()  # a circle of references would keep them until the next collection
    try:
        volumes = read(root, manifest(known_issues=[fix("seg", "copy:t1")]))
        kept = [weakref.ref(volume) for volume in volumes.values()]
        del volumes
        assert [ref() for ref in kept] == [None, None, None]
    finally:
        gc.enable()
