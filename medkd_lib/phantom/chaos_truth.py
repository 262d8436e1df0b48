"""One line of ``truth.csv`` of the ``chaos`` twin, and the numbers that its patients carry."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medkd_lib.phantom.abdomen_scan import STRENGTH, Difficulty
from medkd_lib.phantom.chaos_patient import ChaosPatient, Modality

TRAIN_NUMBERS: dict[Modality, tuple[int, ...]] = {
    "CT": (1, 2, 5, 6, 8, 10, 14, 16, 18, 19, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30),
    "MR": (1, 2, 3, 5, 8, 10, 13, 15, 19, 20, 21, 22, 31, 32, 33, 34, 36, 37, 38, 39),
}
"""Folders of the real training part (as public scripts list them); 40 is the last of all."""


def patient_number(modality: Modality, index: int) -> int:
    """Folder of patient ``index``: the real numbers first, then from 41 on."""
    known = TRAIN_NUMBERS[modality]
    return known[index] if index < len(known) else 41 + index - len(known)


def patient_name(modality: Modality, index: int) -> str:
    """Patient as the manifest's pattern names it, ``"MR/1"``."""
    return f"{modality}/{patient_number(modality, index)}"


@dataclass(frozen=True)
class TruthRow:
    """What only a phantom knows about one patient; the columns of ``truth.csv``.

    Attributes:
        patient: ``CT/n`` or ``MR/n``.
        liver_ml, right_kidney_ml, left_kidney_ml, spleen_ml: volume on the grid of the CT or of
            the T1, cut where the scan ends; for CT also of organs that its masks do not mark.
        liver_fat: share of the liver's protons in fat.
        fat_mm: fat under the skin of the flank.
        pixel_mm, slice_mm: voxel of the CT or of the T1.
        moved_y_mm, moved_z_mm: how far the body had moved for the T2, 0 for CT.
        t1_spread, t2_spread, t1_noise, t2_noise: of the difficulty, empty for CT.
        sigma_hu: noise of the CT, empty for MR.
    """

    patient: str
    liver_ml: float
    right_kidney_ml: float
    left_kidney_ml: float
    spleen_ml: float
    liver_fat: float
    fat_mm: float
    pixel_mm: float
    slice_mm: float
    moved_y_mm: float
    moved_z_mm: float
    t1_spread: float | str
    t2_spread: float | str
    t1_noise: float | str
    t2_noise: float | str
    sigma_hu: float | str


def truth_row(
    modality: Modality, index: int, patient: ChaosPatient, difficulty: Difficulty
) -> TruthRow:
    """Gather the truth of one patient."""
    first = "ct" if modality == "CT" else "t1"
    spacing = np.abs(np.diag(patient.affines[first])[:3])
    voxel_ml = float(np.prod(spacing)) / 1000.0
    counts = np.bincount(patient.organs[first].ravel(), minlength=5)
    liver, right, left, spleen = (round(float(n) * voxel_ml, 1) for n in counts[1:])
    strength = STRENGTH[difficulty]
    mr = modality == "MR"
    return TruthRow(
        patient=patient_name(modality, index),
        liver_ml=liver,
        right_kidney_ml=right,
        left_kidney_ml=left,
        spleen_ml=spleen,
        liver_fat=round(patient.person.liver_fat, 4),
        fat_mm=round(patient.person.fat_mm, 1),
        pixel_mm=round(float(spacing[0]), 4),
        slice_mm=round(float(spacing[2]), 3),
        moved_y_mm=round(patient.moved_mm[1], 2),
        moved_z_mm=round(patient.moved_mm[2], 2),
        t1_spread=strength.t1_spread if mr else "",
        t2_spread=strength.t2_spread if mr else "",
        t1_noise=strength.t1_noise if mr else "",
        t2_noise=strength.t2_noise if mr else "",
        sigma_hu="" if mr else round(patient.sigma_hu, 2),
    )
