"""Test cases in groups of their own kind: small, middle and large tumours, near and far ones."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Stratum = Literal["small", "middle", "large"]


def terciles(sizes: NDArray[np.floating], *, zero_is_none: bool = True) -> NDArray[np.str_]:
    """Return ``small``, ``middle`` or ``large`` for each tumour, nothing where there is none.

    Args:
        sizes: ``(N,)`` in any unit; NaN means no tumour, and so does zero. The edges are the
            terciles of those that show one.
        zero_is_none: False where zero is a value, such as a distance.
    """
    values = np.asarray(sizes, float)
    there = np.nan_to_num(values) > 0 if zero_is_none else np.isfinite(values)
    names = np.full(len(there), "", dtype="<U6")
    if there.any():
        shown = np.asarray(sizes, float)[there]
        edges = np.quantile(shown, [1 / 3, 2 / 3])
        names[there] = np.array(["small", "middle", "large"])[np.searchsorted(edges, shown)]
    return names
