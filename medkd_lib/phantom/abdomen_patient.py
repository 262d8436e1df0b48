"""Who lies on the table: the build and the organs of one virtual abdomen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

Millimetres = tuple[float, float, float]
Side = Literal["right", "left"]

STANDARD_MM = (140.0, 85.0)
"""Half width and half depth of the cavity that the landmarks in the organs' files refer to (D)."""


@dataclass(frozen=True)
class AbdomenPatient:
    """One person; lengths in mm, frame LPS.

    x = 0 is the mid-plane, y = 0 the middle of the abdominal cavity, z = 0 the first lumbar
    vertebra. The person is the same object on every grid.

    Attributes:
        cavity_mm: half width and half depth of the space inside the abdominal wall.
        tall: height of the trunk relative to a standard one.
        fat_mm: thickness of the fat under the skin of the flank.
        fat_tilt: fat of the belly over fat of the flank.
        dome_mm: top of the right and of the left dome of the diaphragm, z.
        liver_tip_mm: lowest point of the right lobe, z.
        liver_left_mm: end of the left lobe, x.
        liver_belly: how far the visceral surface bulges down, mm.
        liver_fat: share of the liver's protons that sit in fat.
        spleen_mm: semi-axes of the spleen across, from front to back, and along.
        spleen_place_mm: its centre.
        kidney_mm: semi-axes (towards the hilum, across, along) of the right and the left kidney.
        kidney_place_mm: their centres.
        kidney_turn_deg: how far the hilum looks to the front.
        kidney_tilt_deg: how far the upper poles lean together.
        stomach_fill: size of the stomach relative to a standard one.
        gas_level: plane of the gas in the stomach, −1 (none) to 1 (full), as a share of its depth.
        aorta_mm, cava_mm: radii.
        wave_seed: seed of everything wavy: surfaces, bowel, small vessels.
        hu: CT number per tissue that varies between patients.
    """

    cavity_mm: tuple[float, float]
    tall: float
    fat_mm: float
    fat_tilt: float
    dome_mm: tuple[float, float]
    liver_tip_mm: float
    liver_left_mm: float
    liver_belly: float
    liver_fat: float
    spleen_mm: Millimetres
    spleen_place_mm: Millimetres
    kidney_mm: tuple[Millimetres, Millimetres]
    kidney_place_mm: tuple[Millimetres, Millimetres]
    kidney_turn_deg: float
    kidney_tilt_deg: float
    stomach_fill: float
    gas_level: float
    aorta_mm: float
    cava_mm: float
    wave_seed: int
    hu: dict[str, float]

    def at(self, x: float, y: float, z: float) -> Millimetres:
        """Move a landmark of the standard body to where it lies in this one."""
        width, depth = (own / usual for own, usual in zip(self.cavity_mm, STANDARD_MM, strict=True))
        return x * width, y * depth, z * self.tall


# Mean and spread between patients. Fat: as measured on the real CTs of the sarcoma set, −99 ± 5
# (§2.1 C says −79 at 120 kV); liver: unenhanced 54 (C) + 52 portal (R ± 12); the rest †.
_HU = {
    "adipose": (-99.0, 5.0),
    "muscle": (60.0, 5.0),
    "liver": (106.0, 9.0),
    "spleen": (120.0, 8.0),
    "kidney_cortex": (180.0, 14.0),
    "arterial_blood": (150.0, 12.0),
    "portal_blood": (165.0, 12.0),
}


def liver_height_mm(volume_ml: float, cavity_mm: tuple[float, float]) -> float:
    """Height of a liver of that volume in a cavity of that width and depth.

    A line fitted to 30 people on a grid of 4 × 4 × 7 mm; single livers lie 75 mL (SD) beside it.
    """
    room = cavity_mm[0] * cavity_mm[1] / (STANDARD_MM[0] * STANDARD_MM[1])
    return (volume_ml / room + 1318.0) / 16.23


