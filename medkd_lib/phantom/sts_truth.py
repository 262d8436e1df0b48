"""One line of ``truth.csv``: what only a phantom knows about a patient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from medkd_lib.phantom.sts_scan import SLICE_MM, Modality, Protocol
from medkd_lib.phantom.thigh_patient import ThighPatient

if TYPE_CHECKING:
    from medkd_lib.phantom.sts_patient import Pictures


def patient_name(index: int) -> str:
    """Folder of patient ``index``, which counts from 0: ``STS_001`` is the first."""
    return f"STS_{index + 1:03d}"


@dataclass(frozen=True)
class TruthRow:
    """What only a phantom knows about one patient; the columns of ``truth.csv``.

    Attributes:
        patient: folder name.
        lung_metastasis: as in ``labels.csv`` (also where that row is broken on purpose).
        probability: with which it was drawn. Never a feature.
        visible: 1 if the tumour is in the images, 0 at difficulty ``none``.
        grade, variant: of the tumour.
        deep: 1 inside the fascia.
        side: leg.
        volume_ml: aimed at; bone, skin and the end of the scan may cut it.
        mask_ml: volume of the CT mask.
        necrotic_share, fat_share: 0 where there is none, of the volume aimed at.
        uptake: SUV of the hungriest part.
        suv_max: highest SUV within the PET mask as written.
        contrast_hu: CT number of viable tumour minus muscle.
        x_mm, y_mm, z_mm: centre of growth in the files' frame, LPS.
        muscle_mm, fat_mm, infiltration: build of the leg.
        sigma_hu: CT noise on voxels of 0.977 mm.
        tr_ms, te_ms: of the MR.
        pet_pixel_mm: in-plane voxel of the PET.
        cut_mm: height missing of the 5 cm above or below because the scan ended, 0 for none.
    """

    patient: str
    lung_metastasis: int
    probability: float
    visible: int
    grade: str
    variant: str
    deep: int
    side: str
    volume_ml: float
    mask_ml: float
    necrotic_share: float
    fat_share: float
    uptake: float
    suv_max: float
    contrast_hu: float
    x_mm: float
    y_mm: float
    z_mm: float
    muscle_mm: float
    fat_mm: float
    infiltration: float
    sigma_hu: float
    tr_ms: float
    te_ms: float
    pet_pixel_mm: float
    cut_mm: float


def truth_row(
    index: int,
    patient: ThighPatient,
    protocol: Protocol,
    pictures: Mapping[Modality, Pictures],
    metastasis: int,
    probability: float,
) -> TruthRow:
    """Gather the truth of one patient."""
    tumour = patient.tumour
    ct, pet = pictures["CT"], pictures["PET"]
    voxel_ml = abs(float(np.prod(np.diag(ct.affine)[:3]))) / 1000.0
    centre = np.array(tumour.centre_mm) + protocol.world_mm
    missing = 0.0 if protocol.cut_mm is None else np.ceil(50.0 / SLICE_MM) * SLICE_MM
    return TruthRow(
        patient=patient_name(index),
        lung_metastasis=metastasis,
        probability=round(probability, 4),
        visible=int(tumour.visible),
        grade=tumour.grade,
        variant=tumour.variant,
        deep=int(tumour.deep),
        side=patient.side,
        volume_ml=round(tumour.volume_ml, 2),
        mask_ml=round(float(ct.mask.sum()) * voxel_ml, 2),
        necrotic_share=round(tumour.shape.necrotic_share, 4),
        fat_share=round(tumour.shape.fat_share, 4),
        uptake=round(tumour.uptake, 3),
        suv_max=round(float(np.max(pet.image[pet.mask > 0])), 3),
        contrast_hu=round(tumour.contrast_hu, 2),
        x_mm=round(float(centre[0]), 2),
        y_mm=round(float(centre[1]), 2),
        z_mm=round(float(centre[2]), 2),
        muscle_mm=round(patient.muscle_mm, 1),
        fat_mm=round(patient.fat_mm, 1),
        infiltration=round(patient.infiltration, 4),
        sigma_hu=round(protocol.sigma_hu, 2),
        tr_ms=round(protocol.mr.tr_ms, 1),
        te_ms=round(protocol.mr.te_ms, 1),
        pet_pixel_mm=protocol.pet_pixel_mm,
        cut_mm=round(float(missing - (protocol.cut_mm or 0.0)), 2),
    )
