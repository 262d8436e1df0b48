"""What holds the abdomen: skin, fat, muscles, ribs and spine; and the lungs above the diaphragm."""

from __future__ import annotations

import numpy as np

from medkd_lib.phantom.abdomen_frame import SKIN_MM, AbdomenFrame, soft_edge
from medkd_lib.phantom.anatomy import FloatArray, Layer, ellipsoid

VERTEBRA_PITCH_MM, DISC_MM = 36.0, 9.0
"""Height of a lumbar vertebra with its disc, and of the disc (†)."""

RIB_PITCH_MM, RIB_HEIGHT_MM, RIB_THICK_MM = 30.0, 12.0, 9.0
"""Distance, height and thickness of the lower ribs (†)."""


def body_wall(frame: AbdomenFrame) -> list[Layer]:
    """Skin, fat, muscle, and the fat that fills the cavity between the organs."""
    everything, pixel = frame.grid.everything, frame.pixel_mm
    full = np.ones((1, 1, frame.grid.shape[2]), np.float32)

    def upright(name: str, tissue: str, depth_mm: FloatArray) -> Layer:
        # no surface of these leans, so the pixel is the width of their edge
        return Layer(name, tissue, everything, np.clip(depth_mm / pixel + 0.5, 0.0, 1.0) * full)

    return [
        upright("skin", "skin", frame.skin_mm),
        upright("fat", "adipose", frame.skin_mm - np.float32(SKIN_MM)),
        upright("muscle", "muscle", frame.muscle_mm),
        upright("inner fat", "adipose", frame.cavity_mm - np.float32(1.5)),
    ]


def lungs_and_heart(frame: AbdomenFrame) -> list[Layer]:
    """Draw what lies above the diaphragm in the upper slices, and the diaphragm itself."""
    patient, grid = frame.patient, frame.grid
    a, b = patient.cavity_mm
    box = grid.box((-a - 4.0, -b - 4.0, min(patient.dome_mm) - 110.0), (a + 4.0, b + 4.0, 400.0))
    i, j, _ = box
    _, _, z = frame.axes(box)
    above = (z - frame.dome_mm[i, j]) * np.float32(0.7)
    muscle = soft_edge(np.minimum(above + 4.0, frame.cavity_mm[i, j] + 1.0))
    lung = soft_edge(np.minimum(above, frame.cavity_mm[i, j] - 2.0))
    size = patient.at(46.0, 42.0, 40.0)
    heart = ellipsoid(grid, "heart", "heart_blood", patient.at(26.0, -34.0, 124.0), size, -20.0)
    around = ellipsoid(
        grid, "heart fat", "adipose", patient.at(24.0, -34.0, 120.0),
        (size[0] + 4.0, size[1] + 4.0, size[2] + 6.0), -20.0,
    )  # fmt: skip
    column = ellipsoid(
        grid, "mediastinum", "adipose", patient.at(0.0, 22.0, 130.0), patient.at(34.0, 34.0, 90.0)
    )
    return [
        Layer("diaphragm", "muscle", box, muscle),
        Layer("lungs", "lung", box, lung),
        column,
        around,
        heart,
    ]


def back_muscles(frame: AbdomenFrame) -> list[Layer]:
    """Psoas beside the spine, quadratus lumborum, and the long muscles of the back."""
    width, depth, _ = frame.patient.at(1.0, 1.0, 1.0)
    pixel = frame.pixel_mm
    side_mm, margin = 62.0 * width + 24.0, 2.0 * float(pixel)
    box = frame.grid.box(
        (-side_mm - margin, 42.0 * depth - 32.0 - margin, -1e4),
        (side_mm + margin, 88.0 * depth + 20.0 + margin, 1e4),
    )
    x, y, z = frame.axes(box)
    down = np.clip((20.0 - z) / 110.0, 0.0, 1.2)
    u = np.abs(x) - (28.0 + 15.0 * down) * width
    psoas = (7.0 + 17.0 * down) - np.sqrt(u**2 + ((y - 42.0 * depth) * 0.85) ** 2)
    # far outside: a millimetre would still be a quarter of a voxel of 4 mm
    psoas = np.where(down > 0.0, psoas, -9.0)
    side = (np.abs(x) - 62.0 * width) / 22.0
    quadratus = (1.0 - np.sqrt(side**2 + ((y - 74.0 * depth) / 9.0) ** 2)) * 9.0
    quadratus = np.where(z < 20.0, quadratus, -9.0)
    back = (np.abs(x) - 37.0 * width) / 30.0
    erector = (1.0 - np.sqrt(back**2 + ((y - 88.0 * depth) / 20.0) ** 2)) * 20.0 + 0.0 * z
    layers = []
    for name, mm in (("psoas", psoas), ("quadratus", quadratus), ("erector", erector)):
        member = np.clip(mm / pixel + 0.5, 0.0, 1.0).astype(np.float32)
        layers.append(Layer(name, "muscle", box, member))
    return layers


