"""Grids that lie anywhere in the patient: what a crop of a scan is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medkd_lib.phantom.anatomy import Box, FloatArray, Grid

Millimetres = tuple[float, float, float]


@dataclass(frozen=True)
class PlacedGrid(Grid):
    r"""A :class:`Grid` whose first voxel has a place of its own, :math:`p = p_0 + i\,s`.

    Three scanners that look at one patient share the millimetres and nothing else.

    Attributes:
        first_mm: centre of voxel (0, 0, 0) along left, posterior, superior.
    """

    first_mm: Millimetres = (0.0, 0.0, 0.0)

    @property
    def affine(self) -> NDArray[np.float64]:
        """Voxel index → RAS+ millimetres."""
        lps = np.diag([*self.spacing_mm, 1.0])
        lps[:3, 3] = self.first_mm
        return np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps

    @property
    def last_mm(self) -> NDArray[np.float64]:
        """Centre of the last voxel, LPS."""
        return np.array(self.first_mm) + (np.array(self.shape) - 1) * np.array(self.spacing_mm)

    def coordinates(self, box: Box | None = None) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Voxel centres x, y, z in mm (LPS), shaped (I,1,1), (1,J,1), (1,1,K)."""
        x, y, z = (
            (first + np.arange(n) * s).astype(np.float32)
            for first, n, s in zip(self.first_mm, self.shape, self.spacing_mm, strict=True)
        )
        if box is not None:
            x, y, z = x[box[0]], y[box[1]], z[box[2]]
        return x[:, None, None], y[None, :, None], z[None, None, :]

    def box(self, low_mm: tuple[float, ...], high_mm: tuple[float, ...]) -> Box:
        """Smallest index box that holds the millimetre box, cut at the grid (may be empty)."""
        slices = []
        for axis in range(3):
            n, s, first = self.shape[axis], self.spacing_mm[axis], self.first_mm[axis]
            start = min(max(int(np.floor((low_mm[axis] - first) / s)), 0), n)
            stop = int(np.ceil((high_mm[axis] - first) / s)) + 1
            slices.append(slice(start, min(max(stop, start), n)))
        return slices[0], slices[1], slices[2]

    def crop(self, box: Box) -> PlacedGrid:
        """Part of this grid, voxels in the same places."""
        first = tuple(
            p + b.start * s for p, b, s in zip(self.first_mm, box, self.spacing_mm, strict=True)
        )
        shape = tuple(b.stop - b.start for b in box)
        return PlacedGrid(shape, self.spacing_mm, first)


def grid_over(
    low_mm: Millimetres, high_mm: Millimetres, spacing_mm: Millimetres, phase_mm: Millimetres
) -> PlacedGrid:
    """Lay the smallest grid over a box, its voxels on the lattice ``phase + n · spacing``."""
    low, high, s, phase = (np.array(v) for v in (low_mm, high_mm, spacing_mm, phase_mm))
    start = np.floor((low - phase) / s)
    shape = tuple(int(n) for n in np.ceil((high - phase) / s) - start + 1)
    first = tuple(float(v) for v in phase + start * s)
    return PlacedGrid(shape, spacing_mm, first)  # type: ignore[arg-type]
