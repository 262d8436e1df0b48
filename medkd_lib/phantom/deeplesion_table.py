"""``DL_info.csv`` of the ``deeplesion`` twin: one row per marked lesion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from medkd_lib.phantom.chest_mediastinum import levels
from medkd_lib.phantom.nodule_boxes import Measurement
from medkd_lib.phantom.nodule_patient import NodulePatient
from medkd_lib.phantom.nodule_scan import NoduleScan
from medkd_lib.phantom.nodule_settings import Kind
from medkd_lib.phantom.twin_files import write_table

TYPES: Mapping[Kind, int] = MappingProxyType({"mediastinum": 3, "liver": 4, "lung": 5})
"""``Coarse_lesion_type`` as it is commonly given; not verified on the release."""

NOT_GIVEN = -1
"""Type of training rows."""

WINDOWS: Mapping[Kind, str] = MappingProxyType(
    {"lung": "-1500, 500", "mediastinum": "-175, 275", "liver": "-175, 275"}
)
"""``DICOM_windows``: that of soft tissue stands in the release's first row, that of lung is D."""


@dataclass(frozen=True)
class TableRow:
    """One row, its fields named and ordered as the release's columns."""

    File_name: str
    Patient_index: int
    Study_index: int
    Series_ID: int
    Key_slice_index: int
    Measurement_coordinates: str
    Bounding_boxes: str
    Lesion_diameters_Pixel_: str
    Normalized_lesion_location: str
    Coarse_lesion_type: int
    Possibly_noisy: int
    Slice_range: str
    Spacing_mm_px_: str
    Image_size: str
    DICOM_windows: str
    Patient_gender: str
    Patient_age: int
    Train_Val_Test: int


def table_row(
    case: str, numbers: Sequence[int], key: int, study: int, patient: NodulePatient,
    scan: NoduleScan, lesion: int, found: Measurement, age: int, split: int,
) -> TableRow:  # fmt: skip
    """Describe one measured lesion.

    Args:
        case: folder of the slices.
        numbers: of its slices, from the feet up.
        key: which of them was measured.
        study: of the patient, from 0.
        patient: whom.
        scan: the series.
        lesion: number within the patient.
        found: the measurement, in pixels.
        age: in years.
        split: 1 train, 2 validation, 3 test.
    """
    grown = patient.lesions[lesion]
    width, height, _ = scan.hu.shape
    x1, y1, x2, y2 = found.box
    # share of the way from the apex of the lungs to their base (D: the release's scale is unread)
    at = levels(patient.body)
    down = (patient.body.apex_mm - grown.mass.centre_mm[2]) / (patient.body.apex_mm - at["floor"])
    place = (0.5 * (x1 + x2) / width, 0.5 * (y1 + y2) / height, min(max(down, 0.0), 1.0))
    return TableRow(
        File_name=f"{case}_{numbers[key]:03d}.png",
        Patient_index=int(case.split("_")[0]),
        Study_index=study + 1,
        Series_ID=1,
        Key_slice_index=numbers[key],
        Measurement_coordinates=_list(found.points.ravel().tolist()),
        Bounding_boxes=_list(found.box),
        Lesion_diameters_Pixel_=_list(found.diameters_px),
        Normalized_lesion_location=_list(place),
        Coarse_lesion_type=NOT_GIVEN if split == 1 else TYPES[grown.kind],
        Possibly_noisy=0,
        Slice_range=f"{min(numbers)}, {max(numbers)}",
        Spacing_mm_px_=_list(scan.spacing_mm),
        Image_size=f"{width}, {height}",
        DICOM_windows=WINDOWS[grown.kind],
        Patient_gender="M" if patient.body.male else "F",
        Patient_age=age,
        Train_Val_Test=split,
    )


def write_table_rows(path: Path, rows: Sequence[TableRow]) -> None:
    """Write the table, sorted by file; lists of numbers stand in quotes, as in the release."""
    ordered = sorted(rows, key=lambda row: row.File_name)
    write_table(path, TableRow, ordered)


def _list(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.6g}" for value in values)
