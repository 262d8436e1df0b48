"""``truth.csv`` and ``boxes.csv`` of the detection twins: what only a phantom knows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from medkd_lib.phantom.nodule_boxes import Box
from medkd_lib.phantom.nodule_patient import NodulePatient
from medkd_lib.phantom.nodule_scan import NoduleScan
from medkd_lib.phantom.twin_files import write_table


@dataclass(frozen=True)
class CaseRow:
    """One line of ``truth.csv``: a case as the index lists it.

    Attributes:
        case: a series, a folder of slices, or a picture.
        patient: whom a split must keep together.
        difficulty: of the set.
        split: the release's own, empty if it has none.
        histology: A, B, E, G, or empty.
        scanner, kernel, thickness_mm, sigma_hu, pixel_mm: how it was scanned.
        window: shown grey values as ``low..high`` HU, empty if the files hold HU.
        height_mm: middle slice of the case over the patient's lesion looked for.
        images: slices or pictures of the case.
        with_lesion: those on which a lesion takes half of a pixel or more.
        with_box: those with a box.
        lesions, mimics: of the patient, in the scan or not.
    """

    case: str
    patient: str
    difficulty: str
    split: str
    histology: str
    scanner: str
    kernel: str
    thickness_mm: float
    sigma_hu: float
    pixel_mm: float
    window: str
    height_mm: float
    images: int
    with_lesion: int
    with_box: int
    lesions: int
    mimics: int


@dataclass(frozen=True)
class BoxRow:
    """One line of ``boxes.csv``: a lesion on an image, drawn or not.

    Attributes:
        case: as in ``truth.csv``.
        image: name of the slice or picture.
        patient: as in ``truth.csv``.
        lesion: number within the patient; 0 is the one looked for.
        kind: lung, mediastinum, liver.
        diameter_mm: of a ball of the lesion's volume.
        visibility: share of the lesion's voxels that is lesion.
        contrast_hu: what the lesion adds to the tissue around it.
        contrast_to_noise: the same over the noise of a pixel, without sign.
        area_px: pixels of the mask.
        true_x1, true_y1, true_x2, true_y2: box of the mask, pixel edges.
        marked: 1 if somebody drew it.
        x1, y1, x2, y2: what was drawn, pixel edges; empty if nothing was.
    """

    case: str
    image: str
    patient: str
    lesion: int
    kind: str
    diameter_mm: float
    visibility: float
    contrast_hu: float
    contrast_to_noise: float
    area_px: int
    true_x1: float
    true_y1: float
    true_x2: float
    true_y2: float
    marked: int
    x1: float | str = ""
    y1: float | str = ""
    x2: float | str = ""
    y2: float | str = ""


Rows = tuple[list[CaseRow], list[BoxRow]]


def box_row(
    case: str, image: str, name: str, patient: NodulePatient, scan: NoduleScan, lesion: int, k: int,
    true: Box, drawn: Box | None,
) -> BoxRow:  # fmt: skip
    """Gather the truth of one lesion on slice ``k`` of a scan."""
    grown = patient.lesions[lesion]
    contrast = scan.contrasts_hu[lesion]
    row = BoxRow(
        case=case,
        image=image,
        patient=name,
        lesion=lesion,
        kind=grown.kind,
        diameter_mm=round(grown.diameter_mm, 1),
        visibility=round(grown.visibility, 3),
        contrast_hu=round(contrast, 1),
        contrast_to_noise=round(abs(contrast) / scan.sigma_hu, 2),
        area_px=int(scan.mask(lesion)[:, :, k].sum()),
        true_x1=true[0],
        true_y1=true[1],
        true_x2=true[2],
        true_y2=true[3],
        marked=int(drawn is not None),
    )
    if drawn is None:
        return row
    x1, y1, x2, y2 = (round(edge, 3) for edge in drawn)
    return BoxRow(**{**vars(row), "x1": x1, "y1": y1, "x2": x2, "y2": y2})


def case_row(
    case: str, name: str, difficulty: str, patient: NodulePatient, scan: NoduleScan,
    boxes: list[BoxRow], *, images: int, split: str = "", histology: str = "", window: str = "",
    height_mm: float = 0.0,
) -> CaseRow:  # fmt: skip
    """Gather the truth of one case from its scan and its boxes."""
    return CaseRow(
        case=case,
        patient=name,
        difficulty=difficulty,
        split=split,
        histology=histology,
        scanner=scan.scanner.name,
        kernel=scan.scanner.kernel,
        thickness_mm=scan.scanner.thickness_mm,
        sigma_hu=round(scan.sigma_hu, 2),
        pixel_mm=round(scan.spacing_mm[0], 4),
        window=window,
        height_mm=round(height_mm, 1),
        images=images,
        with_lesion=len({row.image for row in boxes}),
        with_box=len({row.image for row in boxes if row.marked}),
        lesions=len(patient.lesions),
        mimics=len(patient.mimics),
    )


def write_truth(folder: Path, found: Iterable[Rows]) -> None:
    """Write both tables, sorted by case, image and lesion."""
    cases: list[CaseRow] = []
    boxes: list[BoxRow] = []
    for some_cases, some_boxes in found:
        cases += some_cases
        boxes += some_boxes
    cases.sort(key=lambda row: row.case)
    write_table(folder / "truth.csv", CaseRow, cases)
    boxes.sort(key=lambda row: (row.case, row.image, row.lesion))
    write_table(folder / "boxes.csv", BoxRow, boxes)
