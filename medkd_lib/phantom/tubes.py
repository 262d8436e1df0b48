"""Tubes on a grid (vessels, airways, clavicles) by depositing their volume.

A tube is cut into thin discs, a disc into grains of equal volume, and each grain is shared
among the eight voxels around it. Total volume is kept exactly, thin vessels become partial
volume instead of vanishing, and no loop over voxels is needed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medkd_lib.phantom.anatomy import Box, FloatArray, Grid, Layer


@dataclass(frozen=True)
class Tubes:
    """Straight pieces of tube.

    Attributes:
        start_mm: (N, 3) first end.
        end_mm: (N, 3) other end.
        radius_mm: (N,) radius.
    """

    start_mm: NDArray[np.float64]
    end_mm: NDArray[np.float64]
    radius_mm: NDArray[np.float64]

    @property
    def volume_ml(self) -> float:
        r"""Sum of :math:`\pi r^2 \ell` in millilitres (joints counted twice)."""
        length = np.linalg.norm(self.end_mm - self.start_mm, axis=1)
        return float((np.pi * self.radius_mm**2 * length).sum() / 1000.0)


def polyline(points_mm: NDArray[np.float64], radius_mm: float | NDArray[np.float64]) -> Tubes:
    """Tube along points of shape (N + 1, 3) with one radius or N radii."""
    count = len(points_mm) - 1
    return Tubes(points_mm[:-1], points_mm[1:], np.broadcast_to(radius_mm, count).astype(float))


def tube_layer(name: str, tissue: str, tubes: Tubes, grid: Grid, grain_mm: float = 1.6) -> Layer:
    r"""Draw the tubes as a layer in their bounding box.

    Each grain carries :math:`\pi r^2 \ell / n` and is spread trilinearly; the sum over a voxel
    divided by the voxel's volume is its fraction, cut at one.

    Args:
        name: layer name.
        tissue: layer tissue.
        tubes: pieces of tube.
        grid: where.
        grain_mm: distance between grains; finer is smoother and slower.
    """
    # A tube that ends with the grid may have a piece without length beyond it.
    there = (tubes.end_mm != tubes.start_mm).any(axis=1)
    tubes = Tubes(tubes.start_mm[there], tubes.end_mm[there], tubes.radius_mm[there])
    along = np.maximum(
        np.ceil(np.linalg.norm(tubes.end_mm - tubes.start_mm, axis=1) / grain_mm), 1
    ).astype(int)
    across = np.maximum(np.round(np.pi * tubes.radius_mm**2 / grain_mm**2), 1).astype(int)
    count = along * across
    piece = np.repeat(np.arange(len(count)), count)
    rank = np.arange(len(piece)) - np.repeat(np.cumsum(count) - count, count)
    step, grain = np.divmod(rank, across[piece])

    axis = tubes.end_mm - tubes.start_mm
    length = np.maximum(np.linalg.norm(axis, axis=1), 1e-6)
    direction = axis / length[:, None]
    # any vector not parallel to the tube gives the two directions across it
    other = np.where(np.abs(direction[:, 2:]) < 0.9, [[0.0, 0.0, 1.0]], [[1.0, 0.0, 0.0]])
    first = np.cross(direction, other)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = np.cross(direction, first)

    # sunflower disc: r_m = R sqrt((m + 1/2)/n), angle m·137.5°, turned a little at every step
    radius = tubes.radius_mm[piece] * np.sqrt((grain + 0.5) / across[piece])
    radius[across[piece] == 1] = 0.0
    angle = 2.39996 * grain + 0.7 * step
    where = (
        tubes.start_mm[piece]
        + axis[piece] * ((step + 0.5) / along[piece])[:, None]
        + first[piece] * (radius * np.cos(angle))[:, None]
        + second[piece] * (radius * np.sin(angle))[:, None]
    )
    volume = (np.pi * tubes.radius_mm**2 * length / count)[piece]
    box, fraction = _deposit(where, volume / (grid.voxel_ml * 1000.0), grid)
    return Layer(name, tissue, box, fraction)


def _deposit(
    where_mm: NDArray[np.float64], share: NDArray[np.float64], grid: Grid
) -> tuple[Box, FloatArray]:
    """Spread each share trilinearly over the eight voxels around its place."""
    # RAS+ → LPS
    first = grid.affine[:3, 3] * (-1.0, -1.0, 1.0)
    index = (where_mm - first) / np.array(grid.spacing_mm)
    inside = np.all((index >= 0) & (index < np.array(grid.shape) - 1), axis=1)
    index, share = index[inside], share[inside]
    if not len(index):
        return (slice(0, 0), slice(0, 0), slice(0, 0)), np.zeros((0, 0, 0), np.float32)
    low = index.astype(np.int64)
    start, stop = low.min(axis=0), low.max(axis=0) + 2
    shape = stop - start
    rest = index - low
    strides = (int(shape[1] * shape[2]), int(shape[2]), 1)
    flat = (low - start) @ np.array(strides)
    fraction = np.zeros(int(np.prod(shape)))
    for a in (0, 1):
        for b in (0, 1):
            for c in (0, 1):
                weight = share.copy()
                for axis, upper in enumerate((a, b, c)):
                    weight *= rest[:, axis] if upper else 1.0 - rest[:, axis]
                place = flat + a * strides[0] + b * strides[1] + c
                fraction += np.bincount(place, weight, minlength=len(fraction))
    i, j, k = (slice(int(first), int(end)) for first, end in zip(start, stop, strict=True))
    return (i, j, k), np.minimum(fraction, 1.0).astype(np.float32).reshape(shape)
