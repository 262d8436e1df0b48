"""CLAHE where it belongs: on [0, 1], inside the tissue, one slice at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.exposure import equalize_adapthist


def clahe(
    picture: NDArray[Any], inside: NDArray[np.bool_], clip_limit: float = 0.02
) -> NDArray[np.float32]:
    """Return the picture with its local contrast equalised inside the tissue, zero outside.

    Contrast limited adaptive histogram equalisation stretches the histogram of each tile, so two
    pixels of one value may come out different: it is for looking, and for networks only if train
    and test both get it.

    Args:
        picture: ``(H, W)`` in [0, 1].
        inside: ``(H, W)``, true where there is tissue.
        clip_limit: of scikit-image; higher gives more contrast and more noise.

    Raises:
        ValueError: values outside [0, 1], for example z-scores.
    """
    low, high = float(picture.min()), float(picture.max())
    if low < 0 or high > 1:
        raise ValueError(
            f"picture: expected values in [0, 1], found {low:.2f} to {high:.2f}; scale by "
            "percentiles first, z-score afterwards"
        )
    # The background is no tissue: filled with the tissue's median it pulls no tile's histogram.
    filled = np.where(inside, picture, np.median(picture[inside]) if inside.any() else 0.0)
    equal = equalize_adapthist(filled.astype(np.float64), clip_limit=clip_limit)
    return np.where(inside, equal, 0.0).astype(np.float32)
