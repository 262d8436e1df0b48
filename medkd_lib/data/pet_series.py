"""One weight, one dose, one clock: what must not change from slice to slice of a PET series."""

from __future__ import annotations

from collections.abc import Sequence

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
