"""Closed polygons → the voxels they surround, by the even-odd rule."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]


def fill_even_odd(polygons: Sequence[Points], shape: tuple[int, int]) -> NDArray[np.uint8]:
    r"""Mark the voxels whose centres an odd number of borders parts from the outside.

    An edge from :math:`(i_0, j_0)` to :math:`(i_1, j_1)` crosses the line of centres :math:`j` if
    :math:`\min(j_0, j_1) \le j < \max(j_0, j_1)`, at

    .. math:: i^* = i_0 + (j - j_0)\,\frac{i_1 - i_0}{j_1 - j_0}

    and every centre with :math:`i \ge i^*` changes sides. A centre on a border therefore counts as
    inside at the lower side of a region and as outside at the upper one.

    Args:
        polygons: (N, 2) places in voxels, closed by their first point.
        shape: (I, J).

    Returns:
        (I, J) uint8, 0 or 1.
    """
    crossings = np.zeros((shape[0] + 1, shape[1]), np.int64)
    for polygon in polygons:
        start, stop = polygon, np.roll(polygon, -1, axis=0)
        first = np.ceil(np.minimum(start[:, 1], stop[:, 1])).astype(int).clip(0, shape[1])
        last = np.ceil(np.maximum(start[:, 1], stop[:, 1])).astype(int).clip(0, shape[1])
        count = last - first
        edge = np.repeat(np.arange(len(polygon)), count)
        j = first[edge] + np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count)
        a, b = start[edge], stop[edge]
        # i* = i0 + (j − j0)(i1 − i0)/(j1 − j0)
        i = a[:, 0] + (j - a[:, 1]) * (b[:, 0] - a[:, 0]) / (b[:, 1] - a[:, 1])
        np.add.at(crossings, (np.ceil(i).astype(int).clip(0, shape[0]), j), 1)
    return (np.cumsum(crossings, axis=0)[:-1] % 2).astype(np.uint8)
