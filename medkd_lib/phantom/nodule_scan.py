"""A chest with lesions before a CT scanner: slices of any thickness, noise, and masks on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medkd_lib.phantom.anatomy import FloatArray, Grid
from medkd_lib.phantom.ct import CTSettings, correlated_noise, scan_ct
from medkd_lib.phantom.nodule_chest import NoduleChest, contrast_hu, hu_values, voxelise_nodules
from medkd_lib.phantom.nodule_patient import NodulePatient
from medkd_lib.phantom.nodule_settings import PIXELS, Scanner, Size

TEXTURE_HU = 4.0
"""Mottle of the tissues themselves, as in the other chest sets (D)."""


@dataclass(frozen=True, eq=False)
class NoduleScan:
    """One series and what only a phantom knows of it.

    Attributes:
        hu: (I, J, K) int16 CT numbers; columns, rows, slices from the feet up.
        affine: index → RAS+ millimetres.
        scanner: the protocol.
        sigma_hu: its noise on these voxels.
        spacing_mm: voxel size.
        shares: per lesion, (I, J, K) share of the voxel as if it were solid.
        contrasts_hu: per lesion, what it adds to the tissue around it.
        lung: (I, J, K) bool, lungs with their vessels, lesions and mimics.
        mimics: (I, J, K) bool.
    """

    hu: NDArray[np.int16]
    affine: NDArray[np.float64]
    scanner: Scanner
    sigma_hu: float
    spacing_mm: tuple[float, float, float]
    shares: tuple[FloatArray, ...]
    contrasts_hu: tuple[float, ...]
    lung: NDArray[np.bool_]
    mimics: NDArray[np.bool_]

    def mask(self, lesion: int) -> NDArray[np.bool_]:
        """Where the lesion takes half of the voxel or more."""
        return np.asarray(self.shares[lesion] >= 0.5)


def scan_nodules(
    patient: NodulePatient,
    scanners: tuple[Scanner, ...],
    *,
    size: Size,
    height_mm: float,
    length_mm: float,
    seed: np.random.SeedSequence,
) -> list[NoduleScan]:
    """Scan a patient once per protocol; all series show the same slices of the body.

    Args:
        patient: whom.
        scanners: protocols; each thickness is a whole multiple of the least.
        size: of the pixels.
        height_mm: middle of the scan, in the patient's frame.
        length_mm: scanned along z, at least.
        seed: of mottle and noise.
    """
    side, least = PIXELS[size], min(s.thickness_mm for s in scanners)
    thickest = max(s.thickness_mm for s in scanners)
    # whole slices of the thickest protocol
    count = int(np.ceil(length_mm / thickest)) * round(thickest / least)
    pixel = patient.field_mm / side
    grid = Grid((side, side, count), (pixel, pixel, least))
    chest = voxelise_nodules(patient, grid, height_mm)
    streams = [np.random.default_rng(s) for s in _spawned(seed, 1 + len(scanners))]
    return [_series(patient, chest, s, streams[0], r) for s, r in zip(scanners, streams[1:],
                                                                      strict=True)]  # fmt: skip


def averaged(volume: FloatArray, slices: int) -> FloatArray:
    """Return the means of each ``slices`` neighbouring slices of the last axis."""
    if slices == 1:
        return volume
    i, j, k = volume.shape
    return np.asarray(volume.reshape(i, j, k // slices, slices).mean(axis=3), np.float32)


def _series(
    patient: NodulePatient, chest: NoduleChest, scanner: Scanner, mottle: np.random.Generator,
    noise: np.random.Generator,
) -> NoduleScan:  # fmt: skip
    values = hu_values(patient, iodine=scanner.iodine)
    grid = chest.anatomy.grid
    plain = CTSettings(kernel=scanner.kernel, sigma_hu=0.0, texture_hu=TEXTURE_HU)
    merged = round(scanner.thickness_mm / grid.spacing_mm[2])
    hu = averaged(scan_ct(chest.anatomy, values, plain, mottle).hu, merged)
    spacing = (grid.spacing_mm[0], grid.spacing_mm[1], scanner.thickness_mm)
    # another patient, another tube current
    sigma = scanner.sigma_hu * float(noise.lognormal(0.0, 0.15))
    hu = hu + correlated_noise(
        (hu.shape[0], hu.shape[1], hu.shape[2]), spacing, scanner.kernel, sigma, noise
    )
    return NoduleScan(
        hu=np.clip(np.rint(hu), -1024, 3071).astype(np.int16),
        affine=Grid((hu.shape[0], hu.shape[1], hu.shape[2]), spacing).affine,
        scanner=scanner,
        sigma_hu=sigma,
        spacing_mm=spacing,
        shares=tuple(averaged(share, merged) for share in chest.shares),
        contrasts_hu=tuple(contrast_hu(lesion, values) for lesion in patient.lesions),
        lung=averaged(chest.parts.lung, merged) >= 0.5,
        mimics=averaged(chest.mimics.astype(np.float32), merged) >= 0.5,
    )


def _spawned(seed: np.random.SeedSequence, count: int) -> list[np.random.SeedSequence]:
    """``SeedSequence.spawn`` would count up; this gives the same every time."""
    return [
        np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, n)) for n in range(count)
    ]
