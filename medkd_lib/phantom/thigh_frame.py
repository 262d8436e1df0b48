"""The curved coordinates of two thighs: where a voxel lay before the tumour pushed it aside."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medkd_lib.phantom.anatomy import Box, FloatArray
from medkd_lib.phantom.thigh_build import Build
from medkd_lib.phantom.thigh_grid import PlacedGrid
from medkd_lib.phantom.thigh_patient import ThighPatient
from medkd_lib.phantom.thigh_waves import Axes, draw_waves, wave_field

PUSH = 0.45
"""How far the tumour's surface pushed what was there, in tumour radii (D)."""

OUTLINE_MM, WALL_MM = 1.3, 3.6
"""How far skin and fascia, and on top of that the walls between muscles, wander (D, SD)."""


@dataclass(frozen=True)
class ThighFrame:
    r"""What muscles, fat and skin need to know about a voxel.

    Attributes:
        patient: the attributes.
        grid: the grid.
        u, v: (I, J, K) outwards and backwards from the leg's axis, mm, of the place the voxel's
            tissue had before the tumour grew; both legs share them, mirrored.
        z: (1, 1, K).
        fascia_mm: (1, 1, K) radius of the deep fascia before its harmonics.
        fascia_depth: (I, J, K) distance below the fascia, negative in the fat outside it.
        skin_depth: (I, J, K) distance below the skin.
    """

    patient: ThighPatient
    grid: PlacedGrid
    u: FloatArray
    v: FloatArray
    z: FloatArray
    fascia_mm: FloatArray
    fascia_depth: FloatArray
    skin_depth: FloatArray

    @property
    def pixel_mm(self) -> np.float32:
        """In-plane voxel size, the width of a soft edge."""
        return np.float32(self.grid.spacing_mm[0])


def tumour_axes(patient: ThighPatient, grid: PlacedGrid, box: Box | None = None) -> Axes:
    """Voxel centres relative to the tumour's centre."""
    x, y, z = (
        axis - np.float32(centre)
        for axis, centre in zip(grid.coordinates(box), patient.tumour.centre_mm, strict=True)
    )
    return x, y, z


def fold(patient: Build, x: FloatArray, z: FloatArray) -> FloatArray:
    """Distance outwards from the axis of the nearer leg: |x| minus where that axis runs."""
    return np.abs(x) - patient.axis_mm(z)


def build_frame(patient: ThighPatient, grid: PlacedGrid, box: Box | None = None) -> ThighFrame:
    r"""Lay the curved coordinates on a grid.

    The tumour at :math:`c` with ellipsoidal radius :math:`\rho` pushed its surroundings outwards,

    .. math:: p_0 = c + (p - c)\Big(1 - \frac{a}{\rho}\,e^{1-\rho}\Big)\ [\rho > 1], \qquad
              p_0 = c + (p - c)(1 - a)\ [\rho \le 1]

    across the leg only; muscles, fascia and skin are drawn at :math:`p_0`, so septa bend around
    it and the skin bulges over it. Bone does not give way and is drawn at :math:`p`.
    """
    x, y, z = grid.coordinates(box)
    if patient.tumour.visible:
        dx, dy, dz = tumour_axes(patient, grid, box)
        rho = patient.tumour.shape.smooth_rho((dx, dy, dz))
        outer = np.maximum(rho, 1.0)
        shift = np.exp(1.0 - outer)
        shift *= np.float32(-PUSH)
        shift /= outer
        x, y = x + dx * shift, y + dy * shift
    rng = np.random.default_rng(patient.wave_seed)
    axes = grid.coordinates(box)
    wander = [wave_field(axes, draw_waves(rng, (80.0, 80.0, 160.0), 12)) for _ in range(2)]
    u = fold(patient, x, z) + np.float32(OUTLINE_MM) * wander[0]
    v = y + np.float32(OUTLINE_MM) * wander[1]

    radius = np.sqrt(u * u + v * v) + np.float32(1e-3)
    fascia, skin = patient.outline_mm(u / radius, v / radius, z)
    skin_depth = skin - radius
    # pressed together, two legs keep their skins: nothing reaches across the mid-plane
    np.minimum(skin_depth, np.abs(x), out=skin_depth)
    # the walls between muscles are less regular than the outline
    u += np.float32(WALL_MM) * wander[1]
    v -= np.float32(WALL_MM) * wander[0]
    return ThighFrame(patient, grid, u, v, z, patient.fascia_mm(z), fascia - radius, skin_depth)
