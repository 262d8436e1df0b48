"""Slices in their order: the place along the normal decides, never names or InstanceNumber."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medkd_lib.data.dicom_sort import Slice
from medkd_lib.data.problems import DataError, Problem, bad

Vectors = NDArray[np.float64]

SAME_PLACE_MM = 0.01
"""Positions are decimal strings of 16 digits; nearer than this two slices are at one place."""

COSINE_TOLERANCE = 1e-3
"""Between direction cosines: 0.06°, a tenth of a voxel over 100 slices."""

TELLING = (
    "TemporalPositionIdentifier", "EchoTime", "EchoNumbers", "DiffusionBValue", "TriggerTime",
    "ImageType", "ConvolutionKernel", "RescaleSlope", "RescaleIntercept", "AcquisitionTime",
    "ContentTime",
)  # fmt: skip
"""Tags that tell images at one place apart, besides AcquisitionNumber."""

CHOOSE = (
    "choose one in Python, read_dicom(folder, acquisition=NUMBER), for instance the one the mask "
    "was drawn on; or give each a folder of its own"
)


def order_slices(slices: Sequence[Slice], folder: Path) -> tuple[list[Slice], list[Problem]]:
    """Return the slices along their normal, copies of one slice dropped.

    Raises:
        DataError: ``no_position``, ``mixed_orientation``, ``mixed_matrix``, ``mixed_spacing``,
            ``mixed_units``, ``two_phases`` (AcquisitionNumbers named), ``same_position``.
    """
    positions, normal = positions_of(slices), normal_of(slices)
    _require_one(slices, folder, "mixed_matrix", ("Rows", "Columns"))
    _require_one(slices, folder, "mixed_spacing", ("PixelSpacing",))
    _require_one(slices, folder, "mixed_units", ("Units",))
    depth = positions @ normal
    kept: list[Slice] = []
    copies: list[str] = []
    places: list[list[Slice]] = []
    before = -np.inf
    for i in np.argsort(depth, kind="stable").tolist():
        if depth[i] - before <= SAME_PLACE_MM:
            places[-1].append(slices[i])
        else:
            places.append([slices[i]])
        before = depth[i]
    for place in places:
        first, *others = sorted(place, key=lambda s: s.path.name)
        same = [s for s in others if _values(s) == _values(first)]
        if len(same) < len(others):
            raise _same_place(slices, places, folder)
        copies += [s.path.name for s in same]
        kept.append(first)
    _require_not_interleaved(kept, folder)
    if not copies:
        return kept, []
    note = Problem(
        "duplicate_slices", str(folder), "every slice once",
        f"{len(copies)} files with the place and the values of another: {copies[:4]}",
        "nothing to do: one of each is kept", severity="repaired",
    )  # fmt: skip
    return kept, [note]


def positions_of(slices: Sequence[Slice]) -> Vectors:
    """Return ImagePositionPatient per slice, LPS mm, or raise `DataError` ``no_position``."""
    for s in slices:
        for keyword, n in (("ImagePositionPatient", 3), ("ImageOrientationPatient", 6)):
            value = s.header.get(keyword)
            if value is None or len(value) != n:
                raise bad(
                    "no_position", s.path, expected=f"{keyword} of {n} numbers", found=f"{value}",
                    next_step="use another export: SliceLocation and InstanceNumber do not say "
                    "where a slice lies",
                )  # fmt: skip
    return np.array([[float(x) for x in s.header.ImagePositionPatient] for s in slices])


def normal_of(slices: Sequence[Slice]) -> Vectors:
    """Return the common normal, row × column, LPS.

    Raises:
        DataError: ``mixed_orientation`` or ``bad_orientation``.
    """
    cosines = np.array([[float(x) for x in s.header.ImageOrientationPatient] for s in slices])
    odd = int(np.abs(cosines - cosines[0]).max(axis=1).argmax())
    if np.abs(cosines[odd] - cosines[0]).max() > COSINE_TOLERANCE:
        raise bad(
            "mixed_orientation", slices[odd].path,
            expected=f"the orientation of {slices[0].path.name}: {cosines[0].round(4).tolist()}",
            found=f"{cosines[odd].round(4).tolist()}",
            next_step="give each orientation a folder of its own (a localizer has several)",
        )  # fmt: skip
    row, column = cosines[0, :3], cosines[0, 3:]
    lengths = np.array([row @ row, column @ column, 1 + row @ column])
    if np.abs(lengths - 1).max() > COSINE_TOLERANCE:
        raise bad(
            "bad_orientation", slices[0].path, expected="two unit vectors at right angles",
            found=f"{cosines[0].tolist()}", next_step="fetch the series again; tags are damaged",
        )  # fmt: skip
    return np.cross(row, column)


def _require_one(
    slices: Sequence[Slice], folder: Path, kind: str, keywords: tuple[str, ...]
) -> None:
    counts = Counter(tuple(s.text(k) for k in keywords) for s in slices)
    if len(counts) > 1:
        found = {" × ".join(value): n for value, n in counts.most_common(4)}
        raise bad(
            kind, folder, expected=f"one {' and '.join(keywords)}",
            found=f"slices by value: {found}", next_step="give each image a folder of its own",
        )  # fmt: skip


def _require_not_interleaved(ordered: Sequence[Slice], folder: Path) -> None:
    """Refuse two CT phases whose slices alternate: evenly spaced, they would pass as one image.

    Acquisitions that follow one another (step and shoot) are one image.
    """
    numbers = [s.text("AcquisitionNumber") for s in ordered]
    changes = sum(a != b for a, b in pairwise(numbers))
    if ordered[0].text("Modality") != "CT" or changes < len(set(numbers)):
        return
    raise bad(
        "two_phases", folder, expected="acquisitions one after another",
        found=f"slices of AcquisitionNumber {sorted(set(numbers))} in turns",
        next_step=CHOOSE,
    )  # fmt: skip


def _values(s: Slice) -> tuple[object, ...]:
    """Return what voxels are made of: the same pixels scaled otherwise are no copy."""
    pixels = bytes(s.header.get("PixelData") or b"")
    scale = [float(t) if (t := s.text(k)) else None for k in ("RescaleSlope", "RescaleIntercept")]
    return (pixels, *scale, *(s.text(k) for k in ("BitsStored", "PixelRepresentation")))


def _same_place(slices: Sequence[Slice], places: list[list[Slice]], folder: Path) -> DataError:
    """Name what tells the images at one place apart."""
    counts = Counter(s.text("AcquisitionNumber") for s in slices)
    numbers = [[s.text("AcquisitionNumber") for s in place] for place in places]
    crowded = sum(len(place) > 1 for place in places)
    found = f"{crowded} of {len(places)} places hold several different slices"
    if len(counts) > 1 and all(len(set(n)) == len(n) for n in numbers):
        listed = ", ".join(f"{k or 'none'} ({n} slices)" for k, n in sorted(counts.items()))
        return bad(
            "two_phases", folder, expected="one image in the series",
            found=f"{found}; AcquisitionNumber {listed}",
            next_step=CHOOSE,
        )  # fmt: skip
    several = next(place for place in places if len(place) > 1)
    differ = [k for k in TELLING if len({s.text(k) for s in several}) > 1]
    return bad(
        "same_position", folder, expected="one slice at every place",
        found=f"{found} ({', '.join(s.path.name for s in several[:3])}), told apart by "
        f"{differ or 'their pixels alone'}",
        next_step="sort the files by that into folders of one image each",
    )  # fmt: skip
