"""One line of ``truth.csv`` of a chest twin: what only a phantom knows about a scan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from medkd_lib.phantom.chest import ChestAnatomy
from medkd_lib.phantom.chest_patient import ChestPatient
from medkd_lib.phantom.chest_tissue import COLLAPSE, T2W, TUMOUR
from medkd_lib.phantom.mr import signal


@dataclass(frozen=True)
class ChestTruth:
    """The columns of ``truth.csv``; empty where a scanner was not used.

    Attributes:
        case: name of the scan in the index.
        patient: whom splits must keep together.
        scan: 0 is the first.
        difficulty: of the set.
        place: where the tumour was meant to grow: lung, mediastinum, hilum, chest_wall.
        abutting: 1 if it touches soft tissue that was there before it.
        side: the patient's.
        volume_ml: aimed at.
        mask_ml: of the label.
        x_mm, y_mm, z_mm: middle of the label in the file's frame, LPS.
        to_mediastinum_mm: least distance of the label to the mediastinum, 0 if it grows into it.
        ct_contrast_hu: tumour minus muscle, before noise.
        ct_noise_hu: noise of the CT.
        t2_ratio: signal of the tumour over muscle's on T2w, before noise and shading.
        mr_noise: noise of the MR as a share of muscle's signal.
        collapse_ml: airless lung beside the tumour.
        collapse_t2_ratio: its signal over muscle's; on CT it is as the tumour.
        fat_share: of fat in what fills the mediastinum.
        lung_hu: aerated lung.
        male: 1 or 0.
    """

    case: str
    patient: str
    scan: int
    difficulty: str
    place: str
    abutting: int
    side: str
    volume_ml: float
    mask_ml: float
    x_mm: float
    y_mm: float
    z_mm: float
    to_mediastinum_mm: float
    ct_contrast_hu: float
    ct_noise_hu: float | str
    t2_ratio: float
    mr_noise: float | str
    collapse_ml: float
    collapse_t2_ratio: float
    fat_share: float
    lung_hu: float
    male: int


def truth_row(
    case: str,
    name: str,
    scan: int,
    patient: ChestPatient,
    anatomy: ChestAnatomy,
    affine: NDArray[np.float64],
    label: NDArray[np.uint8],
    sigma_hu: float,
    mr_noise: float,
) -> ChestTruth:
    """Gather the truth of one scan; ``nan`` noises are written empty."""
    inside = label > 0
    index = np.append(np.argwhere(inside).mean(axis=0), 1.0)
    x, y, z = (affine @ index)[:3] * [-1.0, -1.0, 1.0]
    return ChestTruth(
        case=case,
        patient=name,
        scan=scan,
        difficulty=patient.difficulty,
        place=patient.tumour.place,
        abutting=int(touches(anatomy, inside)),
        side=patient.tumour.side,
        volume_ml=round(patient.tumour.volume_ml, 2),
        mask_ml=round(float(inside.sum()) * anatomy.grid.voxel_ml, 2),
        x_mm=round(float(x), 2),
        y_mm=round(float(y), 2),
        z_mm=round(float(z), 2),
        to_mediastinum_mm=round(least_distance(anatomy, inside), 2),
        ct_contrast_hu=round(patient.tumour.contrast_hu, 2),
        ct_noise_hu="" if np.isnan(sigma_hu) else round(sigma_hu, 2),
        t2_ratio=round(t2_ratio(patient, TUMOUR), 3),
        mr_noise="" if np.isnan(mr_noise) else round(mr_noise, 4),
        collapse_ml=round(float(anatomy.fraction(COLLAPSE).sum()) * anatomy.grid.voxel_ml, 2),
        collapse_t2_ratio=round(t2_ratio(patient, COLLAPSE), 3),
        fat_share=round(patient.fat_share, 3),
        lung_hu=round(patient.body.lung_hu, 1),
        male=int(patient.body.male),
    )


def t2_ratio(patient: ChestPatient, tissue: str) -> float:
    """Signal of a tissue over muscle's on T2w, without noise."""
    muscle = signal(patient.tissues["muscle"], T2W)
    return signal(patient.tissues[tissue], T2W) / muscle


def touches(anatomy: ChestAnatomy, inside: NDArray[np.bool_]) -> bool:
    """Whether the mask borders on, or grows into, tissue that was no lung before it."""
    around = ndimage.binary_dilation(inside, ndimage.generate_binary_structure(3, 1))
    wall = (anatomy.native_lung < 0.5) & (anatomy.fraction("air") < 0.5)
    return bool((around & (wall | anatomy.middle)).any())


def least_distance(anatomy: ChestAnatomy, inside: NDArray[np.bool_]) -> float:
    """Millimetres from the mask to the nearest voxel of the mediastinum; infinite without one."""
    if (inside & anatomy.middle).any():
        return 0.0
    if not anatomy.middle.any() or not inside.any():
        return float("inf")
    # of the mask only the border can be nearest, of the mediastinum too
    spacing = np.array(anatomy.grid.spacing_mm)
    border = inside & ~ndimage.binary_erosion(inside)
    rim = anatomy.middle & ~ndimage.binary_erosion(anatomy.middle, border_value=1)
    distance, _ = cKDTree(np.argwhere(rim) * spacing).query(np.argwhere(border) * spacing)
    return float(np.min(distance))
