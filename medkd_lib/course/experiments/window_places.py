"""Where windows of one size lie in a volume: at random places, inside what was measured.

Where images were cropped around the answer, their size and middle give it away; a window of fixed
size at a random place does not.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Corner = tuple[int, int, int]


def window_corners(
    field: NDArray[np.bool_], side: int, rng: np.random.Generator, *, moving: bool
) -> list[Corner]:
    """Return ``(k, i, j)`` of the first corner of every slice's window; none where none fits.

    Args:
        field: ``(I, J, K)``, the voxels that may be shown.
        side: of the window, in voxels.
        rng: source of the places.
        moving: every slice has a window of its own, for training; False gives all slices the same
            one, so that they make a volume.
    """
    if min(field.shape[:2]) < side:
        return []
    # S[i, j] = Σ field[:i, :j], so a window's count is the sum at its four corners
    sums = np.pad(field.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0), (0, 0)))
    count = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    # (K, I', J'): whether a window that begins at (i, j) of slice k lies in the field entirely
    fits = (count == side**2).transpose(2, 0, 1)
    if not fits.any():
        return []
    if moving:
        return [(k, *_one_of(fits[k], rng)) for k in range(len(fits)) if fits[k].any()]
    # The place that fits on the most slices; among equals, one at random.
    slices = fits.sum(axis=0)
    i, j = _one_of(slices == slices.max(), rng)
    return [(k, i, j) for k in np.flatnonzero(fits[:, i, j]).tolist()]


def upright_windows(volume: Tensor, corners: list[Corner], side: int) -> Tensor:
    """Return the windows of ``(I, J, K)`` in LPS as upright pictures ``(N, side, side)``."""
    cuts = [volume[i : i + side, j : j + side, k].T for k, i, j in corners]
    return torch.stack(cuts).contiguous()


def _one_of(allowed: NDArray[np.bool_], rng: np.random.Generator) -> tuple[int, int]:
    places = np.argwhere(allowed)
    i, j = places[rng.integers(len(places))]
    return int(i), int(j)
