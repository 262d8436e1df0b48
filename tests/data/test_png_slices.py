"""PNG masks drawn on a DICOM series: each picture on its slice, whichever way the numbers run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError

from medkd_lib.data.index import index
from medkd_lib.data.manifest_layout import KnownIssue
from medkd_lib.data.png_slices import read_png_slices
from medkd_lib.data.problems import DataError
from medkd_lib.data.read import read_volume
from medkd_lib.data.read_case import read_case
from medkd_lib.phantom.chaos_files import write_series
from tests.data.tiny import manifest

SHAPE = (5, 4, 6)
AFFINE = np.diag([-2.0, -2.0, 7.0, 1.0])
LABELS: dict[str, Any] = {
    "kind": "mask",
    "values": [{"id": i, "name": name} for i, name in enumerate(("none", "liver", "spleen"))],
    "remap": {63: 1, 252: 2},
}
LAYOUT: dict[str, Any] = {
    "images": {"mr": {"glob": "*/dicom"}},
    "annotations": {"seg": {"glob": "*/ground", "slices_of": "mr"}},
    "case_regex": r"^(?P<patient>P\d+)/",
}


def labels() -> NDArray[np.uint8]:
    """No symmetry: a flip or a swap of slices is seen."""
    array = np.zeros(SHAPE, np.uint8)
    array[1:3, :2, 0], array[4, 3, 2], array[0, 1:, 5] = 63, 252, 63
    return array


def series(folder: Path, numbers: list[int], names: str) -> Path:
    image = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
    write_series(
        folder, image, AFFINE, [names.format(n) for n in numbers], modality="MR", patient="P1",
        seed=0, series="mr", tags={},
    )  # fmt: skip
    return folder


def pictures(folder: Path, numbers: list[int], names: str, masks: NDArray[Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for k, n in enumerate(numbers):
        Image.fromarray(np.ascontiguousarray(masks[:, :, k].T)).save(folder / names.format(n))
    return folder


def kind_of(folder: Path, dicom: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_png_slices(folder, dicom)
    assert caught.value.problem.where.startswith(str(folder))
    return caught.value.problem.kind


@pytest.mark.parametrize("down", [True, False], ids=["against z", "with z"])
@pytest.mark.parametrize(
    ("files", "masks", "step"),
    [
        ("i{:04d},0000b.dcm", "liver_GT_{:03d}.png", 1),
        ("IMG-0004-{:05d}.dcm", "IMG-0004-{:05d}.png", 2),
        ("{}.dcm", "{}.png", 3),  # 3, 6, 9, 12: as text 12 would come first
    ],
)
def test_a_picture_lands_on_the_slice_it_was_drawn_on(
    tmp_path: Path, down: bool, files: str, masks: str, step: int
) -> None:
    numbers = [step * (n + 1) for n in range(SHAPE[2])]
    numbers = numbers[::-1] if down else numbers
    dicom = series(tmp_path / "dicom", numbers, files)
    volume = read_png_slices(pictures(tmp_path / "g", numbers, masks, labels()), dicom)
    np.testing.assert_array_equal(volume.array, labels())
    assert volume.same_grid(read_volume(dicom))


def test_counts_from_another_number_still_pair(tmp_path: Path) -> None:
    dicom = series(tmp_path / "dicom", [1, 2, 3, 4, 5, 6], "IMG-0002-{:05d}.dcm")
    ground = pictures(tmp_path / "g", [0, 1, 2, 3, 4, 5], "liver_GT_{:03d}.png", labels())
    np.testing.assert_array_equal(read_png_slices(ground, dicom).array, labels())


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    numbers = [6, 5, 4, 3, 2, 1]
    dicom = series(tmp_path / "dicom", numbers, "IMG-0004-{:05d}.dcm")
    (tmp_path / "none").mkdir()
    assert kind_of(tmp_path / "none", dicom) == "no_slices"
    fewer = pictures(tmp_path / "fewer", numbers[:5], "liver_{}.png", labels())
    assert kind_of(fewer, dicom) == "grid_mismatch"
    other = pictures(tmp_path / "other", [7, 5, 4, 3, 2, 1], "IMG-0004-{:05d}.png", labels())
    assert kind_of(other, dicom) == "grid_mismatch"
    turned = pictures(tmp_path / "turned", numbers, "{}.png", labels().transpose(1, 0, 2))
    assert kind_of(turned, dicom) == "mixed_matrix"
    twice = pictures(tmp_path / "twice", numbers[:5], "a_{}.png", labels())
    pictures(twice, [3], "b_{}.png", labels())
    assert kind_of(twice, dicom) == "duplicate_number"
    bare = pictures(tmp_path / "bare", numbers[:5], "a_{}.png", labels())
    pictures(bare, [0], "first.png", labels())
    assert kind_of(bare, dicom) == "unnumbered"


def test_a_manifest_names_the_series_and_the_ranges_of_grey(tmp_path: Path) -> None:
    numbers = [6, 5, 4, 3, 2, 1]
    series(tmp_path / "P1" / "dicom", numbers, "IMG-0004-{:05d}.dcm")
    spread = labels()
    spread[1, 0, 0], spread[4, 3, 2] = 55, 240
    pictures(tmp_path / "P1" / "ground", numbers, "IMG-0004-{:05d}.png", spread)
    issue = {
        "cases": ["P*"], "what": "greys spread", "action": "relabel", "role": "seg",
        "to": "55..70->63, 240..255->252", "source": "-",
    }  # fmt: skip
    tiny = manifest(LAYOUT, labels=LABELS, known_issues=[issue])
    (case,) = index(tiny, tmp_path).cases
    read = read_case(case, tiny)["seg"]
    np.testing.assert_array_equal(read.array == 1, labels() == 63)
    np.testing.assert_array_equal(read.array == 2, labels() == 252)
    strict = manifest(LAYOUT, labels=LABELS)
    (case,) = index(strict, tmp_path).cases
    with pytest.raises(DataError, match="55"):
        read_case(case, strict)


def test_statements_that_cannot_be_executed_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"seg.slices_of.*'ct'"):
        annotations = {"seg": {"glob": "*/ground", "slices_of": "ct"}}
        manifest({**LAYOUT, "annotations": annotations})
    issue = KnownIssue(
        cases=["*"], what="-", action="relabel", role="seg", to="1->63,5..7->9", source="-"
    )
    assert issue.pairs == {1: 63, 5: 9, 6: 9, 7: 9}
    with pytest.raises(ValidationError, match="relabel"):
        KnownIssue(cases=["*"], what="-", action="relabel", role="a", to="1..->2", source="-")


def test_without_its_series_a_mask_has_no_place(tmp_path: Path) -> None:
    pictures(tmp_path / "P1" / "ground", [1, 2], "{}.png", labels())
    layout = {**LAYOUT, "images": {"mr": {"glob": "*/dicom", "optional": True}}}
    tiny = manifest(layout, labels=LABELS)
    (case,) = index(tiny, tmp_path).cases
    with pytest.raises(DataError) as caught:
        read_case(case, tiny)
    assert caught.value.problem.kind == "missing_modality"
