"""Checks of voxels that every format shares: finite, three axes, a dtype that is a grey value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medkd_lib.data.problems import Problem, bad

Shape = tuple[int, int, int]


def three_axes(shape: Sequence[int], where: Path | str) -> tuple[Shape, tuple[Problem, ...]]:
    """Return the three axes of an image; axes of length 1 are dropped or added and recorded.

    Raises:
        DataError: ``zero_axis`` (an axis without voxels), ``four_d`` (more than one image).
    """
    text = "×".join(map(str, shape))
    if not shape or min(shape) < 1:
        raise bad(
            "zero_axis", where, expected="at least one voxel along every axis",
            found=text or "none", next_step="fetch or convert the file again",
        )  # fmt: skip
    more = tuple(shape[3:])
    if any(n > 1 for n in more):
        raise bad(
            "four_d", where, expected="one image of three axes",
            found=f"{text}: {math.prod(more)} images (time, echoes, directions or components)",
            next_step="split it into files of one image each and name the one you mean",
        )  # fmt: skip
    three = (*shape[:3], 1, 1)[:3] if len(shape) < 3 else tuple(shape[:3])
    x, y, z = (int(n) for n in three)
    if len(shape) == 3:
        return (x, y, z), ()
    kind, done = ("four_d", "dropped") if more else ("two_d", "added")
    mended = Problem(
        kind, str(where), "three axes", text, f"nothing to do: axes of length 1 were {done}",
        severity="repaired",
    )  # fmt: skip
    return (x, y, z), (mended,)


def require_grey(dtype: np.dtype[np.generic] | None, name: str, where: Path | str) -> None:
    """Refuse voxels that are not one real number each.

    Args:
        dtype: what the voxels are, None if numpy has nothing for it.
        name: how the file calls it.
        where: the file.

    Raises:
        DataError: ``colour``, ``complex`` or ``unsupported_dtype``.
    """
    if dtype is not None and dtype.fields is not None:
        raise bad(
            "colour", where, expected="one grey value per voxel", found=name,
            next_step="this is a screenshot or a direction map, not a scan: leave it out",
        )  # fmt: skip
    if dtype is not None and dtype.kind == "c":
        raise bad(
            "complex", where, expected="real voxels", found=name,
            next_step="write the magnitude to a file of its own",
        )  # fmt: skip
    if dtype is None or dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise bad(
            "unsupported_dtype", where, expected="integers or floats of 8 to 64 bits", found=name,
            next_step="convert the file to int16 or float32",
        )  # fmt: skip


def require_finite(array: NDArray[np.generic], where: Path | str) -> None:
    """Refuse NaN and infinite voxels: nobody but the maker knows what belongs there.

    Raises:
        DataError: ``nan_voxels`` or ``inf_voxels``, with the count and the first index.
    """
    if array.dtype.kind != "f":
        return
    with np.errstate(over="ignore", invalid="ignore"):
        # One pass without a temporary; NaN and Inf survive a sum, overflow looks like them.
        flat: NDArray[Any] = array.ravel(order="K")
        if np.isfinite(flat.sum()):
            return
    for kind, name, at in (
        ("nan_voxels", "NaN", np.isnan(array)),
        ("inf_voxels", "infinite", np.isinf(array)),
    ):
        if count := int(at.sum()):
            first = [int(i) for i in np.argwhere(at)[0]]
            raise bad(
                kind, where, expected="finite voxels",
                found=f"{count} of {array.size} voxels {name}, the first at {first}",
                next_step="find out what they mean (outside the scan? a failed division?), write "
                "a number there and keep the old file",
            )  # fmt: skip


def as_grey(array: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return voxels in this machine's byte order, floats as float32."""
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):  # beyond float32 becomes Inf, which require_finite names
            return array.astype(np.float32, copy=False)
    return array.astype(array.dtype.newbyteorder("="), copy=False)
