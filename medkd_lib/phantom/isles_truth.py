"""One line of ``truth.csv``: what only a phantom knows about a case of the ISLES twin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medkd_lib.phantom.isles_patient import StrokePatient, StrokeScan
from medkd_lib.phantom.opacities import Difficulty


@dataclass(frozen=True)
class IslesTruth:
    """The columns of ``truth.csv``.

    Attributes:
        case: name of the folder.
        patient_number: its digits.
        known_issue: kind of the oddity built in, empty for a usual case.
        difficulty: of the set; in ``none`` the images were taken of the brain as it was before.
        centre: virtual hospital, a domain of its own.
        field_t: field strength, tesla.
        territory: of the shut artery; empty without an infarct.
        side: patient's side: left or right; empty without an infarct.
        pieces: number of infarcts.
        infarct_ml: dead tissue on the DWI grid, partial volumes included.
        mask_ml: volume of the mask.
        age_h: hours since the onset; 0 without an infarct.
        adc_ratio: ADC of dead tissue over that of the same alive, before the contrast was lowered.
        contrast: 1 = diffusion and T2 as measured in infarcts.
        noise: of the scanner, share of white matter at b = 0.
        bias: shading of the scanner.
        dwi_pixel_mm: in the plane of DWI, ADC and mask.
        dwi_slice_mm: distance of their slices.
        flair_pixel_mm: in the plane of FLAIR.
        flair_slice_mm: distance of its slices.
        moved_mm: how far the head moved before FLAIR.
        turned_deg: how far it turned, about all three axes together.
        brain_ml: volume inside the stripped edge.
        atrophy: 0…1.
    """

    case: str
    patient_number: int
    known_issue: str
    difficulty: str
    centre: str
    field_t: float
    territory: str
    side: str
    pieces: int
    infarct_ml: float
    mask_ml: float
    age_h: float
    adc_ratio: float
    contrast: float
    noise: float
    bias: float
    dwi_pixel_mm: float
    dwi_slice_mm: float
    flair_pixel_mm: float
    flair_slice_mm: float
    moved_mm: float
    turned_deg: float
    brain_ml: float
    atrophy: float


def truth_of(
    case: str, number: int, issue: str, difficulty: Difficulty, patient: StrokePatient,
    scan: StrokeScan,
) -> IslesTruth:  # fmt: skip
    """Gather the truth of one case."""
    infarct = patient.infarct
    dwi, flair = (patient.grids[name].grid for name in ("dwi", "flair"))
    turned = np.subtract(patient.brain_later.rotation_deg, patient.brain.rotation_deg)
    return IslesTruth(
        case=case,
        patient_number=number,
        known_issue=issue,
        difficulty=difficulty,
        centre=patient.centre.name,
        field_t=patient.centre.field_t,
        territory=infarct.pieces[0].territory if infarct else "",
        side=infarct.pieces[0].side if infarct else "",
        pieces=len(infarct.pieces) if infarct else 0,
        infarct_ml=round(scan.infarct_ml, 3),
        mask_ml=round(float(scan.mask.sum(dtype=np.int64)) * dwi.voxel_ml, 3),
        age_h=round(infarct.age_h, 2) if infarct else 0.0,
        adc_ratio=round(infarct.adc_ratio, 4) if infarct else 1.0,
        contrast=round(patient.contrast, 4) if infarct else 0.0,
        noise=round(patient.noise, 5),
        bias=round(patient.bias, 4),
        dwi_pixel_mm=dwi.spacing_mm[0],
        dwi_slice_mm=dwi.spacing_mm[2],
        flair_pixel_mm=flair.spacing_mm[0],
        flair_slice_mm=flair.spacing_mm[2],
        moved_mm=round(patient.moved_mm, 3),
        turned_deg=round(float(np.linalg.norm(turned)), 3),
        brain_ml=round(scan.brain_ml, 1),
        atrophy=round(patient.brain.atrophy, 4),
    )
