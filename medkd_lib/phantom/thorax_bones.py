"""The bones of a chest: ribs, spine, clavicles, scapulae; a hard shell around marrow."""

from __future__ import annotations

import numpy as np

from medkd_lib.phantom.anatomy import Layer, soft
from medkd_lib.phantom.thorax_frame import CAGE_SHIFT_MM, ThoraxFrame
from medkd_lib.phantom.tubes import polyline, tube_layer

RIB_HALF_HEIGHT_MM = 6.6
RIB_HALF_THICKNESS_MM = 4.0
CORTEX_MM = 1.7
"""Rib calibre and cortical thickness (D, adult)."""

# How far round the chest each rib is bone, from 0° at the spine to 180° at the sternum;
# what follows is cartilage, which a film hardly shows. Ribs 11 and 12 float.
RIB_END_DEG = np.array([150, 152, 152, 150, 148, 146, 142, 136, 128, 116, 82, 58], np.float32)


def ribs(frame: ThoraxFrame) -> list[Layer]:
    r"""Twelve pairs of ribs on the surface of the cage.

    The centre of rib :math:`r` at angle φ from the spine lies at

    .. math:: z_r(\varphi) = z_0 - r\,p - D_r\,g(\varphi), \quad
              g = \tfrac12(1 - \cos\varphi), \quad D_r = D\,(0.55 + 0.09\min(r, 5))

    Voxels near the surface are assigned to the nearest rib by solving for :math:`r`, so all
    ribs are drawn in one go.
    """
    patient, grid = frame.patient, frame.grid
    x, y, z = grid.coordinates()
    depth = frame.cage.depth_mm()
    depth += np.float32(RIB_HALF_THICKNESS_MM + 1.0)
    reach = np.float32(RIB_HALF_THICKNESS_MM + max(grid.spacing_mm[:2]))
    voxels = np.flatnonzero((depth < reach) & (depth > -reach))
    radial = np.abs(depth.reshape(-1)[voxels])
    column, k = np.divmod(voxels, grid.shape[2])

    angle = np.arctan2(np.abs(x), y - CAGE_SHIFT_MM)[:, :, 0].reshape(-1)
    fall = (0.5 * (1.0 - np.cos(angle))).astype(np.float32)[column]
    below = np.float32(patient.apex_mm - 6.0) - z.reshape(-1)[k]
    drop, pitch = np.float32(patient.rib_drop_mm), np.float32(patient.rib_pitch_mm)
    # r from z: one formula while the drop still grows (r < 5), another after that
    rank = (below - 0.55 * drop * fall) / (pitch + 0.09 * drop * fall)
    rank = np.where(rank < 5.0, rank, (below - drop * fall) / pitch)
    rib = np.clip(np.rint(rank), 0, 11).astype(np.intp)
    pitch_here = np.where(rib < 5, pitch + 0.09 * drop * fall, pitch)
    jitter = np.array(patient.rib_jitter_mm, np.float32)[rib]
    away = np.abs((rank - rib) * pitch_here + jitter)

    across = frame.cage.voxel_mm.reshape(-1)[column]
    end = soft((np.deg2rad(RIB_END_DEG)[rib] - angle.astype(np.float32)[column]) * np.float32(20.0))
    shell = soft((RIB_HALF_HEIGHT_MM - away) / grid.spacing_mm[2]) * soft(
        (RIB_HALF_THICKNESS_MM - radial) / across
    )
    core = soft((RIB_HALF_HEIGHT_MM - CORTEX_MM - away) / grid.spacing_mm[2]) * soft(
        (RIB_HALF_THICKNESS_MM - CORTEX_MM - radial) / across
    )
    keep = (shell * end) > 0.0
    voxels, shell, core = voxels[keep], (shell * end)[keep], core[keep]
    everything = grid.everything
    return [
        Layer("rib cortex", "cortical_bone", everything, shell.astype(np.float32), voxels),
        Layer("rib marrow", "marrow", everything, core.astype(np.float32), voxels),
    ]


