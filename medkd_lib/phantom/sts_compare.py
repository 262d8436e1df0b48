"""Twin beside real: what a patient's folder of ``sts_petctmr`` measures, alike for both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medkd_lib.data.read import read_volume
from medkd_lib.data.volume import Volume

FAT_HU, MUSCLE_HU, BONE_HU = (-190.0, -30.0), (-29.0, 150.0), (700.0, 4000.0)
"""CT windows: fat and muscle as used in body composition (§2.2 R); bone is compact bone (D)."""

AWAY_MM = 10.0
"""Tissue is measured no nearer to the tumour's mask than this."""

MARGIN_MM = 50.0

TISSUE_TITLES: Mapping[str, str] = MappingProxyType(
    {
        "fat_hu": "CT: fat, HU",
        "fat_sd_hu": "CT: spread in fat, HU",
        "muscle_hu": "CT: muscle, HU",
        "muscle_sd_hu": "CT: spread in muscle, HU",
        "bone_hu": "CT: compact bone, HU",
        "tumour_hu": "CT: tumour, HU",
        "tumour_sd_hu": "CT: spread in the tumour, HU",
        "fat_mr": "MR: fat, as stored",
        "muscle_mr": "MR: muscle / fat",
        "tumour_mr": "MR: tumour / fat",
        "tumour_sd_mr": "MR: spread in the tumour / fat",
        "fat_suv": "PET: fat, SUV",
        "muscle_suv": "PET: muscle, SUV",
        "tumour_suv": "PET: tumour mean, SUV",
        "tumour_suv_max": "PET: tumour maximum, SUV",
        "volume_ml": "tumour volume, mL",
        "shape_dice": "Dice of the crop's shape alone",
    }
)
"""Names of the columns of :class:`TissueMeans` for a reader."""


@dataclass(frozen=True)
class TissueMeans:
    """One patient's row; HU, MR values relative to fat, SUV. NaN where a tissue is not there.

    Attributes:
        patient: folder name.
        fat_hu, muscle_hu, bone_hu, tumour_hu: medians on CT.
        fat_sd_hu, muscle_sd_hu, tumour_sd_hu: spread on CT, noise included.
        fat_mr: stored value of fat on MR.
        muscle_mr, tumour_mr: medians on MR over that of fat.
        tumour_sd_mr: spread in the tumour over fat.
        fat_suv, muscle_suv: medians on PET.
        tumour_suv, tumour_suv_max: mean and maximum in the PET mask.
        volume_ml: of the CT mask.
        shape_dice: :func:`shape_dice` on the CT grid.
    """

    patient: str
    fat_hu: float
    fat_sd_hu: float
    muscle_hu: float
    muscle_sd_hu: float
    bone_hu: float
    tumour_hu: float
    tumour_sd_hu: float
    fat_mr: float
    muscle_mr: float
    tumour_mr: float
    tumour_sd_mr: float
    fat_suv: float
    muscle_suv: float
    tumour_suv: float
    tumour_suv_max: float
    volume_ml: float
    shape_dice: float


