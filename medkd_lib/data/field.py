"""Where an image knows anything: its field of view on another image's grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def inside_field(
    affine: NDArray[np.float64],
    shape: Sequence[int],
    grid_affine: NDArray[np.float64],
    grid_shape: Sequence[int],
) -> NDArray[np.bool_]:
    """Return which voxels of a grid lie within an image's own voxel centres.

    Zeros that resampling writes beyond an image's edge are not measurements: a network that sees
    them learns the edge, and a comparison there compares nothing.

    Args:
        affine: of the image, voxel → world in mm.
        shape: of the image, three axes.
        grid_affine: of the grid to answer for.
        grid_shape: of that grid.
    """
    # voxel of the grid → world → voxel of the image
    to_image = np.linalg.inv(affine) @ grid_affine
    i, j, k = (np.arange(n, dtype=np.float64) for n in grid_shape)
    inside = np.ones(tuple(grid_shape), dtype=bool)
    for axis, size in enumerate(shape):
        a, b, c, offset = to_image[axis]
        place = (a * i)[:, None, None] + (b * j)[None, :, None] + (c * k)[None, None, :] + offset
        # A voxel's centre may lie a rounding error beyond the last one's.
        inside &= (place >= -1e-3) & (place <= size - 1 + 1e-3)
    return inside
