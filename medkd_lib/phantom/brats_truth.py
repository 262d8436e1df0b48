"""One line of ``truth.csv``: what only a phantom knows about a case of a BraTS twin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medkd_lib.phantom.brain import BrainAnatomy
from medkd_lib.phantom.brain_frame import ATLAS_CENTRE_MM, to_grid_mm
from medkd_lib.phantom.brain_lesion_layers import ENHANCING
from medkd_lib.phantom.brats_patient import TUMOUR_OF, BratsPatient

SEEN_SHARE = 0.5
"""A tumour is seen in the labels if a voxel holds at least this share of its solid part."""


@dataclass(frozen=True)
class BratsTruth:
    """The columns of ``truth.csv``.

    Attributes:
        case: name of the folder.
        patient_number: middle field of the name; what splits must group by.
        timepoint: 0, or 1 for a second visit.
        known_issue: kind of the defect built in, empty for a sound case.
        difficulty: of the set; in ``none`` the images were taken without the tumours.
        tumour: glioma, metastasis or meningioma.
        side: patient's side: left, right or both.
        lesions: number of tumours.
        lesions_seen: those large enough for at least one labelled voxel.
        at_falx: 1 for a meningioma of the falx.
        necrosis_ml: volume of label 1.
        oedema_ml: volume of label 2.
        enhancing_ml: volume of label 3.
        largest_mm: diameter of a ball of the largest tumour's volume, oedema left out.
        centre_x_mm: world (RAS+) place of the largest tumour's centre; the grid's middle lies at
            −119.5, lower is further to the patient's left.
        centre_y_mm: the same, anterior.
        centre_z_mm: the same, superior.
        gd_mm: contrast agent in the enhancing part, mmol/L.
        oedema_contrast: 0 = like white matter, 1 = full.
        noise: of the scanner, share of white matter.
        bias: shading of the scanner.
        field_t: field strength, tesla.
        brain_ml: volume inside the stripped edge.
        grey_ml: cortex, cerebellar cortex and nuclei.
        white_ml: white matter.
        ventricle_ml: ventricles.
        atrophy: 0…1.
        rotation_deg: turn about the vertical axis.
    """

    case: str
    patient_number: int
    timepoint: int
    known_issue: str
    difficulty: str
    tumour: str
    side: str
    lesions: int
    lesions_seen: int
    at_falx: int
    necrosis_ml: float
    oedema_ml: float
    enhancing_ml: float
    largest_mm: float
    centre_x_mm: float
    centre_y_mm: float
    centre_z_mm: float
    gd_mm: float
    oedema_contrast: float
    noise: float
    bias: float
    field_t: float
    brain_ml: float
    grey_ml: float
    white_ml: float
    ventricle_ml: float
    atrophy: float
    rotation_deg: float


def truth_of(
    case: str,
    patient_number: int,
    timepoint: int,
    difficulty: str,
    patient: BratsPatient,
    anatomy: BrainAnatomy,
    labels: NDArray[np.uint8],
) -> BratsTruth:
    """Gather the truth of one case; label volumes are those of the label map."""
    voxel_ml = anatomy.grid.voxel_ml
    necrosis, oedema, enhancing = (float((labels == i).sum()) * voxel_ml for i in (1, 2, 3))
    largest = max(patient.lesions, key=lambda lesion: lesion.mass_ml)
    x, y, z = to_grid_mm(patient.brain, [largest.centre_mm])[0]
    sides = sorted({lesion.side for lesion in patient.lesions})
    solid = ENHANCING[TUMOUR_OF[patient.task]]
    seen = sum(
        bool((layer.membership >= SEEN_SHARE).any())
        for layer in anatomy.layers
        if layer.name.startswith("lesion") and layer.tissue == solid
    )
    return BratsTruth(
        case=case,
        patient_number=patient_number,
        timepoint=timepoint,
        known_issue="",
        difficulty=difficulty,
        tumour=largest.kind,
        side="both" if len(sides) == 2 else sides[0],
        lesions=len(patient.lesions),
        lesions_seen=seen,
        at_falx=int(largest.at_falx),
        necrosis_ml=round(necrosis, 3),
        oedema_ml=round(oedema, 3),
        enhancing_ml=round(enhancing, 3),
        largest_mm=round(2.0 * largest.radius_mm, 2),
        # grid x and y run to left and back, the world's to right and front
        centre_x_mm=round(ATLAS_CENTRE_MM[0] - float(x), 2),
        centre_y_mm=round(ATLAS_CENTRE_MM[1] - float(y), 2),
        centre_z_mm=round(ATLAS_CENTRE_MM[2] + float(z), 2),
        gd_mm=round(patient.rim_gd_mm, 4),
        oedema_contrast=round(patient.oedema_contrast, 4),
        noise=round(patient.noise, 5),
        bias=round(patient.bias, 4),
        field_t=patient.field_t,
        brain_ml=round(float(anatomy.inside.sum()) * voxel_ml, 1),
        grey_ml=round(anatomy.tissue_ml("grey_matter", "deep_grey"), 1),
        white_ml=round(anatomy.tissue_ml("white_matter"), 1),
        ventricle_ml=round(anatomy.ventricle_ml(), 2),
        atrophy=round(patient.brain.atrophy, 4),
        rotation_deg=round(patient.brain.rotation_deg[2], 3),
    )
