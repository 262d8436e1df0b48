"""Slices side by side, with outlines, patient directions and a scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from medkd_lib.show.plane import Picture
from medkd_lib.show.style import OKABE_ITO, course_style

# Outlines of label 1, 2, 3, …
OUTLINES = tuple(OKABE_ITO[c] for c in ("vermillion", "sky", "yellow", "green", "purple", "orange"))


@dataclass(frozen=True)
class Panel:
    """One picture of a figure.

    Attributes:
        picture: what to draw.
        title: above it.
        mask: label map of the same pixels, outlined in the colours `OUTLINES`.
        limits: grey values that become black and white; default from the pixels themselves.
        note: small text below.

    Raises:
        ValueError: the mask has another shape than the picture.
    """

    picture: Picture
    title: str = ""
    mask: NDArray[Any] | None = None
    limits: tuple[float, float] | None = None
    note: str = ""

    def __post_init__(self) -> None:
        """Refuse a mask of another grid, which would be drawn at the wrong place."""
        shape = self.picture.pixels.shape[:2]
        if self.mask is not None and self.mask.shape != shape:
            raise ValueError(
                f"mask of panel {self.title!r}: expected the picture's shape {shape}, found "
                f"{self.mask.shape}; cut both from volumes of one grid"
            )


def panels(
    shown: Sequence[Panel], columns: int | None = None, *, width: float = 2.9, scale: bool = True
) -> Figure:
    """Draw the panels in rows of ``columns``.

    Args:
        shown: left to right, then down.
        columns: default all in one row.
        width: of a panel in inches.
        scale: draw a bar of 5 cm in the first panel.
    """
    columns = columns or len(shown)
    rows = -(-len(shown) // columns)
    shape = [
        p.picture.pixels.shape[0] / p.picture.pixels.shape[1] * p.picture.aspect for p in shown
    ]
    tallest = [min(1.8, max(shape[r * columns : (r + 1) * columns])) for r in range(rows)]
    extra = 0.35 + 0.3 * any(p.note for p in shown)
    with course_style():
        figure, axes = plt.subplots(
            rows, columns, figsize=(width * columns, width * sum(tallest) + rows * extra),
            squeeze=False, height_ratios=tallest,
        )  # fmt: skip
        for axis in axes.flat:
            axis.set_axis_off()
        for panel, axis in zip(shown, axes.flat, strict=False):
            draw(axis, panel)
        if scale:
            _scale_bar(axes.flat[0], shown[0].picture)
    return figure


def draw(axis: Axes, panel: Panel) -> None:
    """Draw one panel into an axis."""
    p = panel.picture
    if p.pixels.ndim == 3:
        axis.imshow(p.pixels, aspect=p.aspect, interpolation="nearest")
    else:
        low, high = panel.limits or _limits(p.pixels)
        axis.imshow(
            p.pixels, cmap="gray", vmin=low, vmax=max(high, low + 1e-6), aspect=p.aspect,
            interpolation="nearest",
        )  # fmt: skip
    if panel.mask is not None:
        _outlines(axis, panel.mask)
    axis.set_title(panel.title, fontsize=12)
    axis.grid(False)
    axis.set_axis_off()
    axis.set_anchor("N")  # titles of a row stand on one line
    for letter, (x, y) in zip(
        p.letters, ((0.03, 0.5), (0.97, 0.5), (0.5, 0.96), (0.5, 0.04)), strict=False
    ):
        axis.text(
            x, y, letter, transform=axis.transAxes, color=OKABE_ITO["orange"], fontsize=10,
            ha="center", va="center", fontweight="bold",
        )  # fmt: skip
    if panel.note:
        axis.text(
            0.5, -0.04, panel.note, transform=axis.transAxes, ha="center", va="top", fontsize=10
        )


def _limits(pixels: NDArray[Any]) -> tuple[float, float]:
    """Return what becomes black and white: vessels and other few bright pixels set no scale."""
    finite = pixels[np.isfinite(pixels)].astype(np.float64)
    tissue = finite[finite != 0]
    if not tissue.size:
        return 0.0, 1.0
    low, high = float(np.percentile(finite, 0.5)), float(np.percentile(tissue, 98))
    return low, low + 1.1 * (high - low)


def _outlines(axis: Axes, mask: NDArray[Any]) -> None:
    """Draw a closed line around each label, also along the edge of the picture."""
    height, width = mask.shape
    for label in np.unique(mask[mask > 0]).astype(int):
        axis.contour(
            np.arange(-1, width + 1), np.arange(-1, height + 1), np.pad(mask == label, 1),
            levels=[0.5], colors=[OUTLINES[(label - 1) % len(OUTLINES)]], linewidths=1.3,
        )  # fmt: skip
    # The padding is not part of the picture.
    axis.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))


def _scale_bar(axis: Axes, shown: Picture) -> None:
    """Draw five centimetres at the lower left."""
    height, width = shown.pixels.shape[:2]
    length = 50.0 / shown.pixel_mm
    if length > 0.8 * width:
        return
    y = height - 0.05 * height
    axis.plot([0.06 * width, 0.06 * width + length], [y, y], color="white", linewidth=2.5)
    axis.text(
        0.06 * width + length / 2, y - 0.03 * height, "5 cm", color="white", fontsize=9, ha="center"
    )
