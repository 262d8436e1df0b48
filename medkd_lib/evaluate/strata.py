"""Test cases in groups of their own kind: small, middle and large tumours."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Stratum = Literal["small", "middle", "large"]


def terciles(sizes: NDArray[np.floating]) -> NDArray[np.str_]:
    """Return ``small``, ``middle`` or ``large`` for each tumour, nothing where there is none.

    Args:
        sizes: ``(N,)`` in any unit; zero or NaN means no tumour. The edges are the terciles of
            those that show one.
    """
    there = np.nan_to_num(np.asarray(sizes, float)) > 0
    names = np.full(len(there), "", dtype="<U6")
    if there.any():
        shown = np.asarray(sizes, float)[there]
        edges = np.quantile(shown, [1 / 3, 2 / 3])
        names[there] = np.array(["small", "middle", "large"])[np.searchsorted(edges, shown)]
    return names
