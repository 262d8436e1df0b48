"""Regions told by name, as contours (RTSTRUCT) or as frames (SEG) → one mask of label ids."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from pydicom.uid import RTStructureSetStorage

from medkd_lib.data.dicom import Series
from medkd_lib.data.dicom_geometry import series_affine
from medkd_lib.data.dicom_order import order_slices
from medkd_lib.data.dicom_seg import open_dicom, read_seg, segment_mask
from medkd_lib.data.dicom_sort import BYSTANDERS, find_series
from medkd_lib.data.problems import bad
from medkd_lib.data.rtstruct import read_rtstruct, structure_mask
from medkd_lib.data.volume import Volume


def read_regions(path: Path, series: Path, regions: Mapping[str, int]) -> Volume:
    """Return named regions of a file on the grid of the series it was drawn on.

    Which regions a file holds varies with the patient: those of ``regions`` that it holds are
    read, all others passed over. Where two overlap, the later one of ``regions`` stands.

    Args:
        path: an RTSTRUCT or a SEG, or the folder that holds it alone.
        series: folder of the DICOM series.
        regions: name → label id.

    Returns:
        uint8 label ids, unit ``"label"``.

    Raises:
        DataError: ``no_such_region`` if the file has none of them; ``duplicate_role`` for a folder
            of several files, ``empty_folder`` for one without; and as the readers of either kind
            and of the series.
    """
    path = _file(Path(path))
    grid = _grid_of(series)
    masks: dict[str, Volume] = {}
    if str(open_dicom(path).get("SOPClassUID", "")) == RTStructureSetStorage:
        structures = read_rtstruct(path)
        there = structures.names
        masks = {n: structure_mask(structures, n, grid) for n in regions if n in there}
    else:
        segments = read_seg(path)
        there = list(segments.names)
        masks = {n: segment_mask(segments, n, grid) for n in regions if n in there}
    if not masks:
        raise bad(
            "no_such_region", path, expected=f"one of {list(regions)}", found=f"{there}",
            next_step="add the name that is there to the manifest's `regions`, or exclude the case",
        )  # fmt: skip
    array = np.zeros(grid.volume.shape, np.uint8)
    for name, mask in masks.items():
        array[mask.array > 0] = regions[name]
    return Volume(array, grid.volume.affine, "label")


def referred_series(path: Path) -> str:
    """Return the SeriesInstanceUID of the series that a SEG was drawn on.

    Args:
        path: the SEG, or the folder that holds it alone.

    Raises:
        DataError: ``bad_tag`` if it names none or several; and as for a file that is no DICOM.
    """
    path = _file(Path(path))
    named = open_dicom(path).get("ReferencedSeriesSequence") or []
    found = sorted({str(item.get("SeriesInstanceUID", "")) for item in named})
    if len(found) != 1 or not found[0]:
        raise bad(
            "bad_tag", path, expected="one series in ReferencedSeriesSequence", found=f"{found}",
            next_step="which image it was drawn on is not known: leave it out, or ask the source",
        )  # fmt: skip
    return found[0]


def _grid_of(folder: Path) -> Series:
    """Return a series without its voxels, which nobody needs to place a region."""
    found, _ = find_series(folder)
    slices, _ = order_slices(found, folder)
    affine, _ = series_affine(slices, folder)
    first = slices[0].header
    shape = (int(first.Columns), int(first.Rows), len(slices))
    # one stored zero, seen everywhere
    nothing = np.broadcast_to(np.zeros((), np.uint8), shape)
    return Series(Volume(nothing, affine, None), tuple(slices))


def _file(path: Path) -> Path:
    if not path.is_dir():
        return path
    hidden = (".", "__")
    files = [
        p for p in sorted(path.iterdir())
        if p.is_file() and not p.name.startswith(hidden) and p.name.lower() not in BYSTANDERS
    ]  # fmt: skip
    if not files:
        raise bad(
            "empty_folder", path, expected="an RTSTRUCT or a SEG", found="no file",
            next_step="fetch the data set again",
        )  # fmt: skip
    if len(files) > 1:
        raise bad(
            "duplicate_role", path, expected="one file with the regions",
            found=f"{len(files)}: {[p.name for p in files[:3]]}",
            next_step="leave the one that counts in this folder, or name it in the manifest's glob",
        )  # fmt: skip
    return files[0]
