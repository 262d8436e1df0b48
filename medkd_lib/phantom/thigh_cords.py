"""What runs along a thigh: vessels and nerve in their fat, veins under the skin; and the table."""

from __future__ import annotations

import numpy as np

from medkd_lib.phantom.anatomy import FloatArray, Layer, soft
from medkd_lib.phantom.thigh_build import LENGTH_MM
from medkd_lib.phantom.thigh_frame import ThighFrame
from medkd_lib.phantom.thigh_grid import PlacedGrid
from medkd_lib.phantom.thigh_patient import ThighPatient

# Place in radii of the fascia at mid-thigh and its change per 200 mm towards the hip (D): the
# vessels wind from the front of the hip to the back of the knee.
VESSELS = (-0.40, -0.20, 0.16, -0.46)
NERVE = (0.12, 0.46, 0.06, 0.0)


def _disc(
    frame: ThighFrame,
    place: tuple[float, float, float, float],
    shift_mm: tuple[float, float],
    radii_mm: tuple[float, float],
) -> FloatArray:
    """Membership of an upright ellipse that follows a cord along z."""
    turn = np.deg2rad(frame.patient.rotation_deg)
    c, s = float(np.cos(turn)), float(np.sin(turn))
    up = frame.z / np.float32(LENGTH_MM)
    u0, v0 = place[0] + place[2] * up, place[1] + place[3] * up
    u = frame.u - ((c * u0 - s * v0) * frame.fascia_mm + np.float32(shift_mm[0]))
    v = frame.v - ((s * u0 + c * v0) * frame.fascia_mm + np.float32(shift_mm[1]))
    rho = np.sqrt((u / np.float32(radii_mm[0])) ** 2 + (v / np.float32(radii_mm[1])) ** 2)
    return soft((1.0 - rho) * (np.float32(min(radii_mm)) / frame.pixel_mm))


def cords(frame: ThighFrame) -> list[Layer]:
    """Femoral artery and vein, and the sciatic nerve, each in a bed of fat."""
    bed = 0.7 + 0.35 * frame.patient.septum_mm
    whole = frame.grid.everything
    fat = np.maximum(
        _disc(frame, VESSELS, (0.5, 0.5), (12.0 * bed, 9.0 * bed)),
        _disc(frame, NERVE, (0.0, 0.0), (11.0 * bed, 7.5 * bed)),
    )
    vessels = np.maximum(
        _disc(frame, VESSELS, (-3.6, -2.2), (3.2, 3.2)),
        _disc(frame, VESSELS, (3.2, 1.6), (4.4, 3.3)),
    )
    nerve = _disc(frame, NERVE, (0.0, 0.0), (5.5, 3.0))
    return [
        Layer("neurovascular fat", "adipose", whole, fat),
        Layer("femoral vessels", "blood", whole, vessels),
        # a nerve is half fat and half fibre
        Layer("sciatic nerve", "muscle", whole, np.float32(0.75) * nerve),
    ]


def veins(frame: ThighFrame) -> list[Layer]:
    """Three veins in the fat under the skin, the great saphenous one at the inner side."""
    rng = np.random.default_rng(frame.patient.wave_seed + 2)
    total: FloatArray = np.zeros(frame.u.shape, np.float32)
    for angle, radius in ((170.0, 2.4), (rng.uniform(190, 320), 1.5), (rng.uniform(20, 150), 1.4)):
        turn = np.deg2rad(angle + rng.normal(0.0, 8.0) + frame.z * rng.normal(0.0, 0.08))
        middle = frame.fascia_mm + np.float32(rng.uniform(0.35, 0.65) * frame.patient.fat_mm)
        rho = np.hypot(frame.u - middle * np.cos(turn), frame.v - middle * np.sin(turn))
        member = soft(((radius - rho) / frame.pixel_mm).astype(np.float32))
        # a vein thinner than a voxel fills only part of it
        member *= np.float32(min(1.0, 2.0 * radius / float(frame.pixel_mm)))
        np.maximum(total, member, out=total)
    return [Layer("superficial veins", "blood", frame.grid.everything, total)]


def table_layer(patient: ThighPatient, grid: PlacedGrid) -> Layer:
    """Top of the scanner's table, a shallow trough of one and a half millimetres of carbon."""
    x, y, _ = grid.coordinates()
    back = patient.muscle_mm * 1.05 + 1.35 * patient.fat_mm + patient.table_mm
    surface = np.float32(back) - x * x * np.float32(1.0 / 900.0)
    pixel = np.float32(grid.spacing_mm[1])
    depth = y - surface
    share = soft((depth + np.float32(0.75)) / pixel)
    share -= soft((depth - np.float32(0.75)) / pixel)
    member = np.broadcast_to(share, grid.shape).astype(np.float32)
    return Layer("table", "table", grid.everything, member)
