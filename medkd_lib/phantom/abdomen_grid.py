"""Where a CT of the abdomen lies: its slices around one body, and its place in the room."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from medkd_lib.phantom.abdomen_frame import WALL_MM
from medkd_lib.phantom.abdomen_patient import AbdomenPatient
from medkd_lib.phantom.thigh_grid import PlacedGrid

FIELD_MM = (340.0, 440.0)
"""Edges of the slices: as wide as the patient asks, unlike a PET/CT's (D)."""


def body_grid(
    person: AbdomenPatient,
    matrix: int,
    pixel_mm: float,
    slice_mm: float,
    rng: np.random.Generator,
) -> PlacedGrid:
    """Square slices from above the dome to below the kidneys, the body about in the middle."""
    low = float(rng.uniform(-122.0, -108.0)) * person.tall
    high = person.dome_mm[0] + float(rng.uniform(8.0, 20.0))
    count = int(np.ceil((high - low) / slice_mm)) + 1
    # the middle of the body, skin to skin, lies behind that of the cavity
    centre = (float(rng.normal(0.0, 3.0)), float(rng.normal(10.0, 3.0)))
    x, y = (round(c - (matrix - 1) / 2.0 * pixel_mm, 3) for c in centre)
    return PlacedGrid(
        (matrix, matrix, count), (pixel_mm, pixel_mm, slice_mm), (x, y, round(low, 3))
    )


def fitted_grid(
    person: AbdomenPatient, matrix: int, slice_mm: float, rng: np.random.Generator
) -> PlacedGrid:
    """As `body_grid`, with pixels by the body's width, skin to skin."""
    width = 2.0 * (person.cavity_mm[0] + WALL_MM + person.fat_mm)
    field = float(np.clip(width + float(rng.uniform(10.0, 40.0)), *FIELD_MM))
    return body_grid(person, matrix, round(field / matrix, 4), slice_mm, rng)


def world_affine(
    grid: PlacedGrid, rng: np.random.Generator, height_mm: tuple[float, float]
) -> NDArray[np.float64]:
    """Voxel → RAS+ millimetres of a scanner in whose frame the patient lies somewhere.

    Args:
        grid: in the patient's frame.
        rng: source of that place.
        height_mm: range of the table's position.
    """
    world = np.round([*rng.normal(0.0, 8.0, 2), rng.uniform(*height_mm)], 2)
    affine = grid.affine
    # LPS → RAS turns the signs of x and y
    affine[:3, 3] += np.array([-1.0, -1.0, 1.0]) * world
    return affine
