"""``DL_info.csv``: one key slice of several rows, noisy rows, and boxes nobody can use."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from medkd_lib.data.deeplesion_info import COLUMNS, read_deeplesion
from medkd_lib.data.problems import DataError

ROW = {
    "File_name": "000001_01_01_109.png", "Bounding_boxes": "10, 12, 20.5, 31",
    "Possibly_noisy": "0", "Image_size": "64, 48", "DICOM_windows": "-175, 275",
    "Coarse_lesion_type": "-1", "Train_Val_Test": "1",
}  # fmt: skip


def write(folder: Path, *rows: dict[str, str]) -> Path:
    path = folder / "DL_info.csv"
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, ["Patient_gender", *COLUMNS], restval="F")
        writer.writeheader()
        writer.writerows(ROW | row for row in rows)
    return path


def test_rows_of_one_slice_are_one_image(tmp_path: Path) -> None:
    other = {"File_name": "000002_01_03_007.png", "Train_Val_Test": "3", "Coarse_lesion_type": "5"}
    path = write(tmp_path, other, {}, {"Bounding_boxes": "1, 2, 2, 3", "Coarse_lesion_type": "4"})
    first, second = read_deeplesion(path)
    assert (first.folder, first.file, first.split) == ("000001_01_01", "109.png", "train")
    assert first.boxes.tolist() == [[10, 12, 20.5, 31], [1, 2, 2, 3]] and first.types == (-1, 4)
    assert (first.size, first.window_hu, first.problems) == ((64, 48), (-175.0, 275.0), ())
    assert (second.folder, second.file, second.split) == ("000002_01_03", "007.png", "test")
    assert second.types == (5,)


@pytest.mark.parametrize(
    ("edit", "kept", "kind"),
    [
        ({"Possibly_noisy": "1"}, None, "noisy_box"),
        ({"Bounding_boxes": "20, 12, 10, 31"}, None, "degenerate_box"),
        ({"Bounding_boxes": "20, 12, 20, 31"}, None, "degenerate_box"),
        ({"Bounding_boxes": "70, 12, 80, 31"}, None, "outside_box"),
        ({"Bounding_boxes": "60, 12, 80, 31"}, [60, 12, 64, 31], "clipped_box"),
        ({"Bounding_boxes": "5, 5, 6, 6"}, [5, 5, 6, 6], None),
    ],
)
def test_rows_that_cannot_be_used(
    tmp_path: Path, edit: dict[str, str], kept: list[float] | None, kind: str | None
) -> None:
    (key,) = read_deeplesion(write(tmp_path, {}, edit))
    assert key.boxes.tolist() == [[10, 12, 20.5, 31], *([kept] if kept else [])]
    assert len(key.types) == len(key.boxes)
    assert [p.kind for p in key.problems] == ([kind] if kind else [])


def test_a_thousand_rows(tmp_path: Path) -> None:
    (key,) = read_deeplesion(write(tmp_path, *([{}] * 1000)))
    assert key.boxes.shape == (1000, 4)


@pytest.mark.parametrize(
    ("kind", "edit"),
    [
        ("missing_field", {"Bounding_boxes": "1, 2, 3"}),
        ("missing_field", {"Bounding_boxes": "1, 2, 3, nan"}),
        ("missing_field", {"Bounding_boxes": ""}),
        ("missing_field", {"Possibly_noisy": "maybe"}),
        ("missing_field", {"Train_Val_Test": "4"}),
        ("missing_field", {"Image_size": "64, 0"}),
        ("missing_field", {"DICOM_windows": "275, -175"}),
        ("missing_field", {"File_name": "109"}),
    ],
)
def test_tables_that_tell_nonsense_are_refused(
    tmp_path: Path, kind: str, edit: dict[str, str]
) -> None:
    with pytest.raises(DataError) as caught:
        read_deeplesion(write(tmp_path, edit))
    assert caught.value.problem.kind == kind


def test_a_slice_marked_in_two_windows_spans_both(tmp_path: Path) -> None:
    lung = {"Bounding_boxes": "1, 2, 2, 3", "DICOM_windows": "-1500, 200"}
    (found,) = read_deeplesion(write(tmp_path, {}, lung))
    assert found.window_hu == (-1500.0, 275.0) and len(found.boxes) == 2


@pytest.mark.parametrize("column", ["Image_size", "Train_Val_Test"])
def test_rows_of_one_slice_must_agree(tmp_path: Path, column: str) -> None:
    other = {"Image_size": "65, 48", "Train_Val_Test": "2"}[column]
    with pytest.raises(DataError, match=column) as caught:
        read_deeplesion(write(tmp_path, {}, {column: other}))
    assert caught.value.problem.kind == "case_disagrees"


def test_a_table_without_boxes_is_another_table(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("File_name,x\n1,2\n", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_deeplesion(tmp_path / "a.csv")
    assert caught.value.problem.kind == "missing_column"