def spine(frame: AbdomenFrame) -> list[Layer]:
    """Bodies and discs in turn, arch and spinous process, the canal with its fluid."""
    patient, grid = frame.patient, frame.grid
    centre = 38.0 * patient.cavity_mm[1] / 85.0
    half = 46.0 + 14.0
    box = grid.box((-half, centre - 30.0, -400.0), (half, centre + 74.0, 400.0))
    x, y, z = frame.axes(box)
    pixel, v = frame.pixel_mm, y - np.float32(centre)
    body = (1.0 - (np.abs(x / 23.0) ** 2.3 + np.abs(v / 17.5) ** 2.3) ** (1 / 2.3)) * 18.0
    column = np.clip(body / pixel + 0.5, 0.0, 1.0)
    beat = (z / patient.tall + 8.0) / VERTEBRA_PITCH_MM
    from_disc = np.abs(beat - np.round(beat)) * VERTEBRA_PITCH_MM - DISC_MM / 2.0
    bone = np.clip(from_disc / grid.spacing_mm[2] + 0.5, 0.0, 1.0)
    marrow = np.clip((body - 1.6) / pixel + 0.5, 0.0, 1.0) * np.clip(
        (from_disc - 1.5) / grid.spacing_mm[2] + 0.5, 0.0, 1.0
    )
    w = y - np.float32(centre + 27.0)
    canal = (1.0 - np.sqrt((x / 11.0) ** 2 + (w / 8.5) ** 2)) * 8.5
    arch = np.minimum(canal + 5.0, w + 8.0)
    process = np.minimum(3.4 - np.abs(x), np.minimum(w, 34.0 - w))
    wing = np.minimum(4.0 - np.abs(w + 3.0 - 0.1 * np.abs(x)), 36.0 - np.abs(x))
    level = np.clip(1.6 * np.cos(2.0 * np.pi * (beat - 0.45)), 0.0, 1.0)
    behind = np.clip(np.maximum(arch, process) / pixel + 0.5, 0.0, 1.0)
    behind = np.maximum(behind * (0.35 + 0.65 * level), np.clip(wing / pixel + 0.5, 0, 1) * level)

    def layer(name: str, tissue: str, member: FloatArray) -> Layer:
        shape = [s.stop - s.start for s in box]
        return Layer(name, tissue, box, np.broadcast_to(member, shape).astype(np.float32))

    return [
        layer("discs", "disc", column),
        layer("arches", "red_marrow", behind),
        layer("cortex", "cortical_bone", column * bone * 0.75),
        layer("vertebrae", "red_marrow", marrow),
        layer("canal", "csf", np.clip(canal / pixel + 0.5, 0.0, 1.0)),
    ]


def ribs(frame: AbdomenFrame) -> list[Layer]:
    """Draw the lower ribs in the wall, running down from the spine to the front."""
    grid, patient = frame.grid, frame.patient
    x, y, z = frame.axes()
    middle = np.abs(frame.cavity_mm + 7.0)
    thick = np.clip((RIB_THICK_MM / 2.0 - middle) / frame.pixel_mm + 0.5, 0.0, 1.0)
    # the wall is a ring in every slice: (N, 1) pixels by (1, K) slices
    ring = np.flatnonzero(thick)
    x, y = (np.broadcast_to(c, thick.shape).reshape(-1)[ring][:, None] for c in (x, y))
    middle, thick, z = middle.reshape(-1)[ring][:, None], thick.reshape(-1)[ring][:, None], z[0]
    # 0 at the spine, 180° at the sternum
    angle = np.arctan2(np.abs(x), y + np.float32(1e-3))
    drop = 62.0 * (1.0 - np.cos(angle)) / 2.0 + 26.0 * np.sin(angle)
    beat = (z / patient.tall + drop - 96.0) / RIB_PITCH_MM
    number = np.round(beat)
    off = np.abs(beat - number) * RIB_PITCH_MM
    tall = np.clip((RIB_HEIGHT_MM / 2.0 - off) / grid.spacing_mm[2] + 0.5, 0.0, 1.0)
    # numbers count down from the seventh rib; the last ones are short
    end = np.clip(2.75 + 0.32 * number, 0.0, 2.6)
    bony = (angle > 0.30) & (angle < end) & (number > -5.0)
    member = (tall * bony * thick).astype(np.float32)
    core = np.clip((RIB_THICK_MM / 2.0 - 2.0 - middle) / frame.pixel_mm + 0.5, 0.0, 1.0)
    marrow = (member * core).astype(np.float32)
    at = np.nonzero(member)
    voxels = ring[at[0]] * grid.shape[2] + at[1]
    return [
        Layer("ribs", "cortical_bone", grid.everything, (member * np.float32(0.7))[at], voxels),
        Layer("rib marrow", "red_marrow", grid.everything, marrow[at], voxels),
    ]
