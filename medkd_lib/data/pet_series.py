"""Headers of a PET series, read once where slices share them: one weight, one dose, one clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pydicom.tag import Tag

from medkd_lib.data.dicom_sort import Slice
from medkd_lib.data.pet_header import PETHeader

SERIES_WIDE = {
    "units": "Units",
    "suv_type": "SUVType",
    "decay_correction": "DecayCorrection",
    "weight_kg": "PatientWeight",
    "dose_bq": "RadionuclideTotalDose",
    "half_life_s": "RadionuclideHalfLife",
    "injected": "RadiopharmaceuticalStartDateTime",
    "injected_clock": "RadiopharmaceuticalStartTime",
    "series_start": "SeriesDate and SeriesTime",
}
"""Attribute → tag. They belong to patient, injection or series (DICOM PS3.3 A.21), so two values
mean files of two scans. AcquisitionTime and ActualFrameDuration are each slice's own."""

TAGS = (
    *(
        Tag(keyword)
        for keyword in (
            "RadiopharmaceuticalInformationSequence", "Units", "SUVType", "DecayCorrection",
            "CorrectedImage", "PatientWeight", "ActualFrameDuration", "SeriesDate", "SeriesTime",
            "AcquisitionDate", "AcquisitionTime",
        )
    ),
    *(Tag(0x7053, element) for element in (0x0010, 0x1000, 0x1009)),
)  # fmt: skip
"""All that `PETHeader.of` looks at."""


def read_headers(slices: Sequence[Slice]) -> list[PETHeader]:
    """Return one header per slice; slices that hold the same elements share what they say.

    Raises:
        DataError: what `PETHeader.of` raises.
    """
    # Before any of them is looked at: pydicom puts a new object in the place of what it converts.
    held = [tuple(id(s.header.get_item(tag)) for tag in TAGS) for s in slices]
    read: dict[tuple[int, ...], PETHeader] = {}
    headers = []
    for s, key in zip(slices, held, strict=True):
        if key not in read:
            read[key] = PETHeader.of(s.header, s.path)
        headers.append(replace(read[key], where=str(s.path)))
    return headers


def require_one_value(headers: Sequence[PETHeader]) -> None:
    """Refuse slices whose headers give two values for what a series has one of.

    Raises:
        DataError: ``mixed_values``, naming the tag and both values.
    """
    for name, tag in SERIES_WIDE.items():
        first = getattr(headers[0], name)
        for header in headers[1:]:
            if (other := getattr(header, name)) != first:
                raise header.error(
                    "mixed_values", f"one {tag} in the series: {_told(first)} as in "
                    f"{headers[0].where}", _told(other),
                    "give each scan a folder of its own, or ask the source which value holds",
                )  # fmt: skip


def _told(value: object) -> str:
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
