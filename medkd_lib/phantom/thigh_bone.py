"""The femur: a hard tube around fatty marrow, wide and thin-walled towards the knee."""

from __future__ import annotations

import numpy as np

from medkd_lib.phantom.anatomy import Box, FloatArray, Layer, soft
from medkd_lib.phantom.thigh_build import LENGTH_MM
from medkd_lib.phantom.thigh_frame import fold
from medkd_lib.phantom.thigh_grid import PlacedGrid
from medkd_lib.phantom.thigh_patient import ThighPatient


def _polar(
    patient: ThighPatient, grid: PlacedGrid, box: Box | None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Distance from the femur's axis, cosine of the angle to its ridge, and flare 0…1."""
    x, y, z = grid.coordinates(box)
    up = z / np.float32(LENGTH_MM)
    turn = np.deg2rad(patient.rotation_deg)
    c, s = float(np.cos(turn)), float(np.sin(turn))
    # the axis bows forwards in the middle of the thigh
    u0, v0 = 0.12 + 0.12 * up, -0.10 + 0.08 * up**2
    u = fold(patient, x, z) - np.float32(patient.muscle_mm) * (c * u0 - s * v0)
    v = y - np.float32(patient.muscle_mm) * (s * u0 + c * v0)
    radius = np.sqrt(u * u + v * v) + np.float32(1e-3)
    # linea aspera, the ridge at the back
    ridge = (c * v - s * u) / radius
    flare = np.clip((-z - np.float32(105.0)) / np.float32(110.0), 0.0, 1.0) ** 2
    return radius, ridge, flare


def _outer_mm(patient: ThighPatient, ridge: FloatArray, flare: FloatArray) -> FloatArray:
    # r = r₀ (1 + 0.14 max(cos, 0)⁸ + flare)
    peak = np.maximum(ridge, 0.0) ** 8
    return np.float32(patient.femur_mm[0]) * (1.0 + np.float32(0.14) * peak + flare)


def femur_depth(patient: ThighPatient, grid: PlacedGrid, box: Box | None = None) -> FloatArray:
    """Distance below the surface of the femur in mm, negative outside."""
    radius, ridge, flare = _polar(patient, grid, box)
    return _outer_mm(patient, ridge, flare) - radius


def femur_layers(patient: ThighPatient, grid: PlacedGrid) -> list[Layer]:
    """Cortex of both femora, and the marrow in their canals."""
    radius, ridge, flare = _polar(patient, grid, None)
    pixel = np.float32(grid.spacing_mm[0])
    outer, inner = patient.femur_mm
    cortex = soft((_outer_mm(patient, ridge, flare) - radius) / pixel)
    # the wall thins from shaft to knee, down to a quarter
    wall = (outer - inner) * (1.0 - np.float32(0.75) * np.sqrt(flare))
    canal = soft((np.float32(outer) * (1.0 + flare) - wall - radius) / pixel)
    everything = grid.everything
    return [
        Layer("cortex", "cortical_bone", everything, cortex),
        Layer("marrow", "marrow", everything, canal),
    ]
