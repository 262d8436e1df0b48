"""The curved coordinates of a chest: how far a voxel lies inside the rib cage or the body."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medkd_lib.phantom.anatomy import FloatArray, Grid
from medkd_lib.phantom.thorax_patient import ThoraxPatient

CAGE_SHIFT_MM = 4.0
"""The cage lies a little towards the back of the body (D)."""


@dataclass(frozen=True)
class Outline:
    r"""A superelliptic cylinder that swells and shrinks along z.

    .. math:: \rho(x, y) = \big(|x/a|^n + |y/b|^n\big)^{1/n}, \qquad
              \text{depth}(x, y, z) = (f(z) - \rho)\,L(x, y)

    with :math:`L = \sqrt{x^2 + y^2}/\rho`, the millimetres of one unit of ρ in that direction.

    Attributes:
        rho: (I, J, 1).
        mm_per_rho: (I, J, 1), L.
        voxel_mm: (I, J, 1), size of a voxel along the outward direction.
        profile: (1, 1, K), f.
    """

    rho: FloatArray
    mm_per_rho: FloatArray
    voxel_mm: FloatArray
    profile: FloatArray

    def depth_mm(self) -> FloatArray:
        """Signed distance to the surface, positive inside, (I, J, K)."""
        depth = self.profile - self.rho
        depth *= self.mm_per_rho
        return depth


@dataclass(frozen=True)
class ThoraxFrame:
    """What several organs need to know about the patient's shape.

    Attributes:
        patient: the attributes.
        grid: the grid.
        cage: inner surface of the rib cage.
        body: skin surface.
        diaphragm_mm: (I, J, 1), z of the diaphragm's top.
    """

    patient: ThoraxPatient
    grid: Grid
    cage: Outline
    body: Outline
    diaphragm_mm: FloatArray


def _outline(
    x: FloatArray, y: FloatArray, a: float, b: float, n: float, profile: FloatArray, grid: Grid
) -> Outline:
    radius = np.sqrt(x**2 + y**2) + np.float32(1e-3)
    # ρ = (|x/a|ⁿ + |y/b|ⁿ)^(1/n)
    rho = (np.abs(x / a) ** n + np.abs(y / b) ** n) ** (1.0 / n) + np.float32(1e-6)
    voxel = (np.abs(x) * grid.spacing_mm[0] + np.abs(y) * grid.spacing_mm[1]) / radius
    voxel = np.maximum(voxel, min(grid.spacing_mm[:2]))
    return Outline(
        rho.astype(np.float32),
        (radius / rho).astype(np.float32),
        voxel.astype(np.float32),
        profile.astype(np.float32),
    )


def build_frame(patient: ThoraxPatient, grid: Grid) -> ThoraxFrame:
    """Lay the patient's outlines and diaphragm on a grid."""
    x, y, z = grid.coordinates()
    half_width, half_depth, length = patient.cage_mm

    # cage: a dome above, straight below: f = (1 − (1 − t)^2.8)^0.5, t = depth below the apex
    t = np.clip((patient.apex_mm - z) / length, 0.0, 1.0)
    dome = np.sqrt(1.0 - (1.0 - t) ** 2.8)
    cage = _outline(x, y - CAGE_SHIFT_MM, half_width, half_depth, 2.3, dome, grid)

    # body: wall of ribs, muscle and fat around the cage, wider at the shoulders
    shoulders = 1.0 / (1.0 + np.exp(-(z - patient.apex_mm + 75.0) / 14.0))
    waist = np.clip((patient.apex_mm - length - z) / 120.0, 0.0, 1.0)
    profile = 1.0 + 0.17 * shoulders - (0.10 - 0.003 * patient.fat_mm) * waist
    body = _outline(
        x,
        y,
        half_width + 24.0 + patient.fat_mm,
        half_depth + 20.0 + 0.45 * patient.fat_mm,
        2.5,
        profile,
        grid,
    )

    # diaphragm: two domes, falling to the costophrenic angles, deepest at the back
    side = np.where(x < 0.0, patient.dome_mm[0], patient.dome_mm[1])
    away = (np.abs(x) - 0.42 * half_width) / (0.58 * half_width)
    fall = 46.0 * np.abs(away) ** 2.4 * np.where(away > 0.0, 1.0, 0.35)
    back = np.clip((y + 10.0) / half_depth, -1.0, 1.0)
    sulcus = np.where(back > 0.0, 52.0, 24.0) * np.abs(back) ** 2.2
    diaphragm = side - fall - sulcus
    return ThoraxFrame(patient, grid, cage, body, diaphragm.astype(np.float32))
