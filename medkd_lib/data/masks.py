"""Label masks: whole, known, not negative; what rounding may mend and what it may not."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medkd_lib.data.problems import Problem, bad
from medkd_lib.data.read import read_volume
from medkd_lib.data.volume import Volume

Labels = NDArray[np.integer[Any]]

ROUNDING = 1e-3
"""Scale factors store 1 as 0.99999997; a resampled mask is much farther from whole numbers."""


def read_mask(
    path: Path,
    *,
    values: Collection[int] | None,
    axcodes: str | None = None,
    spacing_mm: Sequence[float] | None = None,
) -> Volume:
    """Return a mask as the smallest unsigned integers that hold it, unit ``"label"``.

    Args:
        path: whatever `medkd_lib.data.read.read_volume` reads.
        values: the label ids the manifest knows; 0 (background) always is one of them. None checks
            no ids, only that they are whole and not negative.
        axcodes: where the axes point, for formats that do not say (Analyze, PNG).
        spacing_mm: voxel size, for the same.

    Repaired: ``near_integer``, values up to 0.001 from a whole number are rounded.
    Warning: ``empty_mask``, no foreground (three ISLES 2022 cases are so on purpose).

    Raises:
        DataError: ``non_integer`` (interpolated), ``negative_label``, ``unknown_label``.
    """
    return as_mask(read_volume(path, axcodes=axcodes, spacing_mm=spacing_mm), path, values)


def as_mask(volume: Volume, path: Path, values: Collection[int] | None) -> Volume:
    """Return a volume as a mask: repairs, warning and errors as `read_mask`."""
    labels, problems = whole_labels(volume.array, path)
    _require_known(labels, values, path)
    highest = int(np.max(labels))
    if highest == 0:
        problems.append(
            Problem(
                "empty_mask", str(path), "some foreground", "zeros only",
                "check whether the case has no lesion or the mask was lost", severity="warning",
            )
        )  # fmt: skip
    array = labels.astype(np.min_scalar_type(highest), copy=False)
    return replace(volume, array=array, unit="label", problems=(*volume.problems, *problems))


def whole_labels(array: NDArray[Any], where: Path | str) -> tuple[Labels, list[Problem]]:
    """Return labels as integers, rounded where only storage was inexact.

    Raises:
        DataError: ``non_integer`` with count and examples.
    """
    if array.dtype.kind in "iu":
        return array, []
    rounded = np.rint(array)
    off = np.abs(array - rounded)
    worst = float(off.max())
    if worst > ROUNDING:
        count = int((off > ROUNDING).sum())
        examples = [round(float(v), 4) for v in np.unique(array[off > ROUNDING])[:5]]
        raise bad(
            "non_integer", where, expected="whole numbers",
            found=f"{count} voxels between them, such as {examples}",
            next_step="it was resampled with interpolation (or is a probability map): make it anew "
            "with nearest neighbours; rounding would invent classes",
        )  # fmt: skip
    labels: Labels = rounded.astype(np.int64)
    if worst == 0.0:
        return labels, []
    note = Problem(
        "near_integer", str(where), "whole numbers",
        f"{int((off > 0).sum())} voxels up to {worst:.2g} beside them",
        "nothing to do: rounded (inexact scale factors do this)", severity="repaired",
    )  # fmt: skip
    return labels, [note]


def _require_known(labels: Labels, values: Collection[int] | None, where: Path) -> None:
    present = _distinct(labels)
    if present[0] < 0:
        raise bad(
            "negative_label", where, expected="labels from 0",
            found=f"{[v for v in present if v < 0][:5]}",
            next_step="find out what the number marks, and relabel it in the manifest",
        )  # fmt: skip
    if values is None:
        return
    unknown = [v for v in present if v and v not in values]
    if unknown:
        hint = "add the id to the manifest's labels, or a `relabel` issue"
        if unknown == [4] and 3 in values:
            hint = (
                "enhancing tumour is 4 up to BraTS 2021 and 3 from 2023: state remap {4: 3} "
                "in the manifest's labels if this is the older kind"
            )
        counts = {v: int((labels == v).sum()) for v in unknown[:5]}
        raise bad(
            "unknown_label", where, expected=f"the labels {sorted({0, *values})}",
            found=f"voxels by unknown label: {counts}", next_step=hint,
        )  # fmt: skip


def _distinct(labels: Labels) -> list[int]:
    """Return the labels present; counting is many times faster than sorting (np.unique)."""
    flat = labels.ravel(order="K")
    # Most of a mask is background: it is set aside before anything is counted.
    marked = flat[flat != 0]
    zero = [0] if marked.size < flat.size else []
    if not marked.size:
        return zero
    low, high = int(np.min(marked)), int(np.max(marked))
    if low >= 0 and high <= 65535:
        return zero + [int(v) for v in np.flatnonzero(np.bincount(marked, minlength=high + 1))]
    return sorted(zero + [int(v) for v in np.unique(marked)])
