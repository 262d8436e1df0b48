"""Three ways to look at one abdomen: T1 dual, T2 with fat suppression, CT; and how hard it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from medkd_lib.phantom.abdomen import AbdomenAnatomy, voxelise_abdomen
from medkd_lib.phantom.abdomen_dual import scan_dual
from medkd_lib.phantom.abdomen_patient import AbdomenPatient
from medkd_lib.phantom.abdomen_tissue import abdomen_mr, portal_hu, shrink_contrast
from medkd_lib.phantom.anatomy import FloatArray, Grid
from medkd_lib.phantom.ct import CTSettings, scan_ct
from medkd_lib.phantom.mr_scan import scan_mr
from medkd_lib.phantom.mr_settings import MRSettings
from medkd_lib.phantom.tissue_mr import TissueMR, vary

Difficulty = Literal["clear", "subtle", "none"]

# In phase and opposed at 1.5 T: half and whole turns of −220 Hz (§1.1); TR and flip angle †
IN_PHASE_MS, OUT_PHASE_MS = 4.6, 2.3
T1_DUAL = MRSettings(
    "t1_dual", "gradient_echo", 140.0, 4.6, flip_deg=80.0, noise=0.05, bias=0.3, reference="liver"
)

# Triggered by breathing, hence the long TR (§1.5 T2w †: 4000/100); SPIR leaves a little fat (D)
T2_SPIR = MRSettings(
    "t2_spir", "spin_echo", 4000.0, 80.0, fat_saturation=0.92, noise=0.12, bias=0.35,
    reference="liver",
)  # fmt: skip

MOTTLE_HU = 3.0
"""Unevenness of the tissues on CT (D)."""


@dataclass(frozen=True)
class Strength:
    """How much an image tells of the organs: one number per image and per effect.

    Attributes:
        t1_spread, t2_spread: exponent that shrinks the contrast between organs, muscle and bowel
            (:func:`medkd_lib.phantom.abdomen_tissue.shrink_contrast`); 1 as tissues are.
        t1_noise, t2_noise: σ of each channel as a share of the liver's signal in that image.
    """

    t1_spread: float
    t2_spread: float
    t1_noise: float
    t2_noise: float


# `subtle` and `none` have the same T2, byte for byte: what the student sees does not change, only
# what its teacher knows more than it. All numbers D.
STRENGTH: Mapping[Difficulty, Strength] = MappingProxyType(
    {
        "clear": Strength(t1_spread=1.0, t2_spread=0.25, t1_noise=0.04, t2_noise=0.20),
        "subtle": Strength(t1_spread=1.0, t2_spread=0.4, t1_noise=0.04, t2_noise=0.15),
        "none": Strength(t1_spread=1.0, t2_spread=0.4, t1_noise=0.18, t2_noise=0.15),
    }
)


@dataclass(frozen=True)
class MRValues:
    """One person's tissues as the two sequences see them at one difficulty."""

    t1: dict[str, TissueMR]
    t2: dict[str, TissueMR]


@dataclass(frozen=True)
class Pair:
    """All images of one person on one grid: what no clinic has.

    Attributes:
        t1_in, t1_out, t2: (I, J, K) float32 MR magnitudes.
        ct: (I, J, K) float32 CT numbers.
        organs: (I, J, K) uint8, labels of :data:`medkd_lib.phantom.abdomen.ORGANS`.
        anatomy: tissue fractions and landmarks behind all of them.
    """

    t1_in: FloatArray
    t1_out: FloatArray
    t2: FloatArray
    ct: FloatArray
    organs: NDArray[np.uint8]
    anatomy: AbdomenAnatomy


def mr_values(patient: AbdomenPatient, rng: np.random.Generator, strength: Strength) -> MRValues:
    """Draw a person's relaxation times; the same state of ``rng`` gives the same person."""
    own = vary(abdomen_mr(patient), rng)
    return MRValues(
        shrink_contrast(own, strength.t1_spread), shrink_contrast(own, strength.t2_spread)
    )


def scan_t1_dual(
    anatomy: AbdomenAnatomy, values: MRValues, strength: Strength, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """In phase, then opposed."""
    settings = replace(T1_DUAL, noise=strength.t1_noise)
    return scan_dual(anatomy, values.t1, settings, (IN_PHASE_MS, OUT_PHASE_MS), rng, gain=500.0)


def scan_t2_spir(
    anatomy: AbdomenAnatomy, values: MRValues, strength: Strength, rng: np.random.Generator
) -> FloatArray:
    """T2-weighted, fat suppressed."""
    settings = replace(T2_SPIR, noise=strength.t2_noise)
    return scan_mr(anatomy, values.t2, settings, rng, gain=250.0).signal


def scan_portal_ct(
    anatomy: AbdomenAnatomy, patient: AbdomenPatient, sigma_hu: float, rng: np.random.Generator
) -> FloatArray:
    """CT in the portal venous phase."""
    settings = CTSettings(sigma_hu=sigma_hu, kernel="soft", texture_hu=MOTTLE_HU)
    return scan_ct(anatomy, portal_hu(patient), settings, rng).hu


def scan_pair(
    patient: AbdomenPatient,
    grid: Grid,
    rng: np.random.Generator,
    *,
    difficulty: Difficulty = "subtle",
    sigma_hu: float = 12.0,
    strength: Strength | None = None,
) -> Pair:
    """Scan one person by all scanners on one grid: the true MR of this CT, and the other way round.

    Args:
        patient: the person.
        grid: of all images.
        rng: source of the person's relaxation times, and of shading and noise of every image.
        difficulty: one of :data:`STRENGTH`.
        sigma_hu: noise of the CT (§2.5 R: 12.3 in the liver, 5 mm slices).
        strength: numbers of your own instead of those of ``difficulty``.
    """
    chosen = strength or STRENGTH[difficulty]
    anatomy = voxelise_abdomen(patient, grid)
    tissue_stream, t1_stream, t2_stream, ct_stream = rng.spawn(4)
    values = mr_values(patient, tissue_stream, chosen)
    t1_in, t1_out = scan_t1_dual(anatomy, values, chosen, t1_stream)
    t2 = scan_t2_spir(anatomy, values, chosen, t2_stream)
    ct = scan_portal_ct(anatomy, patient, sigma_hu, ct_stream)
    return Pair(t1_in, t1_out, t2, ct, anatomy.organs, anatomy)