def sample_abdomen(rng: np.random.Generator, *, donor: bool = False) -> AbdomenPatient:
    """Draw one person.

    Ranges are D unless noted; organs were fitted to the dossier's §5: liver 825–1700 mL, spleen
    81–322 mL (central 95 %, R), both kidneys 395 mL (249–612, C).

    Args:
        rng: source of randomness.
        donor: a candidate for liver donation, who has no fatty liver (the CTs of CHAOS).
    """
    width = float(np.clip(rng.normal(138.0, 8.0), 120.0, 158.0))
    depth = float(np.clip(rng.normal(84.0, 6.5), 68.0, 102.0))
    tall = float(np.clip(rng.normal(1.0, 0.045), 0.9, 1.1))
    fat = float(np.clip(rng.lognormal(np.log(15.0), 0.4), 5.0, 34.0))
    right_dome = float(rng.normal(104.0, 6.0)) * tall
    # a third of adults has more than 5 % of fat in the liver (D, order of magnitude †)
    steatosis = float(rng.beta(1.1, 14.0)) if rng.random() < 0.65 else float(rng.uniform(0.06, 0.3))
    liver_ml = float(np.clip(rng.lognormal(np.log(1240.0), 0.17), 850.0, 1700.0))
    spleen = float(np.clip(rng.lognormal(0.03, 0.11), 0.82, 1.26))
    kidney = float(np.clip(rng.lognormal(0.06, 0.06), 0.92, 1.2))
    semi, place = [], []
    for sign, low in ((-1.0, -36.0), (1.0, -22.0)):
        own = kidney * float(rng.lognormal(0.0, 0.03))
        semi.append((31.0 * own, 26.5 * own, 56.0 * own * float(rng.normal(1.0, 0.03))))
        place.append(
            (
                sign * float(rng.normal(70.0, 4.0)) * width / STANDARD_MM[0],
                (40.0 + float(rng.normal(0.0, 4.0))) * depth / STANDARD_MM[1],
                (low + float(rng.normal(0.0, 8.0))) * tall,
            )
        )
    return AbdomenPatient(
        cavity_mm=(width, depth),
        tall=tall,
        fat_mm=fat,
        fat_tilt=float(rng.uniform(0.8, 1.6)),
        dome_mm=(right_dome, right_dome - float(rng.normal(9.0, 5.0))),
        liver_tip_mm=right_dome - liver_height_mm(liver_ml, (width, depth)),
        liver_left_mm=float(rng.uniform(58.0, 98.0)) * width / STANDARD_MM[0],
        liver_belly=float(rng.normal(0.0, 8.0)),
        liver_fat=min(steatosis, 0.05) if donor else steatosis,
        spleen_mm=(36.0 * spleen, 50.0 * spleen, 54.0 * spleen * float(rng.normal(1.0, 0.08))),
        spleen_place_mm=(
            float(rng.normal(104.0, 4.0)) * width / STANDARD_MM[0],
            float(rng.normal(28.0, 5.0)) * depth / STANDARD_MM[1],
            float(rng.normal(44.0, 8.0)) * tall,
        ),
        kidney_mm=(semi[0], semi[1]),
        kidney_place_mm=(place[0], place[1]),
        kidney_turn_deg=float(rng.normal(38.0, 8.0)),
        kidney_tilt_deg=float(rng.normal(13.0, 4.0)),
        stomach_fill=float(rng.uniform(0.7, 1.1)),
        gas_level=float(rng.uniform(-0.7, 0.3)),
        aorta_mm=float(np.clip(rng.normal(9.5, 1.0), 7.5, 12.5)),
        cava_mm=float(np.clip(rng.normal(11.5, 1.8), 7.0, 15.0)),
        wave_seed=int(rng.integers(2**31)),
        hu={name: float(rng.normal(*spread)) for name, spread in _HU.items()},
    )
