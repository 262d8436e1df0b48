"""From voxels to the brain's own frame: rotation, size, asymmetry, and a tumour that pushes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medkd_lib.phantom.anatomy import Box, FloatArray, Grid
from medkd_lib.phantom.brain_patient import BrainPatient
from medkd_lib.phantom.brain_shapes import Points

ATLAS_CENTRE_MM = (-119.5, 119.5, 77.0)
"""World place (RAS+) of the grid's middle in the files: that of 240×240×155 voxels of 1 mm."""

FULL_GRID = Grid((240, 240, 155), (1.0, 1.0, 1.0))
SMALL_GRID = Grid((120, 120, 78), (2.0, 2.0, 2.0))

BEND_MM = 1.6
"""Standard deviation of the frame's bending (D)."""


@dataclass(frozen=True)
class Push:
    r"""Displacement by a growing mass, radial from its centre.

    .. math:: p' = c + (p - c)\,\big(1 - s\,e^{-(|p - c| / r)^2}\big)

    p' is where the tissue now at p came from; s < 1 keeps the map one-to-one.

    Attributes:
        centre_mm: c in the brain frame.
        reach_mm: r.
        strength: s.
    """

    centre_mm: tuple[float, float, float]
    reach_mm: float
    strength: float

    def __call__(self, p: Points) -> Points:
        """Where the tissue came from."""
        u, v, w = (a - c for a, c in zip(p, self.centre_mm, strict=True))
        factor = u * u + v * v + w * w
        factor *= np.float32(-1.0 / self.reach_mm**2)
        np.exp(factor, out=factor)
        factor *= np.float32(self.strength)
        return Points(p.u - factor * u, p.v - factor * v, p.w - factor * w)


def atlas_affine(grid: Grid) -> NDArray[np.float64]:
    """Affine of a written file: the atlas' own for 1 mm, the same world for other grids."""
    affine = grid.affine
    affine[:3, 3] += ATLAS_CENTRE_MM
    return affine


def frame_matrix(patient: BrainPatient) -> NDArray[np.float64]:
    r"""Matrix M of :math:`p = M (x - x_{AC})`: grid millimetres → brain frame."""
    matrix = np.eye(3)
    for axis, degrees in enumerate(patient.rotation_deg):
        c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
        turn = np.eye(3)
        a, b = (axis + 1) % 3, (axis + 2) % 3
        turn[a, a], turn[a, b], turn[b, a], turn[b, b] = c, -s, s, c
        matrix = turn @ matrix
    shear = np.eye(3)
    # right side forward, left side back: v' = v − petalia·u
    shear[1, 0] = -patient.petalia
    return np.asarray(shear @ np.diag(1.0 / np.array(patient.scale)) @ matrix)


def to_frame(patient: BrainPatient, grid: Grid, box: Box) -> Points:
    """Brain-frame coordinates of the voxels of a box, bent by the patient's own shape."""
    matrix = frame_matrix(patient).astype(np.float32)
    x, y, z = (
        a - np.float32(s) for a, s in zip(grid.coordinates(box), patient.shift_mm, strict=True)
    )
    flat = Points(*(row[0] * x + row[1] * y + row[2] * z for row in matrix))
    return bent(patient, flat)


def bent(patient: BrainPatient, p: Points) -> Points:
    """Add the patient's smooth bending to flat frame coordinates."""
    return Points(*(a + BEND_MM * wave(*p) for a, wave in zip(p, patient.shape, strict=True)))


def to_grid_mm(patient: BrainPatient, places_mm: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """Grid millimetres of brain-frame places (N, 3): the inverse of :func:`to_frame`."""
    inverse = np.linalg.inv(frame_matrix(patient))
    places = np.asarray(places_mm, np.float64).reshape(-1, 3)
    flat = places.copy()
    # bending is small and smooth, so subtracting it a few times converges
    for _ in range(8):
        bend = np.stack([wave(*flat.T) for wave in patient.shape], axis=1)
        flat = places - BEND_MM * bend
    return flat @ inverse.T + np.array(patient.shift_mm)


def frame_box(
    patient: BrainPatient,
    grid: Grid,
    low_mm: Sequence[float],
    high_mm: Sequence[float],
    margin_mm: float = 7.0,
) -> Box:
    """Index box that holds a box of the brain frame, with a margin for bending."""
    corners = [[(low_mm, high_mm)[(n >> axis) & 1][axis] for axis in range(3)] for n in range(8)]
    placed = np.array(corners) @ np.linalg.inv(frame_matrix(patient)).T
    placed += np.array(patient.shift_mm)
    return grid.box(tuple(placed.min(axis=0) - margin_mm), tuple(placed.max(axis=0) + margin_mm))


def refine(field: FloatArray, coarse: Grid, coarse_box: Box, grid: Grid, box: Box) -> FloatArray:
    """Linear interpolation of a field from one grid's box to another's, axis by axis.

    Outside the coarse box the nearest value counts. Both grids share their middle.
    """
    for axis in range(3):
        n, start = field.shape[axis], coarse_box[axis].start
        middle, spacing = (coarse.shape[axis] - 1) / 2, coarse.spacing_mm[axis]
        index = np.arange(box[axis].start, box[axis].stop) - (grid.shape[axis] - 1) / 2
        place = index * grid.spacing_mm[axis] / spacing + middle - start
        place = np.clip(place, 0.0, n - 1.0)
        low = np.minimum(place.astype(np.intp), max(n - 2, 0))
        high = np.minimum(low + 1, n - 1)
        shape = [1, 1, 1]
        shape[axis] = -1
        weight = (place - low).astype(np.float32).reshape(shape)
        lower = np.take(field, low, axis=axis)
        field = np.take(field, high, axis=axis)
        field -= lower
        field *= weight
        field += lower
    return field
