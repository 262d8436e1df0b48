"""What the holder of a folder states about PNG slices: read, refused, and never guessed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from medkd_lib.data.check import check
from medkd_lib.data.index import index
from medkd_lib.data.manifest import Manifest, load_manifest
from medkd_lib.data.problems import DataError
from medkd_lib.data.read_case import read_case
from medkd_lib.data.stated_geometry import STATEMENT, StatedGeometry, write_statement
from medkd_lib.phantom.chaos_files import write_masks
from tests.data.tiny import manifest

SHAPE, SPACING = (6, 5, 12), [2.0, 3.0, 4.0]
WAITING = {"spacing_mm": [1.0, 1.0, 1.0], "unread": "its axes are not documented"}
LAYOUT: dict[str, Any] = {
    "images": {"t1": {"glob": "*/0", **WAITING}},
    "annotations": {"seg": {"glob": "*/seg", **WAITING}},
    "case_regex": r"^(?P<patient>P\d+)/",
}
LABELS: dict[str, Any] = {
    "kind": "mask",
    "values": [{"id": 0, "name": "background"}, {"id": 1, "name": "lesion"}],
    "remap": {255: 1},
}


def slices() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """No symmetry, and more than ten slices: 10.png would come before 2.png as text."""
    image = np.random.default_rng(0).integers(1, 255, SHAPE).astype(np.uint8)
    mask = np.zeros(SHAPE, np.uint8)
    mask[1:3, :2, 3], mask[4, 3, 10] = 255, 255
    return image, mask


def written(root: Path, **statement: Any) -> Manifest:
    names = [f"{k}.png" for k in range(SHAPE[2])]
    for folder, values in zip(("0", "seg"), slices(), strict=True):
        write_masks(root / "P1" / folder, values, names)
    if statement:
        write_statement(root, StatedGeometry(**{"source": "looked at P1"} | statement))
    return manifest(LAYOUT, labels=LABELS)


def test_stated_axes_open_the_stack(tmp_path: Path) -> None:
    made = written(tmp_path, dataset="tiny", axcodes="LPS", spacing_mm=SPACING)
    found = index(made, tmp_path)
    assert found.manifest.layout is not None and made.layout is not None
    assert made.layout.unread and not found.manifest.layout.unread, "the manifest itself stays"
    (case,) = found.cases
    volumes = read_case(case, found.manifest)
    image, mask = slices()
    np.testing.assert_array_equal(volumes["t1"].array, image)
    np.testing.assert_array_equal(volumes["seg"].array, mask // 255)
    for volume in volumes.values():
        assert volume.axcodes == "LPS" and list(volume.spacing_mm) == SPACING
        middle = volume.affine @ [*((np.array(SHAPE) - 1) / 2), 1.0]
        np.testing.assert_allclose(middle[:3], 0.0, atol=1e-9)
    assert f"axes LPS, as {STATEMENT} states: looked at P1" in found.notes
    problems = check(made, tmp_path)
    assert [(p.kind, p.severity) for p in problems] == [("stated_geometry", "warning")] * 2


def test_a_manifest_that_holds_the_statement_is_read_again(tmp_path: Path) -> None:
    made = written(tmp_path, dataset="tiny", axcodes="LPS", spacing_mm=SPACING)
    once = index(made, tmp_path).manifest
    assert index(once, tmp_path).manifest == once != made
    assert {p.kind for p in check(once, tmp_path)} == {"stated_geometry"}
    write_statement(tmp_path, StatedGeometry(dataset="tiny", axcodes="RPS", source="me"))
    with pytest.raises(DataError, match="waits for its axes alone"):
        index(once, tmp_path)


def test_the_manifests_spacing_holds_where_none_is_stated(tmp_path: Path) -> None:
    found = index(written(tmp_path, dataset="tiny", axcodes="RAI"), tmp_path)
    volume = read_case(found.cases[0], found.manifest, ["t1"])["t1"]
    assert volume.axcodes == "RAI" and list(volume.spacing_mm) == [1.0, 1.0, 1.0]


def test_without_a_statement_nothing_is_read(tmp_path: Path) -> None:
    found = index(written(tmp_path), tmp_path)
    with pytest.raises(DataError) as caught:
        read_case(found.cases[0], found.manifest)
    assert caught.value.problem.kind == "unread"


BAD: dict[str, str] = {
    "other set": "dataset: other\naxcodes: LPS\nsource: me\n",
    "no source": "dataset: tiny\naxcodes: LPS\n",
    "a typo": "dataset: tiny\naxcode: LPS\nsource: me\n",
    "a list": "- LPS\n",
    "nothing": "",
    "no yaml": "dataset: [tiny\n",
    "no text": "dataset: \udcff\n",
}


@pytest.mark.parametrize("what", BAD)
def test_a_wrong_statement_is_refused_with_its_file(tmp_path: Path, what: str) -> None:
    made = written(tmp_path)
    (tmp_path / STATEMENT).write_bytes(BAD[what].encode(errors="surrogateescape"))
    with pytest.raises(DataError) as caught:
        index(made, tmp_path)
    assert caught.value.problem.kind == "bad_statement"
    assert caught.value.problem.where == str(tmp_path / STATEMENT)
    assert [p.kind for p in check(made, tmp_path)] == ["bad_statement"]


def test_impossible_axes_are_refused_at_reading(tmp_path: Path) -> None:
    found = index(written(tmp_path, dataset="tiny", axcodes="LLS"), tmp_path)
    with pytest.raises(DataError) as caught:
        read_case(found.cases[0], found.manifest)
    assert caught.value.problem.kind == "bad_axcodes"


@pytest.mark.parametrize("dataset", ["deeplesion", "totalsegmentator_v2", "chestmnist", "chaos"])
def test_a_statement_opens_no_set_that_lacks_more_than_axes(tmp_path: Path, dataset: str) -> None:
    write_statement(tmp_path, StatedGeometry(dataset=dataset, axcodes="LPS", source="me"))
    with pytest.raises(DataError, match="waits for its axes alone"):
        index(load_manifest(dataset), tmp_path)
