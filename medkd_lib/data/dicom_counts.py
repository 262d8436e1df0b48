"""What the tags of a series count against what was found: distance and number of its slices.

Tags: DICOM PS3.3 C.7.6.2 (SliceThickness, SpacingBetweenSlices), C.7.6.1 (InstanceNumber,
ImagesInAcquisition), C.8.9.1 (NumberOfSlices of PET). A series whose ends were cut off and whose
header counts nothing cannot be told from a whole one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from pydicom.multival import MultiValue

from medkd_lib.data.dicom_sort import Slice
from medkd_lib.data.problems import Problem

CLEARLY_THICKER = 1.5
"""Slices this many thicknesses apart are reported: MR leaves gaps of a tenth to a third."""

CLEARLY_APART = 1.1
"""The same for SpacingBetweenSlices, which states the distance itself."""


def thickness_problems(slices: Sequence[Slice], distance_mm: float, folder: Path) -> list[Problem]:
    """Warn (``thickness_disagrees``) of slices that lie much further apart than they say.

    Thicker than the distance is fine: the slices overlap. SpacingBetweenSlices goes first.
    """
    for keyword, limit in (
        ("SpacingBetweenSlices", CLEARLY_APART),
        ("SliceThickness", CLEARLY_THICKER),
    ):
        stated = [v for s in slices if (v := abs(_number(s, keyword) or 0.0)) > 0]
        if not stated:
            continue
        if distance_mm <= limit * max(stated):
            return []
        return [
            Problem(
                "thickness_disagrees", str(folder), f"slices about {max(stated):g} mm apart, as "
                f"{keyword} says", f"one every {distance_mm:g} mm",
                "check whether every second slice (or more) was left out", severity="warning",
            )
        ]  # fmt: skip
    return []


def count_problems(
    found: Sequence[Slice], ordered: Sequence[Slice], folder: Path, *, whole: bool
) -> list[Problem]:
    """Warn (``fewer_slices``) if the tags count more slices than are there.

    Args:
        found: all slices, copies included.
        ordered: the slices of the volume.
        folder: for the message.
        whole: nothing was chosen or left out of the series: what counts all of it can be compared,
            and gaps in InstanceNumber mean missing files.
    """
    told: list[str] = []
    stated = max((int(_number(s, "NumberOfSlices") or 0) for s in ordered), default=0)
    if whole and stated > len(ordered):
        told.append(f"NumberOfSlices {stated}")
    groups: dict[str, list[Slice]] = defaultdict(list)
    for s in ordered:
        groups[s.text("AcquisitionNumber")].append(s)
    for name, group in groups.items():
        images = max(int(_number(s, "ImagesInAcquisition") or 0) for s in group)
        if images > len(group):
            told.append(f"ImagesInAcquisition {images} for {len(group)} of number {name or 'none'}")
    numbers = {int(n) for s in found if (n := _number(s, "InstanceNumber")) is not None}
    if whole and numbers and (gaps := max(numbers) - min(numbers) + 1 - len(numbers)):
        told.append(f"InstanceNumbers {min(numbers)} to {max(numbers)} without {gaps} of them")
    if not told:
        return []
    return [
        Problem(
            "fewer_slices", str(folder), "as many slices as the tags count",
            f"{len(ordered)} slices; {'; '.join(told)}",
            "compare with the source: slices at the ends may be missing", severity="warning",
        )
    ]  # fmt: skip


def _number(s: Slice, keyword: str) -> float | None:
    value = s.header.get(keyword)
    return None if value is None or isinstance(value, MultiValue) or value == "" else float(value)
