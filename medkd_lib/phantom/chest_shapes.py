"""Shapes of a chest on slices: tubes and turned ellipsoids with smooth edges.

:mod:`medkd_lib.phantom.tubes` deposits a tube's volume grain by grain, which keeps thin vessels on
coarse grids; a wide vessel on fine slices would look speckled. Here the distance decides.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from medkd_lib.phantom.anatomy import FloatArray, Grid, Layer, soft

Point = tuple[float, float, float]


def capsules(
    grid: Grid,
    name: str,
    tissue: str,
    points_mm: Sequence[Point],
    radius_mm: Sequence[float] | float,
    share: float = 1.0,
) -> Layer:
    r"""Draw a tube along points, its radius linear between them.

    For each piece from :math:`a` to :math:`b`, with
    :math:`s = \mathrm{clip}\big((p - a)\cdot(b - a)/|b - a|^2,\ 0,\ 1\big)`,

    .. math:: d(p) = \max_{\text{pieces}} \big(r_a + s\,(r_b - r_a) - |p - a - s\,(b - a)|\big)

    is the depth in mm; the edge is one in-plane voxel wide.

    Args:
        grid: where to draw.
        name: layer name.
        tissue: layer tissue.
        points_mm: two or more places, LPS.
        radius_mm: one, or one per place.
        share: of the voxel that the tissue takes inside.
    """
    points = np.asarray(points_mm, np.float32)
    radii = np.broadcast_to(np.asarray(radius_mm, np.float32), len(points))
    reach = float(radii.max()) + 2.0 * grid.spacing_mm[0]
    box = grid.box(tuple(points.min(axis=0) - reach), tuple(points.max(axis=0) + reach))
    x, y, z = grid.coordinates(box)
    depth = np.full([b.stop - b.start for b in box], -np.inf, np.float32)
    if depth.size == 0:
        return Layer(name, tissue, box, depth)
    for a, b, r_a, r_b in zip(points[:-1], points[1:], radii[:-1], radii[1:], strict=True):
        way = b - a
        squared = np.float32(max(float(way @ way), 1e-6))
        # s = clip((p − a)·(b − a)/|b − a|², 0, 1)
        s = ((x - a[0]) * way[0] + (y - a[1]) * way[1] + (z - a[2]) * way[2]) / squared
        np.clip(s, 0.0, 1.0, out=s)
        off = (x - a[0] - s * way[0]) ** 2 + (y - a[1] - s * way[1]) ** 2
        off += (z - a[2] - s * way[2]) ** 2
        np.maximum(depth, r_a + s * (r_b - r_a) - np.sqrt(off), out=depth)
    member = soft(depth / np.float32(grid.spacing_mm[0]))
    member *= np.float32(share)
    return Layer(name, tissue, box, member)


def turned_ellipsoid(
    grid: Grid,
    name: str,
    tissue: str,
    centre_mm: Point,
    semi_axes_mm: tuple[float, float],
    axis: Point,
    share: float = 1.0,
) -> Layer:
    r"""Draw an ellipsoid of revolution about any axis.

    With :math:`h = (p - c)\cdot\hat a` and :math:`\rho^2 = h^2/r_1^2 + (|p - c|^2 - h^2)/r_2^2`,
    the depth is :math:`(1 - \rho)\,\min(r_1, r_2)` in mm.

    Args:
        grid: where to draw.
        name: layer name.
        tissue: layer tissue.
        centre_mm: c, LPS.
        semi_axes_mm: along the axis and across it.
        axis: its direction, any length.
        share: of the voxel that the tissue takes inside.
    """
    along, across = semi_axes_mm
    reach = max(along, across) + 2.0 * grid.spacing_mm[0]
    centre = np.asarray(centre_mm, np.float32)
    box = grid.box(tuple(centre - reach), tuple(centre + reach))
    direction = np.asarray(axis, np.float32) / np.float32(np.linalg.norm(axis))
    x, y, z = (u - c for u, c in zip(grid.coordinates(box), centre, strict=True))
    h = x * direction[0] + y * direction[1] + z * direction[2]
    squared = x**2 + y**2 + z**2
    # ρ² = h²/r1² + (|p − c|² − h²)/r2²
    rho = np.sqrt(h**2 / np.float32(along) ** 2 + (squared - h**2) / np.float32(across) ** 2)
    depth: FloatArray = (1.0 - rho) * np.float32(min(along, across) / grid.spacing_mm[0])
    member = soft(depth)
    member *= np.float32(share)
    return Layer(name, tissue, box, member)
