"""Kidneys in their fat: cortex, pyramids of medulla, the sinus with its pelvis; and the spleen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from medkd_lib.phantom.abdomen_frame import AbdomenFrame, smooth_min, soft_edge
from medkd_lib.phantom.abdomen_patient import AbdomenPatient, Side
from medkd_lib.phantom.anatomy import FloatArray, Layer
from medkd_lib.phantom.waves import random_waves

CORTEX_MM = 6.5
"""Thickness of the cortex (†, 5–8 mm)."""

FAT_MM = 9.0
"""Thickness of the fat around a kidney (D)."""

PYRAMIDS = 6
"""Pyramids around the sinus in one cross-section (†, 7–9 in a whole kidney half)."""


def kidney(frame: AbdomenFrame, side: Side) -> list[Layer]:
    """Fat capsule, cortex, medulla, sinus fat and renal pelvis of one side."""
    patient, grid = frame.patient, frame.grid
    number = 0 if side == "right" else 1
    semi, place = np.array(patient.kidney_mm[number]), np.array(patient.kidney_place_mm[number])
    reach = float(semi.max()) + FAT_MM + 6.0
    box = grid.box(tuple(place - reach), tuple(place + reach))
    i, j, _ = box
    turn = kidney_turn(patient, side)
    x, y, z = (axis - np.float32(c) for axis, c in zip(frame.axes(box), place, strict=True))
    # u away from the hilum, v across, w along
    u, v, w = (row[0] * x + row[1] * y + row[2] * z for row in turn.astype(np.float32))
    depth = _ellipsoid(u, v, w, semi)
    # the cavity's wall and the psoas hold the fat back
    room = frame.cavity_mm[i, j] + np.float32(3.0)
    fat = smooth_min(_ellipsoid(u, v, w, semi + FAT_MM), room, 6.0)
    organ = soft_edge(smooth_min(depth, room, 6.0))

    # sinus: a pouch that opens towards the hilum, a third of the kidney's length
    pouch = _ellipsoid(u + np.float32(0.72 * semi[0]), v, w, semi * np.array([0.78, 0.46, 0.52]))
    sinus = soft_edge(pouch)
    pelvis = soft_edge(
        _ellipsoid(u + np.float32(0.8 * semi[0]), v, w, semi * np.array([0.5, 0.2, 0.26]))
    )
    angle = np.arctan2(v, u + np.float32(0.45 * semi[0]))
    fan = np.cos(PYRAMIDS * angle + w * np.float32(np.pi / 24.0))
    pyramid = np.clip(1.6 * fan + 1.0, 0.0, 1.0)
    inner = np.clip((depth - CORTEX_MM) / frame.pixel_mm + 0.5, 0.0, 1.0)
    medulla = (pyramid * inner * organ * (1.0 - sinus)).astype(np.float32)
    name = f"{side} kidney"
    return [
        Layer(f"{name} fat", "adipose", box, soft_edge(fat)),
        Layer(name, "kidney_cortex", box, organ),
        Layer(f"{name} medulla", "kidney_medulla", box, medulla),
        Layer(f"{name} sinus", "adipose", box, sinus * organ),
        Layer(f"{name} pelvis", "urine", box, pelvis * sinus),
    ]


def spleen(frame: AbdomenFrame) -> Layer:
    """Draw a bean between the left wall and the stomach, hollow towards the middle."""
    patient, grid = frame.patient, frame.grid
    semi, place = np.array(patient.spleen_mm), np.array(patient.spleen_place_mm)
    reach = float(semi.max()) + 10.0
    box = grid.box(tuple(place - reach), tuple(place + reach))
    i, j, _ = box
    x, y, z = (axis - np.float32(c) for axis, c in zip(frame.axes(box), place, strict=True))
    # along the tenth rib: the lower end lies further in front
    lean = np.deg2rad(24.0)
    v = np.float32(np.cos(lean)) * y + np.float32(np.sin(lean)) * z
    w = np.float32(np.cos(lean)) * z - np.float32(np.sin(lean)) * y
    depth = _ellipsoid(x, v, w, semi)
    # stomach and kidney have pressed a hollow into its inner side
    hollow = -_ellipsoid(x + np.float32(1.75 * semi[0]), v, w, semi * np.array([1.35, 0.95, 1.3]))
    wall = frame.cavity_mm[i, j] - 4.0
    dome = (frame.dome_mm[i, j] - 5.0 - (z + np.float32(place[2]))) * np.float32(0.8)
    depth = smooth_min(smooth_min(depth, wall, 12.0), smooth_min(dome, hollow, 8.0), 8.0)
    rng = np.random.default_rng([patient.wave_seed, 4])
    depth += np.float32(1.5) * random_waves(rng, 35.0, 80.0, 8)(
        *np.broadcast_arrays(*frame.axes(box))
    )
    return Layer("spleen", "spleen", box, soft_edge(depth))


def kidney_turn(patient: AbdomenPatient, side: Side) -> NDArray[np.float64]:
    """Rows: away from the hilum, across, along the kidney; the left one mirrors the right one."""
    turn, tilt = np.deg2rad([patient.kidney_turn_deg, patient.kidney_tilt_deg])
    away = np.array([-np.cos(turn), np.sin(turn), 0.0])
    # the upper pole leans to the spine: along goes up and to the middle
    along = np.array([np.sin(tilt), 0.0, np.cos(tilt)])
    away -= along * (away @ along)
    away /= np.linalg.norm(away)
    rows = np.stack([away, np.cross(along, away), along])
    if side == "left":
        rows = rows * np.array([-1.0, 1.0, 1.0])
    return rows


def _ellipsoid(
    u: FloatArray, v: FloatArray, w: FloatArray, semi: NDArray[np.float64]
) -> FloatArray:
    r"""Depth in mm below an ellipsoid, :math:`d = (1 - \rho)\,|p|/\rho`, exact at the axes."""
    a, b, c = (np.float32(s) for s in semi)
    rho = np.sqrt((u / a) ** 2 + (v / b) ** 2 + (w / c) ** 2) + np.float32(1e-3)
    length = np.sqrt(u * u + v * v + w * w) + np.float32(1e-3) * min(a, b, c)
    return np.asarray((1.0 - rho) * length / rho, np.float32)
