"""The sarcoma: where it grows, what it is made of, how hungry it is for sugar."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from medkd_lib.phantom.thigh_build import Build
from medkd_lib.phantom.thigh_shape import Shape, draw_shape
from medkd_lib.phantom.tissue_pet import SARCOMA_SUV_BY_GRADE

Difficulty = Literal["clear", "subtle", "none"]
Grade = Literal["high", "intermediate", "low"]
Variant = Literal["solid", "necrotic", "myxoid", "lipomatous"]

GRADES: tuple[Grade, ...] = ("high", "intermediate", "low")
GRADE_SHARE = np.array([0.55, 0.29, 0.10]) / 0.94
"""Mix of the public 51 patients (§3.3 R), without the 6 % that have no grade."""

VARIANTS: tuple[Variant, ...] = ("solid", "necrotic", "myxoid", "lipomatous")
VARIANT_SHARE: dict[Grade, tuple[float, ...]] = {
    "high": (0.30, 0.60, 0.05, 0.05),
    "intermediate": (0.45, 0.15, 0.30, 0.10),
    "low": (0.35, 0.0, 0.40, 0.25),
}
"""D: a cold core marks high grade (§3.3), low grade is often myxoid or a liposarcoma."""

LOG_ML = (4.85, 1.02)
"""Mean and spread of ln(volume in mL), fitted to the 21 real masks (median 128 mL, 17–641)."""

SMALLEST_ML, LARGEST_ML = 15.0, 680.0
"""Bounds of the volume, a little beyond the real ones."""

SHALLOW_SHARE = 0.15
"""Share of the tumours in the fat under the skin, among those that are small enough (D)."""

FRENCH_GRADE: dict[Grade, int] = {"low": 1, "intermediate": 2, "high": 3}
SUV_SPREAD = 0.55
"""Log-normal spread of the uptake around the median of its grade (D): grades overlap."""

MYXOID_UPTAKE = 0.6
"""Uptake of a myxoid tumour relative to a solid one of its grade (D; myxoid < 10.3 R, §3.3)."""

CONTRAST_HU = (-15.0, 7.0)
"""Tumour minus muscle on CT, measured on the 21 real patients (−15 ± 9, all but one below 0)."""

CONTRAST_SCALE: dict[Difficulty, float] = {"clear": 2.2, "subtle": 1.0, "none": 1.0}


@dataclass(frozen=True)
class Tumour:
    """One sarcoma.

    Attributes:
        grade: histological grade.
        variant: what it is made of.
        deep: inside the fascia, else in the fat under the skin.
        centre_mm: LPS in the patient's frame.
        volume_ml: volume aimed at, before bone and skin cut it.
        shape: surface and inner fields.
        uptake: SUV of FDG in its hungriest part.
        contrast_hu: CT number of viable tumour minus that of muscle.
        visible: ``False`` leaves it out of every image (difficulty ``none``): the mask marks a
            place where nothing is.
    """

    grade: Grade
    variant: Variant
    deep: bool
    centre_mm: tuple[float, float, float]
    volume_ml: float
    shape: Shape
    uptake: float
    contrast_hu: float
    visible: bool

    @property
    def tissue(self) -> str:
        """Tissue name of the viable part."""
        return "sarcoma_myxoid" if self.variant == "myxoid" else "sarcoma"

    def hu_values(self, muscle_hu: float) -> dict[str, float]:
        """CT number of the three tumour tissues beside this patient's muscle.

        Myxoid matrix and necrosis hold more water: 10 and 6 HU below solid tumour (D).
        """
        solid = muscle_hu + self.contrast_hu
        return {
            "sarcoma": solid,
            "sarcoma_myxoid": solid - 10.0,
            "sarcoma_necrosis": solid - 6.0,
        }


def sample_tumour(rng: np.random.Generator, build: Build, difficulty: Difficulty) -> Tumour:
    """Draw a tumour for that thigh.

    Args:
        rng: source of randomness.
        build: the body.
        difficulty: scales ``contrast_hu``; ``"none"`` makes the tumour invisible.
    """
    grade = GRADES[int(rng.choice(3, p=GRADE_SHARE))]
    variant = VARIANTS[int(rng.choice(4, p=VARIANT_SHARE[grade]))]
    volume = float(np.exp(_within(rng, *LOG_ML, np.log(SMALLEST_ML), np.log(LARGEST_ML))))
    necrosis = {"necrotic": rng.uniform(0.15, 0.6), "solid": rng.uniform(0.0, 0.08)}
    fat = rng.uniform(0.1, 0.4) if variant == "lipomatous" else 0.0
    shape = draw_shape(rng, volume, float(necrosis.get(variant, 0.0)), float(fat))
    across = float(np.sqrt(shape.semi_axes_mm[0] * shape.semi_axes_mm[1]))
    deep = not (rng.random() < SHALLOW_SHARE and across < 30.0)
    uptake = SARCOMA_SUV_BY_GRADE[FRENCH_GRADE[grade]] * float(rng.lognormal(0.0, SUV_SPREAD))
    return Tumour(
        grade=grade,
        variant=variant,
        deep=deep,
        centre_mm=_place(rng, build, across, deep),
        volume_ml=volume,
        shape=shape,
        uptake=uptake * (MYXOID_UPTAKE if variant == "myxoid" else 1.0),
        contrast_hu=float(rng.normal(*CONTRAST_HU)) * CONTRAST_SCALE[difficulty],
        visible=difficulty != "none",
    )


def _within(rng: np.random.Generator, mean: float, sd: float, low: float, high: float) -> float:
    """Draw a normal number again until it lies within the bounds."""
    value = rng.normal(mean, sd)
    while not low <= value <= high:
        value = rng.normal(mean, sd)
    return float(value)


def _place(
    rng: np.random.Generator, build: Build, across_mm: float, deep: bool
) -> tuple[float, float, float]:
    """Choose the centre with the least conflict of 40 tries.

    A deep tumour should leave the femur alone and start inside the fascia, which it pushes
    before it; a shallow one starts in the middle of the fat.
    """
    z = float(np.clip(rng.normal(0.0, 45.0), -80.0, 80.0))
    height = np.array(z)
    best, least = (0.0, 0.0), np.inf
    for _ in range(40):
        angle = rng.uniform(0.0, 2.0 * np.pi)
        c, s = np.cos(angle), np.sin(angle)
        fascia, skin = (float(v) for v in build.outline_mm(c, s, height))
        radius = fascia * float(rng.uniform(0.3, 0.85)) if deep else 0.5 * (fascia + skin)
        # where the femur stands, about: see thigh_bone
        to_femur = np.hypot(radius * c - 0.12 * fascia, radius * s + 0.10 * fascia)
        overlap = max(0.0, across_mm + build.femur_mm[0] + 2.0 - to_femur)
        if deep:
            overlap += max(0.0, 0.6 * across_mm + 4.0 - (fascia - radius))
        else:
            # what PUSH leaves of the tumour should fit into the fat
            overlap += max(0.0, 0.55 * across_mm - 0.5 * (skin - fascia))
        if overlap < least:
            best, least = (float(radius * c), float(radius * s)), float(overlap)
        if overlap == 0.0:
            break
    u, v = best
    return build.sign * (float(build.axis_mm(height)) + u), v, z