def tissue_means(folder: Path) -> TissueMeans:
    """Measure one patient, real or virtual, without labels of tissue.

    Fat, muscle and bone are voxels of the CT, smoothed in the plane by 3 × 3, within a window and
    10 mm away from the tumour; fat and muscle are eroded by two voxels in the plane. MR and PET
    are read at the same places in the world. Where real legs lay differently in the MR, muscle
    falls on fat and fat on muscle: the value of fat is therefore the 75th percentile.

    Raises:
        DataError: one of the six files is missing or unreadable.
    """
    folder = Path(folder)
    ct, mr, pet = (read_volume(folder / f"{m}_image.nii.gz") for m in ("CT", "MR_T1", "PET"))
    masks = [read_volume(folder / f"{m}_mask.nii.gz").array > 0.5 for m in ("CT", "MR_T1", "PET")]
    ct_mask, mr_mask, pet_mask = masks
    away = ndimage.distance_transform_edt(~ct_mask, sampling=ct.spacing_mm) > AWAY_MM
    smooth = ndimage.uniform_filter(ct.array, (3, 3, 1))
    plane = np.ones((3, 3, 1), bool)
    places = {
        "fat": ndimage.binary_erosion(_between(smooth, FAT_HU), plane, 2) & away,
        "muscle": ndimage.binary_erosion(_between(smooth, MUSCLE_HU), plane, 2) & away,
        "bone": _between(smooth, BONE_HU) & away,
    }
    hu = {name: ct.array[place] for name, place in places.items()}
    on_mr = {name: _sample(ct, places[name], mr) for name in ("fat", "muscle")}
    on_pet = {name: _sample(ct, places[name], pet) for name in ("fat", "muscle")}
    fat_mr = _quantile(on_mr["fat"], 0.75)
    return TissueMeans(
        patient=folder.name,
        fat_hu=_quantile(hu["fat"]),
        fat_sd_hu=_spread(hu["fat"]),
        muscle_hu=_quantile(hu["muscle"]),
        muscle_sd_hu=_spread(hu["muscle"]),
        bone_hu=_quantile(hu["bone"]),
        tumour_hu=_quantile(ct.array[ct_mask]),
        tumour_sd_hu=_spread(ct.array[ct_mask]),
        fat_mr=fat_mr,
        muscle_mr=_quantile(on_mr["muscle"]) / fat_mr,
        tumour_mr=_quantile(mr.array[mr_mask]) / fat_mr,
        tumour_sd_mr=_spread(mr.array[mr_mask]) / fat_mr,
        fat_suv=_quantile(on_pet["fat"]),
        muscle_suv=_quantile(on_pet["muscle"]),
        tumour_suv=float(pet.array[pet_mask].mean()),
        tumour_suv_max=float(np.max(pet.array[pet_mask])),
        volume_ml=float(ct_mask.sum() * np.prod(ct.spacing_mm) / 1000.0),
        shape_dice=shape_dice(ct_mask, ct.spacing_mm),
    )


def compare(folders: Iterable[Path]) -> list[TissueMeans]:
    """Measure several patients, in the order given."""
    return [tissue_means(folder) for folder in folders]


def shape_dice(mask: NDArray[np.bool_], spacing_mm: Sequence[float]) -> float:
    r"""Dice of the mask with an ellipsoid drawn from the array's *shape* alone.

    The ellipsoid fills the box that is left when 5 cm in whole voxels are taken off every side:

    .. math:: \sum_a \Big(\frac{i_a - (n_a - 1)/2}{n_a/2 - \lceil 50/s_a \rceil}\Big)^2 \le 1

    No pixel is looked at. It scores high on crops around a tumour, and every claim of
    segmentation on them has to beat it.
    """
    total: NDArray[np.float64] = np.zeros(mask.shape)
    for axis, (n, s) in enumerate(zip(mask.shape, spacing_mm, strict=True)):
        semi = max(n / 2.0 - np.ceil(MARGIN_MM / s), 0.5)
        term = ((np.arange(n) - (n - 1) / 2.0) / semi) ** 2
        total += term.reshape([-1 if a == axis else 1 for a in range(3)])
    guess = total <= 1.0
    both = float((guess & mask).sum())
    return 2.0 * both / max(float(guess.sum() + mask.sum()), 1.0)


def _between(values: NDArray[Any], window: tuple[float, float]) -> NDArray[np.bool_]:
    return (values > window[0]) & (values < window[1])


def _sample(source: Volume, place: NDArray[np.bool_], target: Volume) -> NDArray[Any]:
    """Nearest values of ``target`` at the marked voxels of ``source``, those inside it."""
    step = np.linalg.inv(target.affine) @ source.affine
    index = np.rint(np.argwhere(place) @ step[:3, :3].T + step[:3, 3]).astype(int)
    inside = np.all((index >= 0) & (index < np.array(target.array.shape)), axis=1)
    return target.array[tuple(index[inside].T)]


def _quantile(values: NDArray[Any], share: float = 0.5) -> float:
    return float(np.quantile(values, share)) if values.size else float("nan")


def _spread(values: NDArray[Any]) -> float:
    """Half the distance between the 16th and the 84th percentile: an SD that ignores outliers."""
    if not values.size:
        return float("nan")
    return float(np.quantile(values, 0.84) - np.quantile(values, 0.16)) / 2.0
