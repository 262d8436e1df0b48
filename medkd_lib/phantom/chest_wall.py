"""What slices show of the chest wall and an X-ray does not: fat between muscles, sternum, canal."""

from __future__ import annotations

import numpy as np

from medkd_lib.phantom.anatomy import FloatArray, Layer, ellipsoid, soft
from medkd_lib.phantom.chest_shapes import capsules
from medkd_lib.phantom.thorax_frame import CAGE_SHIFT_MM, ThoraxFrame

STERNUM_MM = (17.0, 5.5)
"""Half width and half thickness of the sternum (D)."""

CANAL_MM, CORD_MM = 8.0, 4.6
"""Radius of the spinal canal and of the cord (D)."""

TABLE_MM = 7.0
"""Thickness of the scanner's table (D)."""


def outer_wall(frame: ThoraxFrame) -> list[Layer]:
    """Skin, fat and muscle, and the breasts: arms are up, no shoulder slopes into the slices."""
    patient, grid = frame.patient, frame.grid
    depth = frame.body.depth_mm()
    everything, voxel = grid.everything, frame.body.voxel_mm
    layers = [
        Layer("skin", "skin", everything, soft(depth / voxel)),
        Layer("fat", "adipose", everything, soft((depth - np.float32(2.0)) / voxel)),
        Layer("muscle", "muscle", everything,
              soft((depth - np.float32(2.0 + patient.fat_mm)) / voxel)),
    ]  # fmt: skip
    if patient.male:
        return layers
    half_width, half_depth, length = patient.cage_mm
    thick = 12.0 + 0.6 * patient.fat_mm
    front = -(half_depth + 17.0 + 0.45 * patient.fat_mm)
    for number, sign in enumerate((-1.0, 1.0)):
        place = (sign * 0.55 * half_width, front, patient.apex_mm - 0.62 * length)
        layers.append(ellipsoid(grid, f"breast {number}", "adipose", place, (54.0, thick, 55.0)))
    return layers


def fat_planes(frame: ThoraxFrame) -> list[Layer]:
    """Fat between the layers of muscle around the ribs, and in the armpits."""
    patient, grid = frame.patient, frame.grid
    x, y, _ = grid.coordinates()
    outside = -frame.cage.depth_mm()
    # the sheet lies deeper at the sides, where the muscle is thin
    angle = np.arctan2(x, -y)
    middle = np.float32(12.5) + 2.5 * np.cos(2.0 * angle) + 1.2 * np.cos(5.0 * angle)
    half = np.float32(0.9 + 0.05 * patient.fat_mm)
    sheet = soft((half - np.abs(outside - middle)) / np.float32(grid.spacing_mm[0]))
    # at breast bone and spine one muscle follows the other
    sheet *= np.clip(1.5 * np.sin(angle) ** 2 - 0.2, 0.0, 1.0).astype(np.float32)
    half_width, _, length = patient.cage_mm
    layers = [Layer("fat plane", "adipose", grid.everything, sheet)]
    for side, sign in (("right", -1.0), ("left", 1.0)):
        place = (sign * (half_width + 17.0), 4.0, patient.apex_mm - 0.20 * length)
        layers.append(ellipsoid(grid, f"armpit {side}", "adipose", place, (12.0, 24.0, 46.0)))
    return layers


def sternum(frame: ThoraxFrame) -> list[Layer]:
    """Breast bone before the cage, slanting with it: a hard shell around marrow."""
    patient, grid = frame.patient, frame.grid
    half_depth, length = patient.cage_mm[1], patient.cage_mm[2]
    low, high = patient.apex_mm - 0.66 * length, patient.apex_mm - 0.12 * length
    box = grid.box((-22.0, -half_depth - 18.0, low), (22.0, 0.0, high))
    x, y, _ = grid.coordinates(box)
    front = CAGE_SHIFT_MM - half_depth * frame.cage.profile[:, :, box[2]] - 7.0
    wide, thick = STERNUM_MM

    def plate(cut_mm: float) -> FloatArray:
        rho = np.sqrt((x / (wide - cut_mm)) ** 2 + ((y - front) / (thick - cut_mm)) ** 2)
        depth = (1.0 - rho) * np.float32((thick - cut_mm) / grid.spacing_mm[0])
        return soft(depth.astype(np.float32))

    return [
        Layer("sternum cortex", "cortical_bone", box, plate(0.0) * np.float32(0.5)),
        Layer("sternum marrow", "vertebra", box, plate(1.3)),
    ]


def spinal_canal(frame: ThoraxFrame) -> list[Layer]:
    """Fluid around the cord, behind the vertebral bodies."""
    patient, grid = frame.patient, frame.grid
    behind = 0.70 * patient.cage_mm[1] + 21.0
    top = grid.shape[2] / 2 * grid.spacing_mm[2] + 20.0
    heights = np.linspace(-top, top, 5)
    bend = patient.spine_bend_mm * np.cos(heights * np.pi / 260.0)
    points = [(float(x), behind, float(z)) for x, z in zip(bend, heights, strict=True)]
    return [
        capsules(grid, "canal fat", "adipose", points, CANAL_MM + 1.0),
        capsules(grid, "canal", "csf", points, CANAL_MM - 0.8),
        capsules(grid, "cord", "white_matter", points, CORD_MM),
    ]


def table(frame: ThoraxFrame) -> Layer:
    """Top of the scanner's flat table, under the back."""
    patient, grid = frame.patient, frame.grid
    top = patient.cage_mm[1] + 20.0 + 0.45 * patient.fat_mm + 2.0
    everything = grid.everything
    x, y, z = grid.coordinates()
    depth = np.minimum(y - top, top + TABLE_MM - y) / grid.spacing_mm[1]
    depth = np.minimum(depth, (235.0 - np.abs(x)) / grid.spacing_mm[0]) + 0.0 * z
    return Layer("table", "table", everything, soft(depth.astype(np.float32)))
