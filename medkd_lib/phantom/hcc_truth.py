"""What only a phantom knows about an exam with liver cancer, and about each of its masses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medkd_lib.phantom.hcc_anatomy import TUMOUR, HccAnatomy
from medkd_lib.phantom.hcc_grade import GRADES
from medkd_lib.phantom.hcc_patient import HccPatient
from medkd_lib.phantom.hcc_tissue import CONTRAST_FACTOR, Phase, phase_hu
from medkd_lib.phantom.liver_segments import SEGMENTS, liver_segments


@dataclass(frozen=True)
class MassRow:
    """One mass; the columns of ``masses.csv``.

    Attributes:
        case: of the index.
        mass: number from 1.
        segment: Couinaud's, where its centre lies.
        volume_ml: of its label.
        x_mm, y_mm, z_mm: middle of its label in the file's frame, LPS.
        fdg_ratio, acetate_ratio: uptake over the liver's.
        contrast_hu: minus the liver, in the phase of the CT.
        mottle_hu: SD of its unevenness on CT.
    """

    case: str
    mass: int
    segment: str
    volume_ml: float
    x_mm: float
    y_mm: float
    z_mm: float
    fdg_ratio: float
    acetate_ratio: float
    contrast_hu: float
    mottle_hu: float


@dataclass(frozen=True)
class TruthRow:
    """One exam; the columns of ``truth.csv``. Means over masses are weighted by their volume.

    Attributes:
        case: of the index.
        patient: whom splits must keep together.
        grade: well, moderate or poor.
        difficulty: of the set.
        masses: how many.
        tumour_ml: of all masses.
        liver_ml: with masses and veins.
        fdg_suv, acetate_suv: true mean uptake of the masses, before any blur.
        fdg_liver_suv, acetate_liver_suv: of the liver.
        liver_hu: of the liver, in the phase of the CT.
        contrast_hu: mean contrast of the masses to it.
        mottle_hu: their mean mottle.
        sigma_hu: noise of the CT.
        liver_fat: share of fat in the liver.
        weight_kg: of the body.
    """

    case: str
    patient: str
    grade: str
    difficulty: str
    masses: int
    tumour_ml: float
    liver_ml: float
    fdg_suv: float
    acetate_suv: float
    fdg_liver_suv: float
    acetate_liver_suv: float
    liver_hu: float
    contrast_hu: float
    mottle_hu: float
    sigma_hu: float
    liver_fat: float
    weight_kg: float


def truth_of(
    case: str,
    name: str,
    patient: HccPatient,
    anatomy: HccAnatomy,
    affine: NDArray[np.float64],
    phase: Phase,
    sigma_hu: float,
) -> tuple[TruthRow, list[MassRow]]:
    """Gather the truth of one exam.

    Args:
        case: of the index.
        name: of the patient.
        patient: who.
        anatomy: on the CT's grid.
        affine: voxel → RAS+ millimetres of the CT.
        phase: of the CT.
        sigma_hu: its noise.
    """
    factor = CONTRAST_FACTOR[phase]
    voxel_ml = anatomy.grid.voxel_ml
    segments = liver_segments(anatomy.landmarks, anatomy.grid)
    rows = []
    for n, look in enumerate(patient.looks, start=1):
        index = np.argwhere(anatomy.mass_number == n)
        middle = index.mean(axis=0)
        x, y, z = (affine @ np.append(middle, 1.0))[:3] * [-1.0, -1.0, 1.0]
        i, j, k = np.rint(middle).astype(int)
        rows.append(
            MassRow(
                case, n, SEGMENTS[int(segments[i, j, k]) - 1], round(len(index) * voxel_ml, 3),
                round(float(x), 2), round(float(y), 2), round(float(z), 2),
                round(look.fdg_ratio, 4), round(look.acetate_ratio, 4),
                round(factor * look.contrast_hu, 3), round(look.mottle_hu, 3),
            )
        )  # fmt: skip
    weights = np.array([row.volume_ml for row in rows])

    def mean(attribute: str) -> float:
        return float(np.average([getattr(row, attribute) for row in rows], weights=weights))

    liver = (anatomy.organs == 1) | (anatomy.regions == TUMOUR)
    fdg, acetate = patient.liver_suv["fdg"], patient.liver_suv["acetate"]
    row = TruthRow(
        case=case,
        patient=name,
        grade=GRADES[patient.grade],
        difficulty=patient.difficulty,
        masses=len(rows),
        tumour_ml=round(float(weights.sum()), 2),
        liver_ml=round(float(liver.sum()) * voxel_ml, 1),
        fdg_suv=round(mean("fdg_ratio") * fdg, 4),
        acetate_suv=round(mean("acetate_ratio") * acetate, 4),
        fdg_liver_suv=round(fdg, 4),
        acetate_liver_suv=round(acetate, 4),
        liver_hu=round(phase_hu(patient.person, phase)["liver"], 2),
        contrast_hu=round(mean("contrast_hu"), 3),
        mottle_hu=round(mean("mottle_hu"), 3),
        sigma_hu=round(sigma_hu, 2),
        liver_fat=round(patient.person.liver_fat, 4),
        weight_kg=patient.weight_kg,
    )
    return row, rows
