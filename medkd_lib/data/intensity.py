"""Grey values → network input: what each channel's scale is, and what background becomes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from medkd_lib.data.problems import bad

Intensity = Literal["as_stored", "zscore", "unit", "window"]
Window = tuple[float, float]


@dataclass(frozen=True)
class Scale:
    r"""A channel's map, fitted on the whole volume and applied to any part of it.

    .. math:: x' = (x - \text{low}) / \text{width}

    Attributes:
        low: what becomes 0.
        width: what becomes 1, above ``low``.
        clip: cut the result to [0, 1].
        background: the value that is no tissue and becomes 0 whatever the map says, or None.
    """

    low: float = 0.0
    width: float = 1.0
    clip: bool = False
    background: float | None = None

    def __call__(self, array: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the scaled values; the array itself if there is nothing to do."""
        if self == Scale():
            return array
        out = array - np.float32(self.low)
        out /= np.float32(self.width)
        if self.clip:
            np.clip(out, 0, 1, out=out)
        if self.background is not None:
            out[array == np.float32(self.background)] = 0
        return out


def fit_scale(
    array: NDArray[Any],
    how: Intensity | Window,
    where: str,
    *,
    percentiles: tuple[float, float] = (0.5, 99.5),
    background: float = 0.0,
) -> Scale:
    """Return the scale of one channel.

    Args:
        array: the whole volume.
        how: ``zscore``, ``unit`` or ``as_stored``, or the window ``(lowest, highest)``.
        where: names the channel in errors.
        percentiles: of ``unit``.
        background: what the scanner or the skull-strip wrote where there is no tissue.

    Raises:
        DataError: ``constant``: there is no tissue, or all of it has one value.
    """
    if how == "as_stored":
        return Scale()
    if isinstance(how, tuple):
        return Scale(how[0], how[1] - how[0], clip=True)
    flat = array.ravel(order="K")
    tissue = flat[flat != background]
    if how == "zscore":
        low = float(np.mean(tissue, dtype=np.float64)) if tissue.size else 0.0
        width = float(np.std(tissue, dtype=np.float64)) if tissue.size else 0.0
    else:
        low, high = (
            (float(p) for p in np.percentile(tissue, percentiles)) if tissue.size else (0, 0)
        )
        width = high - low
    if not width > 0:
        raise bad(
            "constant", where, expected="tissue with a range of values",
            found=f"{tissue.size} voxels that are not background, all about {low:g}",
            next_step="is the file empty? fetch it again, or exclude the case",
        )  # fmt: skip
    return Scale(low, width, clip=how == "unit", background=background)


def unit_range(image: torch.Tensor, percentiles: tuple[float, float] = (0.5, 99.5)) -> torch.Tensor:
    r"""Map the percentiles of the non-zero voxels to [0, 1] and clip; zeros stay zero.

    .. math:: x' = \mathrm{clip}\!\Big(\frac{x - p_{lo}}{p_{hi} - p_{lo}},\,0,\,1\Big)

    Percentiles and not the extremes: one hot voxel would otherwise set the scale of all others.

    Raises:
        DataError: ``constant``: all voxels are zero, or the two percentiles coincide.
    """
    array = np.asarray(image, np.float32)
    return torch.from_numpy(fit_scale(array, "unit", "image", percentiles=percentiles)(array))
