"""Stomach, bowel and pancreas: walls around content and gas, lying in fat."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medkd_lib.phantom.abdomen_frame import AbdomenFrame, soft_edge
from medkd_lib.phantom.anatomy import Box, FloatArray, Layer
from medkd_lib.phantom.thorax_organs import clip_to
from medkd_lib.phantom.tubes import polyline, tube_layer
from medkd_lib.phantom.waves import random_waves

STOMACH_WALL_MM, BOWEL_WALL_MM = 4.0, 2.6
"""Thickness of the walls, filled (†, 2–5 mm)."""


def stomach(frame: AbdomenFrame) -> list[Layer]:
    """Fundus under the left dome, body, and the antrum that crosses the middle."""
    patient, grid = frame.patient, frame.grid
    fill = patient.stomach_fill
    parts = [
        (patient.at(52.0, 8.0, 64.0), (34.0, 36.0, 34.0)),
        (patient.at(52.0, -26.0, 36.0), (31.0, 25.0, 40.0)),
        (patient.at(22.0, -42.0, 4.0), (36.0, 19.0, 17.0)),
    ]
    centres = np.array([place for place, _ in parts])
    box = grid.box(tuple(centres.min(axis=0) - 46.0), tuple(centres.max(axis=0) + 50.0))
    i, j, _ = box
    x, y, z = frame.axes(box)
    depth: FloatArray = np.full([s.stop - s.start for s in box], -40.0, np.float32)
    for place, semi in parts:
        size = np.array(semi) * fill
        rho = np.sqrt(
            sum(((p - c) / r) ** 2 for p, c, r in zip((x, y, z), place, size, strict=True))
        )
        # a smooth union: parts that touch flow into each other
        depth = 7.0 * np.logaddexp(depth / 7.0, (1.0 - rho) * float(size.min()) / 7.0)
    np.minimum(depth, frame.cavity_mm[i, j] - 5.0, out=depth)
    np.minimum(depth, (frame.dome_mm[i, j] - 6.0 - z) * np.float32(0.8), out=depth)
    inside = soft_edge(depth - np.float32(STOMACH_WALL_MM))
    # on the back, gas gathers in front
    low, high = centres[:, 1].min() - 24.0, centres[:, 1].max() + 34.0
    level = low + (patient.gas_level + 1.0) / 2.0 * (high - low)
    gas = inside * np.clip((level - y) / frame.grid.spacing_mm[1] + 0.5, 0.0, 1.0)
    return [
        Layer("stomach", "bowel_wall", box, soft_edge(depth)),
        Layer("stomach content", "stomach_content", box, inside),
        Layer("stomach gas", "air", box, gas.astype(np.float32)),
    ]


# The colon's course in the standard body: up on the right, across, down on the left (†)
_COLON: ArrayLike = [
    *([-104, 22, -140], [-106, 12, -84], [-96, -14, -52], [-62, -56, -60], [0, -66, -72]),
    *([58, -58, -46], [96, -24, -4], [112, 14, -26], [112, 26, -84], [106, 24, -140]),
]


def colon(frame: AbdomenFrame) -> list[Layer]:
    """Draw a tube with haustra; stool in it, and gas where it rises to the front."""
    patient, grid = frame.patient, frame.grid
    rng = np.random.default_rng([patient.wave_seed, 5])
    places = np.array([patient.at(*p) for p in np.asarray(_COLON, float)])
    places[1:-1] += rng.normal(0.0, 4.0, (len(places) - 2, 3))
    radii = rng.uniform(15.0, 23.0, len(places))
    box = grid.box(tuple(places.min(axis=0) - [26.0, 26.0, 0.0]), tuple(places.max(axis=0) + 28.0))
    i, j, _ = box
    x, y, z = frame.axes(box)
    depth: FloatArray = np.full([s.stop - s.start for s in box], -60.0, np.float32)
    phase = 0.0
    for start, end, first, last in zip(places, places[1:], radii, radii[1:], strict=False):
        axis = end - start
        length = float(np.linalg.norm(axis))
        # only voxels near this piece: the colon frames the abdomen and fills little of it
        part = _near(frame, box, start, end, 28.0)
        px, py, pz = (a[_own(part, n)] for n, a in enumerate((x, y, z)))
        t = sum((p - s) * d for p, s, d in zip((px, py, pz), start, axis, strict=True)) / length**2
        t = np.clip(t, 0.0, 1.0).astype(np.float32)
        away = np.sqrt(
            sum((p - (s + t * d)) ** 2 for p, s, d in zip((px, py, pz), start, axis, strict=True))
        )
        bulge = 1.0 + 0.13 * np.cos((phase + t * length) * np.float32(2.0 * np.pi / 34.0))
        np.maximum(depth[part], (first + (last - first) * t) * bulge - away, out=depth[part])
        phase += length
    np.minimum(depth, frame.cavity_mm[i, j] - 3.0, out=depth)
    inside = soft_edge(depth - np.float32(BOWEL_WALL_MM))
    axes = np.broadcast_arrays(x, y, z)
    pockets = random_waves(rng, 50.0, 140.0, 8)(*axes) - 0.022 * y
    gas = inside * np.clip((pockets - 0.55) * 4.0, 0.0, 1.0)
    return [
        Layer("colon", "bowel_wall", box, soft_edge(depth)),
        Layer("colon content", "bowel_content", box, inside),
        Layer("colon gas", "air", box, gas.astype(np.float32)),
    ]


def _own(part: Box, axis: int) -> tuple[slice, ...]:
    return tuple(part[n] if n == axis else slice(None) for n in range(3))


def _near(
    frame: AbdomenFrame, box: Box, start: FloatArray, end: FloatArray, margin_mm: float
) -> Box:
    """Part of ``box``, counted from its corner, around a straight piece."""
    low, high = np.minimum(start, end) - margin_mm, np.maximum(start, end) + margin_mm
    around = frame.grid.box(tuple(low), tuple(high))
    parts = []
    for own, whole in zip(around, box, strict=True):
        first = min(max(own.start, whole.start), whole.stop) - whole.start
        parts.append(slice(first, max(min(own.stop, whole.stop) - whole.start, first)))
    return parts[0], parts[1], parts[2]


def small_bowel(frame: AbdomenFrame) -> list[Layer]:
    """Draw loops below stomach and liver: a folded field stands for the tangle."""
    patient, grid = frame.patient, frame.grid
    rng = np.random.default_rng([patient.wave_seed, 6])
    low, high = patient.at(-88.0, -78.0, -170.0), patient.at(94.0, 24.0, 2.0)
    box = grid.box(low, high)
    i, j, _ = box
    x, y, z = frame.axes(box)
    axes = np.broadcast_arrays(x, y, z)
    fold = random_waves(rng, 42.0, 62.0, 22)(*axes)
    room = np.minimum(frame.cavity_mm[i, j] - 5.0, np.minimum(high[1] - y, x - low[0]))
    room = np.minimum(np.minimum(room, high[0] - x), (high[2] - z) * 0.7)
    # loops end where they end, not at the planes of a box
    within = np.clip((room - 9.0 + 9.0 * np.clip(fold, -1.0, 1.0)) / frame.pixel_mm + 0.5, 0.0, 1.0)
    wall = np.clip((fold + 0.35) * 3.5, 0.0, 1.0) * within
    content = np.clip((fold - 0.1) * 3.5, 0.0, 1.0) * within
    gas = np.clip((fold - 1.25 - 0.01 * y) * 4.0, 0.0, 1.0) * within
    return [
        Layer("small bowel", "bowel_wall", box, wall.astype(np.float32)),
        Layer("small bowel content", "bowel_content", box, content.astype(np.float32)),
        Layer("small bowel gas", "air", box, gas.astype(np.float32)),
    ]


def pancreas(frame: AbdomenFrame) -> Layer:
    """From the duodenum across the spine to the spleen's hilum."""
    rng = np.random.default_rng([frame.patient.wave_seed, 7])
    course = [[-30, -10, -8], [-12, -17, 2], [8, -17, 12], [34, 0, 20], [58, 20, 28], [76, 26, 34]]
    places = np.array([frame.patient.at(*p) for p in course]) + rng.normal(0.0, 2.5, (6, 3))
    radii = np.array([13.0, 10.5, 9.0, 9.5, 8.5]) * float(rng.uniform(0.8, 1.1))
    return tube_layer("pancreas", "pancreas", polyline(places, radii), frame.grid, 2.0)


def duodenum(frame: AbdomenFrame) -> list[Layer]:
    """Around the head of the pancreas."""
    course = [[-22, -34, 4], [-44, -16, 0], [-48, -8, -26], [-30, -4, -42], [4, -8, -42]]
    tube = polyline(np.array([frame.patient.at(*p) for p in course]), 12.0)
    wall = tube_layer("duodenum", "bowel_wall", tube, frame.grid, 2.0)
    content = tube_layer(
        "duodenum content", "bowel_content", polyline(_joints(tube.start_mm, tube.end_mm), 8.0),
        frame.grid, 2.0,
    )  # fmt: skip
    return [wall, clip_to(content, wall, frame.grid)]


def _joints(start: NDArray[np.float64], end: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([start, end[-1:]])
