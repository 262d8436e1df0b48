"""What only a phantom knows about a CT of the liver or the kidney set, and about each lesion."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medkd_lib.phantom.abdomen_agent import contrast_hu
from medkd_lib.phantom.abdomen_case import AbdomenCase
from medkd_lib.phantom.twin_files import write_table


@dataclass(frozen=True)
class LesionRow:
    """One lesion; the columns of ``lesions.csv``.

    Attributes:
        case: of the index.
        lesion: number from 1.
        kind: tumour or cyst.
        volume_ml: of its label.
        x_mm, y_mm, z_mm: middle of its label in the file's frame, LPS; empty without one.
        hu: of its solid part in this scan, had it been shown.
        mottle_hu: SD of its unevenness.
        necrosis: share that is fluid.
    """

    case: str
    lesion: int
    kind: str
    volume_ml: float
    x_mm: float | str
    y_mm: float | str
    z_mm: float | str
    hu: float
    mottle_hu: float
    necrosis: float


@dataclass(frozen=True)
class AbdomenRow:
    """One CT; the columns of ``truth.csv``.

    Attributes:
        case: of the index.
        patient: whom splits must keep together.
        difficulty: of the set.
        phase, kilovolts, dose, kernel, slice_mm: the protocol.
        sigma_hu: noise of the CT.
        organ_ml: of the label 1 with all lesions.
        organ_hu: of the liver, or of the kidneys' cortex.
        tumours, tumour_ml: how many, and their volume.
        cysts, cyst_ml: the same.
        liver_fat: share of fat in the liver.
    """

    case: str
    patient: str
    difficulty: str
    phase: str
    kilovolts: int
    dose: float
    kernel: str
    slice_mm: float
    sigma_hu: float
    organ_ml: float
    organ_hu: float
    tumours: int
    tumour_ml: float
    cysts: int
    cyst_ml: float
    liver_fat: float


def truth_of(
    case: AbdomenCase, name: str, patient: str, organ: str
) -> tuple[AbdomenRow, list[LesionRow]]:
    """Gather the truth of one CT.

    Args:
        case: which.
        name: of the case in the index.
        patient: whom splits must keep together.
        organ: tissue whose CT number is told.
    """
    protocol, ml = case.protocol, case.voxel_ml
    rows = [_lesion_row(case, name, n) for n in range(1, 1 + len(case.lesions))]
    of_kind = {kind: [r.volume_ml for r in rows if r.kind == kind] for kind in ("tumour", "cyst")}
    row = AbdomenRow(
        case=name,
        patient=patient,
        difficulty=case.difficulty,
        phase=protocol.phase,
        kilovolts=protocol.kilovolts,
        dose=round(protocol.dose, 4),
        kernel=protocol.kernel,
        slice_mm=protocol.slice_mm,
        sigma_hu=round(protocol.sigma_hu, 3),
        organ_ml=round(float((case.label > 0).sum()) * ml, 2),
        organ_hu=round(contrast_hu(case.person, protocol.phase, protocol.kilovolts)[organ], 2),
        tumours=len(of_kind["tumour"]),
        tumour_ml=round(sum(of_kind["tumour"]), 3),
        cysts=len(of_kind["cyst"]),
        cyst_ml=round(sum(of_kind["cyst"]), 3),
        liver_fat=round(case.person.liver_fat, 4),
    )
    return row, rows


def write_truth(
    folder: Path, cases: Iterable[tuple[AbdomenRow, list[LesionRow]]]
) -> list[AbdomenRow]:
    """Write ``truth.csv`` and ``lesions.csv``, and return the rows of the first."""
    told = list(cases)
    rows = [row for row, _ in told]
    write_table(folder / "truth.csv", AbdomenRow, rows)
    lesions = [lesion for _, lesions in told for lesion in lesions]
    write_table(folder / "lesions.csv", LesionRow, lesions)
    return rows


def _lesion_row(case: AbdomenCase, name: str, number: int) -> LesionRow:
    lesion = case.lesions[number - 1]
    index = np.argwhere(case.lesion_number == number)
    x: float | str = ""
    y: float | str = ""
    z: float | str = ""
    if len(index):
        lps = (case.affine @ np.append(index.mean(axis=0), 1.0))[:3] * [-1.0, -1.0, 1.0]
        x, y, z = (round(float(v), 2) for v in lps)
    return LesionRow(
        case=name,
        lesion=number,
        kind=lesion.kind,
        volume_ml=round(len(index) * case.voxel_ml, 3),
        x_mm=x,
        y_mm=y,
        z_mm=z,
        hu=round(lesion.hu(case.protocol.phase, case.protocol.kilovolts), 2),
        mottle_hu=lesion.mottle_hu,
        necrosis=round(lesion.necrosis, 4),
    )
