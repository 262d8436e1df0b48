"""The build of a person's thighs: size, fat, muscle and bone, before any tumour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from medkd_lib.phantom.anatomy import FloatArray

Side = Literal["left", "right"]

LENGTH_MM = 200.0
"""The thigh tapers per this length (D)."""

ADIPOSE_HU, MUSCLE_HU, CORTEX_HU, CANAL_HU = (
    (-99.0, 5.0),
    (50.0, 5.0),
    (1240.0, 60.0),
    (-25.0, 25.0),
)
"""Mean and spread between patients, measured on the CTs of the 21 real patients by windows far
from the tumour (§2.1 C says −79, 43 and 1627 at 120 kV, and −99 for fat at 80 kV). The canal of an
adult femur is filled with fatty marrow, hence far below the trabecular 200 HU of §2.2."""


@dataclass(frozen=True)
class Build:
    """Two thighs of one person, mirror images of each other; all lengths in mm.

    The frame is LPS with x = 0 between the legs, y = 0 at the leg's axis, z = 0 at mid-thigh.

    Attributes:
        side: the leg with the tumour.
        muscle_mm: radius of the deep fascia at mid-thigh.
        taper: relative growth of that radius per 200 mm towards the hip.
        oval: second harmonic of the outline, positive is wider than deep.
        fat_mm: mean thickness of subcutaneous fat.
        fat_tilt: how much thicker it is at the inner back than at the outer front, 0…1.
        septum_mm: half width of the fat between compartments.
        infiltration: mean share of fat within the muscles.
        rotation_deg: outward turn of the foot, turns muscles and femur about the axis.
        half_distance_mm: distance of a leg's axis from the mid-plane.
        axis_tilt: sideways run of that axis per mm towards the hip.
        femur_mm: outer radius of the shaft and of its canal.
        table_mm: gap between the leg's back and the table.
        wave_seed: seed of the warp, the marbling and the veins.
        hu: CT number of each tissue that varies between patients.
    """

    side: Side
    muscle_mm: float
    taper: float
    oval: float
    fat_mm: float
    fat_tilt: float
    septum_mm: float
    infiltration: float
    rotation_deg: float
    half_distance_mm: float
    axis_tilt: float
    femur_mm: tuple[float, float]
    table_mm: float
    wave_seed: int
    hu: dict[str, float]

    @property
    def sign(self) -> int:
        """+1 if the tumour's leg lies at positive x (the patient's left)."""
        return 1 if self.side == "left" else -1

    def axis_mm(self, z: FloatArray) -> FloatArray:
        """Distance of a leg's axis from the mid-plane at height z."""
        return np.float32(self.half_distance_mm) + np.float32(self.axis_tilt) * z

    def fascia_mm(self, z: FloatArray) -> FloatArray:
        """Radius of the deep fascia at height z, before its harmonics."""
        up = np.clip(z / LENGTH_MM, -1.1, 0.9)
        return np.float32(self.muscle_mm) * (1.0 + np.float32(self.taper) * up)

    def outline_mm(
        self, cos: FloatArray, sin: FloatArray, z: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        r"""Radii of fascia and skin in the direction (cos θ outwards, sin θ backwards).

        .. math:: R(\theta) = a\,(1 + e_2 \cos 2\theta - 0.02 \sin\theta), \qquad
                  t(\theta) = t\,(1 + q\,\cos(\theta - \theta_0))(1 + 0.35\,z/L)

        A little fuller in front; fat is thickest at the inner back.
        """
        shape = 1.0 + np.float32(self.oval) * (cos * cos - sin * sin) - np.float32(0.02) * sin
        fascia = self.fascia_mm(z) * shape
        fat = np.float32(self.fat_mm) * (
            1.0 + np.float32(self.fat_tilt) * (np.float32(0.6) * sin - np.float32(0.8) * cos)
        )
        up = np.clip(z / LENGTH_MM, -1.1, 0.9)
        return fascia, fascia + fat * (1.0 + np.float32(0.35) * up)


def sample_build(rng: np.random.Generator) -> Build:
    """Draw the build of one person.

    Sizes are D: ranges that look like the real crops (thigh 140–230 mm across, fat 5–36 mm).
    """
    muscle_mm = float(np.clip(rng.normal(73.0, 6.0), 60.0, 88.0))
    fat_mm = float(np.clip(rng.lognormal(np.log(14.0), 0.42), 5.0, 36.0))
    outer = float(np.clip(rng.normal(14.6, 1.1), 12.0, 17.5))
    return Build(
        side="left" if rng.random() < 0.5 else "right",
        muscle_mm=muscle_mm,
        taper=float(np.clip(rng.normal(0.24, 0.05), 0.1, 0.36)),
        oval=float(rng.normal(0.01, 0.025)),
        fat_mm=fat_mm,
        fat_tilt=float(rng.uniform(0.2, 0.6)),
        septum_mm=float(np.clip(rng.lognormal(np.log(0.6), 0.45), 0.3, 2.2)),
        infiltration=float(np.clip(rng.lognormal(np.log(0.025), 0.6), 0.005, 0.1)),
        rotation_deg=float(rng.normal(12.0, 9.0)),
        half_distance_mm=muscle_mm + 1.25 * fat_mm + float(rng.uniform(-3.0, 9.0)),
        axis_tilt=float(rng.uniform(0.05, 0.12)),
        femur_mm=(outer, outer * float(np.clip(rng.normal(0.44, 0.04), 0.34, 0.55))),
        table_mm=float(rng.uniform(6.0, 34.0)),
        wave_seed=int(rng.integers(2**31)),
        hu={
            "adipose": float(rng.normal(*ADIPOSE_HU)),
            "muscle": float(rng.normal(*MUSCLE_HU)),
            "cortical_bone": float(rng.normal(*CORTEX_HU)),
            "marrow": float(rng.normal(*CANAL_HU)),
        },
    )