def spine(frame: ThoraxFrame) -> list[Layer]:
    """Vertebral bodies parted by discs, with spinous processes behind them."""
    patient, grid = frame.patient, frame.grid
    half_depth = patient.cage_mm[1]
    centre_y = 0.70 * half_depth
    top = grid.shape[2] / 2 * grid.spacing_mm[2]
    box = grid.box((-30.0, centre_y - 24.0, -top), (30.0, centre_y + 56.0, top))
    x, y, z = grid.coordinates(box)
    # bodies widen downwards; the column bows sideways by a few millimetres
    size = 1.0 + 0.0011 * (patient.apex_mm - z)
    x = x - patient.spine_bend_mm * np.cos(z * np.float32(np.pi / 260.0))
    pitch = patient.rib_pitch_mm * 0.92
    beat = np.abs((z / pitch) % 1.0 - 0.5) * 2.0  # 0 in the middle of a vertebra, 1 in a disc
    waist = 1.0 - 0.10 * (1.0 - beat**2)
    depth = (waist * size - np.sqrt((x / 15.5) ** 2 + ((y - centre_y) / 13.5) ** 2)) * 7.0
    bone = soft(depth.astype(np.float32)) * soft(((0.80 - beat) * pitch / 4.0).astype(np.float32))
    process = soft(
        ((1.0 - np.sqrt((x / 4.0) ** 2 + ((y - centre_y - 32.0) / 12.0) ** 2)) * 2.5
         * np.ones_like(z)).astype(np.float32)
    ) * soft(((0.55 - beat) * pitch / 4.0).astype(np.float32))  # fmt: skip
    pedicle = soft(
        ((1.0 - np.sqrt(((np.abs(x) - 12.5) / 4.5) ** 2 + ((y - centre_y - 17.0) / 6.0) ** 2))
         * 2.5 * np.ones_like(z)).astype(np.float32)
    ) * soft(((0.40 - beat) * pitch / 4.0).astype(np.float32))  # fmt: skip
    return [
        Layer("disc", "muscle", box, soft(depth.astype(np.float32))),
        Layer("vertebra", "vertebra", box, bone),
        Layer("spinous process", "vertebra", box, np.maximum(process, pedicle)),
    ]


def clavicles(frame: ThoraxFrame) -> list[Layer]:
    """Two S-shaped rods from the sternum to the shoulders."""
    patient, grid = frame.patient, frame.grid
    half_width, half_depth, length = patient.cage_mm
    inner_z = patient.apex_mm - 0.14 * length
    s = np.linspace(0.0, 1.0, 14)
    layers = []
    for side, sign in (("right", -1.0), ("left", 1.0)):
        points = np.stack(
            [
                sign * (14.0 + s * (1.12 * half_width - 14.0)),
                -0.62 * half_depth + 0.75 * half_depth * s**1.5,
                inner_z + patient.clavicle_lift_mm * s + 7.0 * np.sin(2 * np.pi * s - 0.3),
            ],
            axis=1,
        )
        radius = 6.0 + 1.6 * (np.abs(s[:-1] - 0.5) * 2.0) ** 2
        layers += [
            tube_layer(f"clavicle {side}", "cortical_bone", polyline(points, radius), grid),
            tube_layer(f"clavicle marrow {side}", "marrow", polyline(points, radius - 2.1), grid),
        ]
    return layers


def scapulae(frame: ThoraxFrame) -> list[Layer]:
    """Two thin triangles behind the upper ribs, thicker at the outer border, and humeral heads."""
    patient, grid = frame.patient, frame.grid
    half_width, half_depth, length = patient.cage_mm
    top, tip = patient.apex_mm - 0.10 * length, patient.apex_mm - 0.62 * length
    layers = []
    for side, sign in (("right", -1.0), ("left", 1.0)):
        near, far = sorted((sign * 0.72 * half_width, sign * 1.32 * half_width))
        box = grid.box((near, 0.25 * half_depth, tip), (far, half_depth + 14.0, top + 8.0))
        x, y, z = grid.coordinates(box)
        x = np.abs(x)
        down = (top - z) / (top - tip)
        inner = half_width * (0.80 + 0.16 * down)
        outer = half_width * (1.26 - 0.26 * down)
        blade = np.minimum((x - inner) / 2.0, (outer - x) / 2.0)
        blade = np.minimum(blade, np.minimum(top - z, (z - tip)) / 2.0)
        border = np.exp(-(((x - outer + 5.0) / 5.0) ** 2))
        surface = 0.92 * half_depth - 0.55 * (x - 0.75 * half_width)
        thick = 1.6 + 3.2 * border
        slab = soft(((thick - np.abs(y - surface) * 0.85) / grid.spacing_mm[1]).astype(np.float32))
        member = soft(blade.astype(np.float32)) * slab
        layers.append(Layer(f"scapula {side}", "vertebra", box, member.astype(np.float32)))
    return layers
