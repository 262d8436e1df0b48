"""The pixels of a stack of images as numbers to compare, checked once."""

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.floating]
Mask = NDArray[np.bool_]


def pixels(name: str, images: Images, inside: Mask | None = None) -> NDArray[np.float64]:
    """Return the pixels of all images, those inside if a mask is given, as one row of float64.

    Args:
        name: of the argument, for errors.
        images: any shape.
        inside: same shape, or None for all.

    Raises:
        ValueError: a mask that is not bool or of another shape, no pixel, values not finite.
    """
    if inside is not None and (inside.shape != images.shape or inside.dtype != np.bool_):
        raise ValueError(
            f"{name}: expected a bool mask of shape {images.shape}, found {inside.dtype} "
            f"{inside.shape}"
        )
    values = np.asarray(images[all_pixels(images, inside)], np.float64)
    if values.size == 0 or not np.isfinite(values).all():
        raise ValueError(
            f"{name}: expected finite pixels, found {values.size} of which "
            f"{int(np.isfinite(values).sum())} are finite"
        )
    return values


def all_pixels(images: Images, inside: Mask | None) -> Mask:
    """Return the mask, or one that holds every pixel."""
    return np.ones(images.shape, bool) if inside is None else inside
