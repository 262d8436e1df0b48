"""Tags that a volume is made of, parsed before anything relies on them.

pydicom converts a value when it is first looked at, so a damaged tag would surface anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydicom import Dataset
from pydicom.multival import MultiValue

from medkd_lib.data.problems import bad

NEEDED = ("Rows", "Columns", "BitsAllocated", "BitsStored", "PixelRepresentation")

NUMBERS = (
    *NEEDED, "SamplesPerPixel", "NumberOfFrames", "ImagePositionPatient",
    "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "SpacingBetweenSlices",
    "InstanceNumber", "ImagesInAcquisition", "NumberOfSlices",
    "RescaleSlope", "RescaleIntercept", "PixelPaddingValue", "PixelPaddingRangeLimit",
    "PatientWeight", "ActualFrameDuration",
)  # fmt: skip

WORDS = (
    "Modality", "PatientID", "PatientName", "SeriesInstanceUID", "SeriesNumber",
    "SeriesDescription", "AcquisitionNumber", "ImageType", "PhotometricInterpretation",
    "RescaleType", "Units", "SOPClassUID",
)  # fmt: skip


def require_readable_tags(header: Dataset, where: Path, needed: Sequence[str]) -> None:
    """Refuse a data set whose tags cannot be parsed, or that lacks a needed one.

    Raises:
        DataError: ``bad_tag``, naming the tag.
    """
    for keyword in (*NUMBERS, *WORDS):
        try:
            value = header.get(keyword)
            if keyword in NUMBERS:
                _numbers(value)
        except Exception as error:  # pydicom's types vary with the damage; all mean the same
            raise _damaged(keyword, where, f"{type(error).__name__}: {error}") from error
        if keyword in needed and value is None:
            raise _damaged(keyword, where, "no such tag")


def _numbers(value: object) -> None:
    items: Sequence[object] = value if isinstance(value, MultiValue) else [value]
    for item in items:
        if item is not None and str(item) != "" and not np.isfinite(float(str(item))):
            raise ValueError(f"{item} is not finite")


def _damaged(keyword: str, where: Path, found: str) -> Exception:
    return bad(
        "bad_tag", where, expected=f"a readable {keyword}", found=found,
        next_step="fetch the file again; its header is damaged",
    )  # fmt: skip
