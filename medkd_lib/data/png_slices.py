"""Folder of PNG masks drawn slice by slice on a DICOM series → a volume on the series' grid.

CHAOS's masks come this way. A picture knows neither its voxel size nor its height; the file it
was drawn on knows both, so nothing about the order along z has to be stated or guessed.
"""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import numpy as np

from medkd_lib.data.dicom_geometry import series_affine
from medkd_lib.data.dicom_order import order_slices
from medkd_lib.data.dicom_sort import find_series
from medkd_lib.data.png_stack import HIDDEN, grey_slice
from medkd_lib.data.problems import DataError, bad
from medkd_lib.data.volume import Volume


def read_png_slices(folder: Path, series: Path) -> Volume:
    """Return the pictures of a folder as one volume on the grid of the series they belong to.

    The n-th picture belongs to the n-th file of the series, both in the order of the numbers in
    their names, whichever way these run along z; where names agree without their suffix (MR in
    CHAOS), all must.

    Args:
        folder: holds ``*.png``, one per slice.
        series: folder of the DICOM series.

    Returns:
        Unsigned integers (columns, rows, slices) with the affine of the series.

    Raises:
        DataError: ``no_slices``, ``unnumbered``, ``duplicate_number``, ``grid_mismatch``,
            ``mixed_matrix``, ``colour``, ``unreadable``; and whatever the series itself raises.
    """
    found, _ = find_series(series)
    slices, _ = order_slices(found, series)
    affine, _ = series_affine(slices, series)
    pictures = _in_order(
        [
            p for p in folder.iterdir()
            if p.suffix.lower() == ".png" and not p.name.startswith(HIDDEN)
        ],
        folder,
    )  # fmt: skip
    files = _in_order([s.path for s in slices], series)
    _require_partners(pictures, files, folder, series)
    place = {s.path: k for k, s in enumerate(slices)}
    shape = (int(slices[0].header.Rows), int(slices[0].header.Columns))
    array = np.zeros((*shape[::-1], len(slices)), np.uint8)
    for picture, file in zip(pictures, files, strict=True):
        pixels = grey_slice(picture)
        if pixels.shape != shape or pixels.dtype != np.uint8:
            raise bad(
                "mixed_matrix", picture, expected=f"{shape} uint8, as {file.name} has pixels",
                found=f"{pixels.shape} {pixels.dtype}",
                next_step="this mask was drawn on another series: correct `slices_of`",
            )  # fmt: skip
        array[:, :, place[file]] = pixels.T
    return Volume(array, affine, None, ())


def _in_order(paths: list[Path], folder: Path) -> list[Path]:
    """Return files in the order of all the numbers in their names."""
    if not paths:
        raise bad(
            "no_slices", folder, expected="PNG slices", found="none",
            next_step="check the folder's name",
        )  # fmt: skip
    numbers = {p: tuple(int(n) for n in re.findall(r"\d+", p.stem)) for p in paths}
    for path, own in numbers.items():
        if not own:
            raise bad(
                "unnumbered", path, expected="a number in the name, as in liver_GT_012.png",
                found="none", next_step="rename it, or take it out of the folder",
            )  # fmt: skip
    ordered = sorted(paths, key=lambda p: numbers[p])
    for before, after in pairwise(ordered):
        if numbers[before] == numbers[after]:
            raise bad(
                "duplicate_number", folder, expected="every number once",
                found=f"{before.name} and {after.name}", next_step="fetch the folder again",
            )  # fmt: skip
    return ordered


def _require_partners(pictures: list[Path], files: list[Path], folder: Path, series: Path) -> None:
    """Refuse pictures that do not fit the series one to one."""
    if len(pictures) != len(files):
        raise _apart(folder, f"{len(files)} slices, as {series}", f"{len(pictures)}")
    names, stems = [p.stem for p in pictures], [f.stem for f in files]
    if set(names) & set(stems) and names != stems:
        odd = next(n for n, stem in zip(names, stems, strict=True) if n != stem)
        raise _apart(folder, f"the names of {series}", f"{odd}.png without a slice of that name")


def _apart(folder: Path, expected: str, found: str) -> DataError:
    return bad(
        "grid_mismatch", folder, expected=expected, found=found,
        next_step="fetch both folders again, or correct `slices_of` in the manifest",
    )  # fmt: skip
