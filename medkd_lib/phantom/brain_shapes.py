"""The outer shapes of a brain as depth fields: millimetres below the surface, negative outside.

All coordinates are those of the *brain frame*: millimetres from the anterior commissure, u to the
patient's left, v to the back, w to the head; sizes are those of a common adult atlas, rounded by
eye (D). Depths are first-order distances, exact at the surface.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from medkd_lib.phantom.anatomy import FloatArray


class Points(NamedTuple):
    """Places in the brain frame, three arrays of one shape."""

    u: FloatArray
    v: FloatArray
    w: FloatArray


def smooth_max(a: FloatArray, b: FloatArray, width_mm: float) -> FloatArray:
    r"""Union of two depth fields with a fillet of ``width_mm`` where they meet.

    .. math:: \max(a, b) + h^2 / (4 k), \quad h = \max(k - |a - b|, 0)
    """
    near = np.maximum(width_mm - np.abs(a - b), 0.0)
    near *= near
    near *= np.float32(0.25 / width_mm)
    near += np.maximum(a, b)
    return near


def smooth_min(a: FloatArray, b: FloatArray, width_mm: float) -> FloatArray:
    """Intersection of two depth fields with a rounded edge."""
    return -smooth_max(-a, -b, width_mm)


def ellipsoid_depth(
    p: Points, centre: Sequence[float], semi_axes: Sequence[float], turn_deg: float = 0.0
) -> FloatArray:
    r"""Depth in an ellipsoid, :math:`(1 - \rho) / |\nabla \rho|`.

    Args:
        p: where.
        centre: u, v, w.
        semi_axes: along u, v, w (after the turn).
        turn_deg: turn about w; positive moves the back end to the patient's left.
    """
    u, v, w = p.u - centre[0], p.v - centre[1], p.w - centre[2]
    if turn_deg:
        c, s = float(np.cos(np.deg2rad(turn_deg))), float(np.sin(np.deg2rad(turn_deg)))
        u, v = c * u - s * v, s * u + c * v
    a, b, c2 = (float(r) for r in semi_axes)
    rho = np.sqrt((u / a) ** 2 + (v / b) ** 2 + (w / c2) ** 2) + np.float32(1e-6)
    slope = np.sqrt((u / a**2) ** 2 + (v / b**2) ** 2 + (w / c2**2) ** 2) / rho
    return (1.0 - rho) / (slope + np.float32(1e-6))


def chain_depth(p: Points, nodes: Sequence[tuple[float, float, float, float]]) -> FloatArray:
    """Depth in a chain of round cones: nodes (u, v, w, radius), the largest depth counts."""
    depth = np.full(np.shape(p.u), -1e3, np.float32)
    for (u0, v0, w0, r0), (u1, v1, w1, r1) in pairwise(nodes):
        du, dv, dw = u1 - u0, v1 - v0, w1 - w0
        along = (p.u - u0) * du + (p.v - v0) * dv + (p.w - w0) * dw
        along *= 1.0 / (du * du + dv * dv + dw * dw)
        np.clip(along, 0.0, 1.0, out=along)
        distance = (p.u - (u0 + along * du)) ** 2
        distance += (p.v - (v0 + along * dv)) ** 2
        distance += (p.w - (w0 + along * dw)) ** 2
        np.sqrt(distance, out=distance)
        np.maximum(depth, r0 + along * (r1 - r0) - distance, out=depth)
    return depth


def egg_depth(p: Points) -> FloatArray:
    r"""Depth in the two hemispheres without their temporal lobes, as one egg.

    A superellipsoid of power 2.4, narrower in front and flatter below:
    :math:`\rho^p = (u/a)^p + ((v - 17)/b)^p + ((w - 20)/h)^p`.
    """
    power = 2.4
    u, v, w = np.abs(p.u), p.v - 17.0, p.w - 18.0
    half = 66.0 + 0.11 * np.minimum(v - 5.0, 0.0)
    height = np.where(w > 0.0, 56.0, 39.0).astype(np.float32)
    terms = [u / half, np.abs(v) / 85.0, np.abs(w) / height]
    steep = [t ** (power - 1.0) for t in terms]
    rho = sum(t * s for t, s in zip(terms, steep, strict=True)) ** np.float32(1.0 / power)
    rho += np.float32(1e-6)
    slope = (steep[0] / half) ** 2 + (steep[1] / 85.0) ** 2 + (steep[2] / height) ** 2
    slope = np.sqrt(slope) / rho ** np.float32(power - 1.0)
    return (1.0 - rho) / (slope + np.float32(1e-6))


TEMPORAL = (
    (39.0, -6.0, -25.0, 16.0),
    (43.0, 10.0, -22.0, 21.0),
    (45.0, 34.0, -14.0, 22.0),
    (38.0, 60.0, -1.0, 19.0),
)
BRAINSTEM = (
    (0.0, 17.0, -4.0, 13.0),
    (0.0, 21.0, -13.0, 13.5),
    (0.0, 25.0, -28.0, 11.5),
    (0.0, 28.0, -38.0, 10.0),
    (0.0, 33.0, -50.0, 8.2),
    (0.0, 37.0, -62.0, 6.6),
)


def temporal_depth(p: Points) -> FloatArray:
    """Depth in the temporal lobes, both sides."""
    return chain_depth(Points(np.abs(p.u), p.v, p.w), TEMPORAL)


def brainstem_depth(p: Points) -> FloatArray:
    """Depth in midbrain, pons and medulla; a little wider than deep."""
    stem = chain_depth(Points(p.u * 0.88, p.v, p.w), BRAINSTEM)
    pons = ellipsoid_depth(p, (0.0, 18.0, -30.0), (16.5, 11.5, 12.5))
    # the fossa between the peduncles
    fossa = chain_depth(p, ((0.0, 5.0, -8.0, 4.0), (0.0, 8.0, -17.0, 3.0)))
    return smooth_min(smooth_max(stem, pons, 4.0), -fossa, 3.0)


def cerebellum_depth(p: Points) -> FloatArray:
    """Depth in the cerebellum: two hemispheres and the vermis."""
    side = ellipsoid_depth(Points(np.abs(p.u), p.v, p.w), (22.0, 63.0, -37.0), (29.0, 27.0, 21.0))
    vermis = ellipsoid_depth(p, (0.0, 58.0, -31.0), (12.0, 21.0, 21.0))
    return smooth_max(side, vermis, 6.0)
