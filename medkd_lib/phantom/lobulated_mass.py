"""The shape of a mass: an ellipsoid with a wavy surface, the same object on any grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medkd_lib.phantom.abdomen_frame import soft_edge
from medkd_lib.phantom.abdomen_patient import Millimetres
from medkd_lib.phantom.anatomy import Box, FloatArray, Grid
from medkd_lib.phantom.waves import random_waves

LOBULATION = 0.07
"""Waviness of the surface (D)."""


@dataclass(frozen=True)
class LobulatedMass:
    r"""One mass: the inside of :math:`|q|\,(1 + a\,w(q)) = 1`, q the place over the semi-axes.

    Attributes:
        centre_mm: LPS in the patient's frame.
        radius_mm: of a ball of its volume, what the organ cuts off counted.
        axes: semi-axes over that radius; their product is 1.
        wave_seed: of the waves w of unit variance on its surface, and of its inner unevenness.
    """

    centre_mm: Millimetres
    radius_mm: float
    axes: tuple[float, float, float]
    wave_seed: int

    def draw(self, grid: Grid) -> tuple[Box, FloatArray]:
        """Membership 0…1 in the smallest box of the grid that holds it (may be empty)."""
        reach = self.radius_mm * max(self.axes) * (1.0 + 3.0 * LOBULATION) + max(grid.spacing_mm)
        box = grid.box(
            tuple(c - reach for c in self.centre_mm), tuple(c + reach for c in self.centre_mm)
        )
        q = self._own(grid, box)
        wave = random_waves(np.random.default_rng(self.wave_seed), 0.9, 2.5, 8)(*q)
        rho = np.sqrt(sum(axis**2 for axis in q)) * (1.0 + LOBULATION * np.clip(wave, -2.5, 2.5))
        return box, soft_edge(((1.0 - rho) * self.radius_mm).astype(np.float32))

    def unevenness(self, grid: Grid, box: Box) -> FloatArray:
        """Smooth field of variance 1 in a box, waves of 8 to 25 mm; the same on any grid."""
        rng = np.random.default_rng([self.wave_seed, 1])
        return random_waves(rng, 8.0, 25.0, 16)(*np.broadcast_arrays(*grid.coordinates(box)))

    def _own(self, grid: Grid, box: Box) -> list[FloatArray]:
        """Places over the semi-axes, three arrays of the box's shape."""
        axes = np.broadcast_arrays(*grid.coordinates(box))
        return [
            (u - np.float32(c)) / np.float32(self.radius_mm * a)
            for u, c, a in zip(axes, self.centre_mm, self.axes, strict=True)
        ]
