"""The surfaces that abdominal organs lean against: skin, wall, cavity and diaphragm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medkd_lib.phantom.abdomen_patient import AbdomenPatient
from medkd_lib.phantom.anatomy import Box, FloatArray, Grid

SKIN_MM, WALL_MM, FRONT_MM, BACK_MM = 2.0, 15.0, 11.0, 24.0
"""Thickness of the skin, and of the muscles and ribs at flank, belly and back (D)."""

SQUARE = 2.35
"""Exponent of the outlines: an abdomen is a little squarer than an ellipse (D)."""


@dataclass(frozen=True)
class AbdomenFrame:
    r"""What several organs need to know about a person's shape.

    An outline is a superelliptic cylinder; the depth below it, positive inside, is

    .. math:: d = (1 - \rho)\,|p| / \rho, \qquad
              \rho = \big(|x/a|^n + |(y - c)/b|^n\big)^{1/n}

    Attributes:
        patient: the attributes.
        grid: the grid.
        cavity_mm: (I, J, 1) depth below the inner surface of the wall.
        muscle_mm: (I, J, 1) depth below the outer surface of the muscles.
        skin_mm: (I, J, 1) depth below the skin.
        dome_mm: (I, J, 1) height of the diaphragm, z.
    """

    patient: AbdomenPatient
    grid: Grid
    cavity_mm: FloatArray
    muscle_mm: FloatArray
    skin_mm: FloatArray
    dome_mm: FloatArray

    @property
    def pixel_mm(self) -> np.float32:
        """In-plane voxel size."""
        return np.float32(self.grid.spacing_mm[0])

    def axes(self, box: Box | None = None) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Voxel centres x, y, z."""
        return self.grid.coordinates(box)


def build_frame(patient: AbdomenPatient, grid: Grid) -> AbdomenFrame:
    """Lay a person's surfaces on a grid."""
    x, y, _ = grid.coordinates()
    a, b = patient.cavity_mm
    fat, belly = patient.fat_mm, patient.fat_mm * patient.fat_tilt
    back = 0.8 * patient.fat_mm + 4.0
    return AbdomenFrame(
        patient,
        grid,
        _depth(x, y, a, b, b),
        _depth(x, y, a + WALL_MM, b + FRONT_MM, b + BACK_MM),
        _depth(x, y, a + WALL_MM + fat, b + FRONT_MM + belly, b + BACK_MM + back),
        _diaphragm(patient, x, y),
    )


def _depth(x: FloatArray, y: FloatArray, half: float, front: float, back: float) -> FloatArray:
    """Depth below a superellipse that reaches from y = −front to y = back."""
    centre = (back - front) / 2.0
    v = y - np.float32(centre)
    radius = np.sqrt(x**2 + v**2) + np.float32(1e-3)
    # ρ = (|x/a|ⁿ + |(y − c)/b|ⁿ)^(1/n)
    rho = np.abs(x / half) ** SQUARE + np.abs(v / (front + back) * 2.0) ** SQUARE
    rho = rho ** (1.0 / SQUARE) + np.float32(1e-6)
    return ((1.0 - rho) * radius / rho).astype(np.float32)


def _diaphragm(patient: AbdomenPatient, x: FloatArray, y: FloatArray) -> FloatArray:
    """Two domes with a saddle between them, falling to the ribs, deepest at the back."""
    a, b = patient.cavity_mm
    right = 1.0 / (1.0 + np.exp(x / np.float32(14.0)))
    top = patient.dome_mm[1] + (patient.dome_mm[0] - patient.dome_mm[1]) * right
    away = (np.abs(x) - 0.46 * a) / (0.54 * a)
    side = np.where(away > 0.0, 78.0 * np.abs(away) ** 2.3, 13.0 * np.abs(away) ** 2.0)
    v = y / b
    front_back = np.where(v > 0.0, 80.0, 46.0) * np.abs(v) ** 2.3
    return (top - side - front_back).astype(np.float32)


def soft_edge(depth_mm: FloatArray) -> FloatArray:
    r"""Membership from a depth in mm, with edges as wide as the voxel is in their direction.

    .. math:: m = \mathrm{clip}\Big(\frac{d}{\sum_a |\Delta_a d|} + \tfrac12,\ 0,\ 1\Big)

    with the change :math:`\Delta_a d` over one voxel along axis a: a slice of 8 mm shows a flat
    dome as a wide shade and an upright wall as a sharp edge.

    Args:
        depth_mm: (I, J, K), two voxels or more along every axis.
    """
    if min(depth_mm.shape) < 2:
        return np.zeros(depth_mm.shape, np.float32)
    steps = np.zeros_like(depth_mm)
    for axis in range(3):
        steps += np.abs(np.gradient(depth_mm, axis=axis))
    # a flat maximum inside an organ has no slope; it is still inside
    np.maximum(steps, np.float32(0.2), out=steps)
    return np.clip(depth_mm / steps + np.float32(0.5), 0.0, 1.0).astype(np.float32)


def smooth_min(first: FloatArray, second: FloatArray, rounding_mm: float) -> FloatArray:
    r"""Minimum of two depths whose common edge is rounded.

    .. math:: \min(a, b) - \tfrac{r}{4}\,h^2, \qquad h = \max\big(0,\ 1 - |a - b|/r\big)
    """
    difference = np.abs(first - second)
    h = np.maximum(1.0 - difference / np.float32(rounding_mm), 0.0)
    return np.asarray(np.minimum(first, second) - np.float32(rounding_mm / 4.0) * h * h)
