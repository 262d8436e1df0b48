"""``DL_info.csv`` of DeepLesion: what was marked on which key slice."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medkd_lib.data.box_rules import sound_boxes
from medkd_lib.data.boxes import Floats
from medkd_lib.data.problems import DataError, Problem, bad
from medkd_lib.data.tables import read_table

COLUMNS = (
    "File_name", "Bounding_boxes", "Possibly_noisy", "Image_size", "DICOM_windows",
    "Coarse_lesion_type", "Train_Val_Test",
)  # fmt: skip
"""Columns that are read; the release has eleven more."""

SPLITS = {"1": "train", "2": "val", "3": "test"}

OFFSET_HU = -32768
"""Added to the stored values of the pictures (the release's own script)."""


@dataclass(frozen=True)
class KeySlice:
    """A slice on which something was marked.

    Attributes:
        folder: of its series, ``{patient}_{study}_{series}``.
        file: name of the picture in that folder.
        split: train, val or test.
        size: width and height, as the table states them.
        window_hu: lowest and highest CT number shown to the annotator, over all of its boxes.
        boxes: ``(N, 4)`` pixel edges. How the release counts its fractions of a pixel is not
            stated; they are taken as edges.
        types: ``Coarse_lesion_type`` of each, −1 where it is not given.
        problems: rows that were dropped, boxes that were cut.
    """

    folder: str
    file: str
    split: str
    size: tuple[int, int]
    window_hu: tuple[float, float]
    boxes: Floats
    types: tuple[int, ...]
    problems: tuple[Problem, ...]


def read_deeplesion(path: Path) -> list[KeySlice]:
    """Return the key slices of the table, in the order of their names.

    Rows with ``Possibly_noisy`` = 1 are left out, as the release advises: problem ``noisy_box``. A
    slice all of whose rows are dropped stays, with no box: it is marked somewhere, so do not take
    it for an empty one; its ``problems`` say so.

    Raises:
        DataError: those of the table, ``missing_field`` (no number, or an unknown split), and
            ``case_disagrees`` (rows of one slice state two sizes or splits).
    """
    rows: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in read_table(path, required=COLUMNS):
        rows[row["File_name"]].append(row)
    return [_key_slice(path, name, rows[name]) for name in sorted(rows)]


def _key_slice(path: Path, name: str, rows: list[dict[str, str]]) -> KeySlice:
    folder, _, file = name.rpartition("_")
    if not folder or not file.endswith(".png"):
        raise _wrong(path, name, "a File_name like 000001_01_01_109.png", repr(name))
    first = rows[0]
    for column in ("Image_size", "Train_Val_Test"):
        told = sorted({row[column] for row in rows})
        if len(told) > 1:
            raise bad(
                "case_disagrees", f"{path} {name}", expected=f"one {column} per slice",
                found=f"{told}", next_step="correct the table",
            )  # fmt: skip
    if first["Train_Val_Test"].strip() not in SPLITS:
        raise _wrong(path, name, "Train_Val_Test 1, 2 or 3", repr(first["Train_Val_Test"]))
    width, height = _numbers(path, name, first, "Image_size", 2)
    windows = [_numbers(path, name, row, "DICOM_windows", 2) for row in rows]
    if min(width, height) < 1 or any(low >= high for low, high in windows):
        raise _wrong(
            path, name, "sides of 1 or more and windows low < high",
            f"{first['Image_size']} and {[row['DICOM_windows'] for row in rows]}",
        )  # fmt: skip
    # A nodule and a node of one slice are marked in two windows.
    low, high = min(low for low, _ in windows), max(high for _, high in windows)
    size = (int(width), int(height))
    noisy = [_numbers(path, name, row, "Possibly_noisy", 1)[0] != 0 for row in rows]
    problems = [
        Problem(
            "noisy_box", f"{path} {name}", "Possibly_noisy 0", f"1 for {row['Bounding_boxes']}",
            "left out, as the release advises", severity="warning",
        )
        for row, doubtful in zip(rows, noisy, strict=True) if doubtful
    ]  # fmt: skip
    kept = [row for row, doubtful in zip(rows, noisy, strict=True) if not doubtful]
    stated = np.array([_numbers(path, name, row, "Bounding_boxes", 4) for row in kept])
    types = [int(_numbers(path, name, row, "Coarse_lesion_type", 1)[0]) for row in kept]
    stated = stated.reshape(-1, 4)
    labels = [f"lesion of type {t}" for t in types]
    boxes, keep, wrong = sound_boxes(stated, labels, size=size, where=f"{path} {name}")
    return KeySlice(
        folder, file, SPLITS[first["Train_Val_Test"].strip()], size, (low, high), boxes[keep],
        tuple(t for t, good in zip(types, keep, strict=True) if good), (*problems, *wrong),
    )  # fmt: skip


def _numbers(path: Path, name: str, row: dict[str, str], column: str, count: int) -> list[float]:
    try:
        values = [float(part) for part in row[column].split(",")]
    except ValueError:
        values = []
    if len(values) != count or not np.isfinite(values).all():
        raise _wrong(path, name, f"{count} number(s) in {column}", repr(row[column]))
    return values


def _wrong(path: Path, name: str, expected: str, found: str) -> DataError:
    return bad(
        "missing_field", f"{path} {name}", expected=expected, found=found,
        next_step="correct the table, or fetch it again",
    )  # fmt: skip
