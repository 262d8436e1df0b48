"""How a virtual patient of the ``chaos`` twin is scanned: field of view, slices, breathing."""

from __future__ import annotations

from typing import Literal

import numpy as np

from medkd_lib.phantom.abdomen_frame import WALL_MM
from medkd_lib.phantom.abdomen_patient import AbdomenPatient, Millimetres
from medkd_lib.phantom.thigh_grid import PlacedGrid

Size = Literal["small", "full"]

MATRIX: dict[Size, int] = {"small": 192, "full": 256}
"""Pixels along each edge of a slice. Real MR has 256; real CT has 512, which would cost four times
the disk and show nothing more of smooth virtual organs."""

MR_PIXEL_MM, MR_SLICE_MM = (1.36, 1.89), (5.5, 9.0)
CT_PIXEL_MM, CT_SLICE_MM = (0.7, 0.8), (3.0, 3.2)
"""Ranges of the real files at their own matrix (organisers' data page); MR slices 7.84 apart on
average. Small twins halve the number of CT slices; MR slices are thick enough."""

BREATH_MM = (2.0, 3.5)
"""Most that the abdomen moves between two sequences, along y and z (D)."""


def ct_grid(patient: AbdomenPatient, size: Size, rng: np.random.Generator) -> PlacedGrid:
    """Grid of the CT, from above the dome to below the kidneys."""
    pixel = _pixel(patient, rng, CT_PIXEL_MM, 512)
    slice_mm = float(rng.uniform(*CT_SLICE_MM)) * (2.0 if size == "small" else 1.0)
    low = float(rng.uniform(-140.0, -112.0)) * patient.tall
    high = patient.dome_mm[0] + float(rng.uniform(18.0, 40.0))
    return _placed(patient, pixel * 512, MATRIX[size], slice_mm, low, high, rng)


def mr_grids(
    patient: AbdomenPatient, size: Size, rng: np.random.Generator
) -> tuple[PlacedGrid, PlacedGrid]:
    """Grids of T1 dual (both echoes) and of T2: own pixels, own slices."""
    grids = []
    for _ in range(2):
        pixel = _pixel(patient, rng, MR_PIXEL_MM, 256)
        slice_mm = float(np.clip(rng.normal(7.84, 0.7), *MR_SLICE_MM))
        low = float(rng.uniform(-120.0, -100.0)) * patient.tall
        high = patient.dome_mm[0] + float(rng.uniform(8.0, 24.0))
        grids.append(_placed(patient, pixel * 256, MATRIX[size], slice_mm, low, high, rng))
    return grids[0], grids[1]


def breath_mm(rng: np.random.Generator) -> Millimetres:
    """How far the body has moved for the second sequence."""
    y, z = (float(np.clip(rng.normal(0.0, m / 2.0), -m, m)) for m in BREATH_MM)
    return 0.0, y, z


def moved(grid: PlacedGrid, by_mm: Millimetres) -> PlacedGrid:
    """Return the grid shifted by some millimetres."""
    x, y, z = (p + d for p, d in zip(grid.first_mm, by_mm, strict=True))
    return PlacedGrid(grid.shape, grid.spacing_mm, (x, y, z))


def _pixel(
    patient: AbdomenPatient, rng: np.random.Generator, limits: tuple[float, float], matrix: int
) -> float:
    """Pixel at the real matrix so that the body fits, if the scanner's range allows."""
    width = 2.0 * (patient.cavity_mm[0] + WALL_MM + patient.fat_mm)
    return float(np.clip((width + rng.uniform(14.0, 46.0)) / matrix, *limits))


def _placed(
    patient: AbdomenPatient,
    field_mm: float,
    matrix: int,
    slice_mm: float,
    low: float,
    high: float,
    rng: np.random.Generator,
) -> PlacedGrid:
    pixel = round(field_mm / matrix, 4)
    count = int(np.ceil((high - low) / slice_mm)) + 1
    # the middle of the body, skin to skin, lies behind that of the cavity
    centre = (float(rng.normal(0.0, 3.0)), float(rng.normal(10.0, 3.0)))
    first = tuple(round(c - (matrix - 1) / 2.0 * pixel, 3) for c in centre)
    return PlacedGrid(
        (matrix, matrix, count),
        (pixel, pixel, round(slice_mm, 3)),
        (first[0], first[1], round(low, 3)),
    )
