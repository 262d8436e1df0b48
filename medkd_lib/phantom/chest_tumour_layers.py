"""Tumour and collapsed lung painted into a chest: the tumour with its exact volume."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from medkd_lib.phantom.anatomy import Anatomy, Box, FloatArray, Grid, Layer, soft
from medkd_lib.phantom.chest_shapes import Point
from medkd_lib.phantom.chest_tissue import COLLAPSE, TUMOUR
from medkd_lib.phantom.chest_tumour import Collapse, LungTumour
from medkd_lib.phantom.thigh_waves import draw_waves, wave_field


def cover(layers: list[Layer], grid: Grid) -> FloatArray:
    """Share of each voxel that the layers hide from what lies below them."""
    painted = tuple(replace(layer, tissue="muscle") for layer in layers)
    return Anatomy(grid, painted).paint({"air": 0.0, "muscle": 1.0})


def tumour_layer(
    tumour: LungTumour, centre_mm: Point, lung: FloatArray, hidden: FloatArray, grid: Grid
) -> Layer:
    r"""Draw the tumour.

    It fills lung, and soft tissue as far as its invasion; what lies above it (heart, vessels,
    bones) it does not fill. With the room :math:`g` that is left of each voxel, the level is the
    least for which :math:`\sum_{\tilde\rho \le level} g\,\Delta V` reaches the volume.

    Args:
        tumour: what to draw.
        centre_mm: in the grid's frame.
        lung: (I, J, K) share of its own lung before anything lies over it.
        hidden: (I, J, K) share that later layers take.
        grid: where.
    """
    reach = tumour.reach_mm
    box = grid.box(tuple(c - reach for c in centre_mm), tuple(c + reach for c in centre_mm))
    x, y, z = (u - np.float32(c) for u, c in zip(grid.coordinates(box), centre_mm, strict=True))
    rho = tumour.rho((x, y, z))
    allowed = np.clip(lung[box], 0.0, 1.0)
    if tumour.invasion_mm > 0.0:
        deep = ndimage.distance_transform_edt(lung[box] < 0.5, sampling=grid.spacing_mm)
        margin = (tumour.invasion_mm - deep) / grid.spacing_mm[0]
        allowed = np.maximum(allowed, soft(margin.astype(np.float32)))
    room = allowed * (1.0 - hidden[box])
    order = np.argsort(rho, axis=None)
    volume = np.cumsum(room.reshape(-1)[order], dtype=np.float64) * grid.voxel_ml
    at = min(int(np.searchsorted(volume, tumour.volume_ml)), len(order) - 1)
    level = rho.reshape(-1)[order[at]]
    # one voxel of edge: a step of ρ̃ is about the radius long
    depth = (level - rho) * np.float32(tumour.radius_mm / grid.spacing_mm[0])
    return Layer("tumour", TUMOUR, box, soft(depth) * allowed.astype(np.float32))


def collapse_layer(
    collapse: Collapse, radius_mm: float, centre_mm: Point, lung: FloatArray, grid: Grid
) -> Layer:
    r"""Draw the wedge of airless lung behind a tumour.

    With :math:`h = p \cdot \hat a` from the tumour's centre its half width is
    :math:`0.6\,r + h\tan\alpha`, made wavy by 15 %; it ends at the length and at the lung.

    Args:
        collapse: what to draw.
        radius_mm: of the tumour, r.
        centre_mm: of the tumour, in the grid's frame.
        lung: (I, J, K) share of its own lung before anything lies over it.
        grid: where.
    """
    reach = collapse.length_mm + radius_mm
    box: Box = grid.box(tuple(c - reach for c in centre_mm), tuple(c + reach for c in centre_mm))
    x, y, z = (u - np.float32(c) for u, c in zip(grid.coordinates(box), centre_mm, strict=True))
    a, b, c = (np.float32(v) for v in collapse.axis)
    h = x * a + y * b + z * c
    lateral = np.sqrt(np.maximum(x**2 + y**2 + z**2 - h**2, 0.0))
    waves = draw_waves(np.random.default_rng(collapse.seed), (34.0, 34.0, 40.0))
    wavy = 1.0 + np.float32(0.15) * wave_field((x, y, z), waves)
    width = 0.6 * radius_mm + h * np.float32(np.tan(np.deg2rad(collapse.half_angle_deg)))
    depth = np.minimum(width * wavy - lateral, collapse.length_mm * wavy - h)
    depth = np.minimum(depth, h + 0.4 * np.float32(radius_mm))
    member = soft((depth / np.float32(grid.spacing_mm[0])).astype(np.float32))
    return Layer("collapse", COLLAPSE, box, member * lung[box])
