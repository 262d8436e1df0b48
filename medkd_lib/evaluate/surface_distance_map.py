"""Signed distance to the boundary of a mask, with the boundary between voxels, not on them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import KDTree

from medkd_lib.evaluate.segment import Mask

Floats = NDArray[np.float64]

# voxels; less leaves the stairs of oblique surfaces, more shrinks curved ones
SMOOTHING = 0.7


@dataclass(frozen=True)
class SignedDistance:
    """Distances of a grid's voxels, and where the boundary is nearest.

    Attributes:
        mm: distance of each voxel's centre to the boundary, negative inside, never zero.
        nearest: ``(axes, *grid)``, that boundary point in voxels, as `ndimage.map_coordinates`
            takes it.
    """

    mm: Floats
    nearest: Floats


def signed_distance(mask: Mask, spacing_mm: Sequence[float]) -> SignedDistance:
    r"""Return each voxel's signed distance to the boundary points of a mask, in mm.

    $$\varphi(p)=\pm\min_{b\in B}\lVert s\,(p-b)\rVert_2$$

    with s the spacing and one boundary point in B between any two face neighbours on different
    sides: where the mask, smoothed by a Gaussian of 0.7 voxels, passes 1/2 between their centres.
    Where smoothing would lose a thin part the point stays between the two all the same, so every
    voxel keeps its side. A plane along the grid lies midway. The end of the image is no boundary.

    Distance transforms measure to voxel centres instead: their difference is half a voxel too
    far on either side of such a plane, and hardly at all of an oblique one. On a ball of 12 voxels
    its error is 0.37 voxels (root mean square within 6), here 0.12.

    Args:
        mask: bool, with voxels inside and outside.
        spacing_mm: along each axis.

    Raises:
        ValueError: a mask without a boundary, of another type, or a spacing that does not fit.
    """
    if mask.dtype != bool or len(spacing_mm) != mask.ndim or not all(s > 0 for s in spacing_mm):
        raise ValueError(
            "signed_distance: expected a bool mask and a positive spacing for each of its axes, "
            f"found {mask.dtype} {mask.shape} and {tuple(spacing_mm)}"
        )
    if not mask.any() or mask.all():
        raise ValueError(
            f"signed_distance: expected voxels inside and outside, found {int(mask.sum())} of "
            f"{mask.size} inside; a mask without a boundary has no distance"
        )
    s = np.asarray(spacing_mm, float)
    b = _boundary_points(mask)
    voxels = np.indices(mask.shape).reshape(mask.ndim, -1).T
    # φ = ± min_b ||s (p - b)||
    distance, which = KDTree(b * s, balanced_tree=False).query(voxels * s)
    distance = distance.reshape(mask.shape)
    nearest = b[which].T.reshape(mask.ndim, *mask.shape)
    return SignedDistance(np.where(mask, -distance, distance), nearest)


def _boundary_points(mask: Mask) -> Floats:
    """Return ``(points, axes)`` in voxels, one between any two neighbours on different sides."""
    smooth = ndimage.gaussian_filter(mask.astype(np.float64), SMOOTHING, mode="nearest")
    points = []
    for axis in range(mask.ndim):
        before = np.argwhere(np.diff(mask, axis=axis))
        after = before.copy()
        after[:, axis] += 1
        low, high = smooth[tuple(before.T)], smooth[tuple(after.T)]
        # linear between the centres: low + t (high - low) = 1/2
        rise = np.where(low == high, np.inf, high - low)
        t = np.where(low == high, 0.5, (0.5 - low) / rise)
        # off the centres, so that no voxel lies on its own boundary
        place = before.astype(np.float64)
        place[:, axis] += np.clip(t, 0.1, 0.9)
        points.append(place)
    return np.concatenate(points)
