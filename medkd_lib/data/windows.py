"""Fixed windows at random places: what takes the size of a crop out of the question."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from medkd_lib.data.volume import Volume

InPlane = tuple[slice, slice]


def random_window(volume: Volume, side_mm: float, rng: np.random.Generator) -> InPlane:
    """Return an in-plane window of ``side_mm`` at a random place inside the volume, never padded.

    Where images were cropped around the lesson's answer (a tumour's box plus a margin), the size
    and the centre of the image give the answer away. A window of one size at a random place does
    not; padding would, since it shows where the image ended.

    Args:
        volume: any orientation; the window lies in the first two axes.
        side_mm: edge of the window.
        rng: source of the place.

    Raises:
        ValueError: the image is smaller than the window.
    """
    starts = []
    for axis in (0, 1):
        need = round(side_mm / volume.spacing_mm[axis])
        room = volume.shape[axis] - need
        if room < 0:
            have = volume.shape[axis] * volume.spacing_mm[axis]
            raise ValueError(
                f"window: expected an image of at least {side_mm:g} mm along axis {axis}, found "
                f"{have:.0f} mm; choose a smaller window, do not pad"
            )
        start = int(rng.integers(0, room + 1))
        starts.append(slice(start, start + need))
    return starts[0], starts[1]


def central_disc(volume: Volume, radius_mm: float) -> NDArray[np.bool_]:
    """Return a disc in the middle of every slice: what one can guess without looking at a pixel.

    Every table of a segmentation on crops needs this row, and no claim counts that does not beat
    it.

    Args:
        volume: gives shape and voxel size; the slices lie along the last axis.
        radius_mm: of the disc.
    """
    i, j = (
        ((np.arange(n) - (n - 1) / 2) * s) ** 2
        for n, s in zip(volume.shape[:2], volume.spacing_mm[:2], strict=True)
    )
    disc = i[:, None] + j[None, :] <= radius_mm**2
    return np.broadcast_to(disc[:, :, None], volume.shape)
