"""Sections back into the volumes they were cut from."""

import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


def volumes(masks: Tensor | NDArray[np.generic], ids: Sequence[str]) -> dict[str, NDArray]:
    """Stack the sections of each case in the order of their numbers.

    Args:
        masks: ``(N, H, W)``.
        ids: ``case/kNNN`` of each section, as in `medkd_lib.data.sections`.

    Returns:
        case → ``(H, W, K)``, so that ``Sections.spacing_mm`` is the voxel size of its axes.

    Raises:
        ValueError: ids of another form or number, a section that is missing or there twice.
    """
    if len(masks) != len(ids):
        raise ValueError(f"volumes: expected {len(masks)} ids, found {len(ids)}")
    array = masks.cpu().numpy() if isinstance(masks, Tensor) else np.asarray(masks)
    return {case: np.moveaxis(array[rows], 0, -1) for case, rows in rows_by_case(ids).items()}


def rows_by_case(ids: Sequence[str]) -> dict[str, list[int]]:
    """Return the rows of each case's sections in the order of their numbers.

    Raises:
        ValueError: an id that is not ``case/kNNN`` or there twice, or numbers that are not equally
            far apart in all cases, so that no one spacing holds between sections.
    """
    found: dict[str, dict[int, int]] = {}
    for row, name in enumerate(ids):
        parts = re.fullmatch(r"(.+)/k(\d+)", name)
        if parts is None:
            raise ValueError(f"section {name!r}: expected an id like case/k012")
        numbers = found.setdefault(parts[1], {})
        if int(parts[2]) in numbers:
            raise ValueError(f"section {name!r}: expected once, found twice")
        numbers[int(parts[2])] = row
    apart: int | None = None
    for case, numbers in found.items():
        places = sorted(numbers)
        for before, after in pairwise(places):
            apart = apart or after - before
            if after - before != apart:
                raise ValueError(
                    f"{case}: expected each section {apart} after the one before, found "
                    f"k{before:03d} and then k{after:03d}; measure volumes on all their sections"
                )
    return {case: [numbers[k] for k in sorted(numbers)] for case, numbers in found.items()}
