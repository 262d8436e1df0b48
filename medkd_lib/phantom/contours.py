"""Mask → the closed contours that radiotherapy draws, one plane at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage.measure import find_contours


def plane_contours(mask: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
    """Return the borders of a plane's mask as closed polygons, holes too.

    A border runs half-way between the centres of a voxel inside and its neighbour outside
    (marching squares), so every centre keeps its side: filled by the even-odd rule, the polygons
    give the mask back exactly.

    Args:
        mask: (I, J).

    Returns:
        Arrays (N, 2) of places in voxels, without the repeated last point.
    """
    # a ring of empty voxels closes the contours that would end at the image's border
    framed = np.pad(mask.astype(np.float32), 1)
    return [line[:-1] - 1.0 for line in find_contours(framed, 0.5)]


def volume_contours(
    mask: NDArray[np.bool_], lps: NDArray[np.float64]
) -> list[tuple[int, NDArray[np.float64]]]:
    """Return all contours of a volume with the number of their plane, in LPS millimetres.

    Args:
        mask: (I, J, K); planes are those of the last axis.
        lps: (4, 4), voxel → LPS millimetres.
    """
    found = []
    for k in range(mask.shape[2]):
        if not mask[:, :, k].any():
            continue
        for line in plane_contours(mask[:, :, k]):
            index = np.column_stack([line, np.full(len(line), float(k))])
            found.append((k, index @ lps[:3, :3].T + lps[:3, 3]))
    return found
