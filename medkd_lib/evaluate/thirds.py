"""Test cases in three groups of equal size by a measure in which zero is a value."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def thirds(
    values: NDArray[np.floating], names: Sequence[str], unit: str = ""
) -> tuple[NDArray[np.str_], list[str]]:
    """Return the group of each case, and the groups' labels with their ranges, lowest first.

    `medkd_lib.evaluate.strata.terciles` reads zero as "no tumour"; a tumour that touches the
    mediastinum has a distance of zero and belongs to the nearest.

    Args:
        values: ``(N,)``; NaN belongs to no group and gets an empty name.
        names: of the three groups, such as ``("near", "middle", "far")``.
        unit: of the values, for the labels.

    Returns:
        ``(N,)`` labels, and the labels of the groups that have a case: equal values are never
        divided, so a group may be empty.

    Raises:
        ValueError: not one axis, not three names, or no value at all.
    """
    numbers = np.asarray(values, float)
    there = ~np.isnan(numbers)
    if numbers.ndim != 1 or len(names) != 3 or not there.any():
        raise ValueError(
            f"thirds: expected values (N,), some of them not NaN, and three names, found "
            f"{numbers.shape} with {int(there.sum())} values and {list(names)}"
        )
    edges = np.quantile(numbers[there], [1 / 3, 2 / 3])
    group = np.searchsorted(edges, numbers)
    labels, shown = np.full(len(numbers), "", dtype="<U64"), []
    for number, name in enumerate(names):
        members = there & (group == number)
        if not members.any():
            continue
        low, high = numbers[members].min(), numbers[members].max()
        label = f"{name}, {low:.3g} to {high:.3g} {unit}".rstrip()
        labels[members] = label
        shown.append(label)
    return labels, shown
