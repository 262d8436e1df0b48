"""Figures of multi-scale fusion: the pyramid, what blowing up adds, flow, and who reads whom."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from torch import Tensor

from medkd_lib.show.style import CONTROL, OKABE_ITO, course_style
from medkd_lib.show.teachers import grey, outline

Floats = NDArray[np.floating]
DETAIL = 0.4  # side of the enlarged square as a share of the image


def pyramid(views: Sequence[Tensor], grids: Sequence[int], field_mm: float) -> Figure:
    """Draw one image at several sizes over one field in mm, with the cells each is pooled to.

    Args:
        views: ``(C, n, n)``, one per scale.
        grids: cells per side of each.
        field_mm: side of the field.
    """
    with course_style():
        figure, axes = plt.subplots(1, len(views), figsize=(4.0 * len(views), 4.4), squeeze=False)
        for axis, view, cells in zip(axes[0], views, grids, strict=True):
            side = view.shape[-1]
            _field(axis, grey(view), field_mm)
            for line in np.linspace(0, field_mm, cells + 1):
                axis.axhline(line, color=OKABE_ITO["sky"], lw=0.7)
                axis.axvline(line, color=OKABE_ITO["sky"], lw=0.7)
            axis.set_title(
                f"{side} × {side} pixels of {field_mm / side:g} mm\n"
                f"{cells} × {cells} cells of {field_mm / cells:.0f} mm", fontsize=12,
            )  # fmt: skip
        axes[0][0].set_ylabel("mm")
    return figure


def detail(
    views: Mapping[str, Floats], field_mm: float, centre: tuple[float, float], ends: Sequence[int]
) -> Figure:
    """Draw an enlarged part of one image at several sizes, and the detail each holds.

    The spectrum is the mean power over rings of equal spatial frequency, normalised to the first
    ring; an image cannot hold more than half a cycle per pixel.

    Args:
        views: title → grey values ``(n, n)``.
        field_mm: side of the field.
        centre: of the enlarged part, x and y in mm.
        ends: numbers of pixels; a dotted line shows where their detail ends.
    """
    colours = [OKABE_ITO[c] for c in ("orange", "blue", "green", "purple")]
    with course_style():
        figure, axes = plt.subplots(
            1, len(views) + 1, figsize=(3.3 * len(views) + 5.0, 3.9),
            width_ratios=[1] * len(views) + [1.5],
        )  # fmt: skip
        half = DETAIL * field_mm / 2
        x, y = (float(np.clip(c, half, field_mm - half)) for c in centre)
        for axis, colour, (title, pixels) in zip(axes, colours, views.items(), strict=False):
            _field(axis, pixels, field_mm)
            axis.set(xlim=(x - half, x + half), ylim=(y + half, y - half), xlabel="", xticks=[])
            axis.set_yticks([])
            axis.set_title(title, fontsize=12)
            axes[-1].plot(*_spectrum(pixels, field_mm), color=colour, lw=2, label=title)
        for count in ends:
            finest = 10 * count / (2 * field_mm)
            axes[-1].axvline(finest, color=CONTROL, ls=":")
            axes[-1].text(finest, 0.02, f" {count}", color=CONTROL, va="bottom",
                          transform=axes[-1].get_xaxis_transform())  # fmt: skip
        axes[-1].set_yscale("log")
        axes[-1].set(xlabel="cycles per cm", title="power of the detail")
        axes[-1].legend(fontsize=10)
    return figure


def _spectrum(pixels: Floats, field_mm: float) -> tuple[Floats, Floats]:
    """Return spatial frequencies in cycles per cm and the mean power on each ring."""
    side = len(pixels)
    # Against the jump between opposite edges, which no detail is.
    window = np.hanning(side)
    power = np.abs(np.fft.fftshift(np.fft.fft2(pixels * np.outer(window, window)))) ** 2
    axis = np.arange(side) - side // 2
    ring = np.round(np.hypot(*np.meshgrid(axis, axis))).astype(int)
    mean = np.bincount(ring.ravel(), power.ravel()) / np.bincount(ring.ravel())
    rings = np.arange(1, side // 2)
    return 10 * rings / field_mm, mean[rings] / mean[1]


def flow_arrows(
    image: Tensor, mask: Tensor | None, flows: Sequence[Tensor], field_mm: float, cell_mm: float
) -> Figure:
    """Draw each scale's learned displacement as arrows from the cells' centres.

    Arrows are not drawn at their true length: all scales alike, the longest is a cell of
    ``cell_mm`` long. The title gives the true mean and the factor.

    Args:
        image: ``(C, H, W)``.
        mask: ``(H, W)`` or None.
        flows: ``(2, n, n)`` each, (dx, dy) in cells of ``cell_mm``.
        field_mm: side of the field.
        cell_mm: what one unit of the flow measures.
    """
    longest = max(float(f.norm(dim=0).max()) for f in flows)
    factor = 1.0 if longest == 0 else 1 / longest
    with course_style():
        figure, axes = plt.subplots(1, len(flows), figsize=(4.0 * len(flows), 4.6), squeeze=False)
        for axis, flow in zip(axes[0], flows, strict=True):
            _field(axis, grey(image), field_mm)
            outline(axis, mask, field_mm)
            side = flow.shape[-1]
            centre = (np.arange(side) + 0.5) * field_mm / side
            dx, dy = flow.numpy() * cell_mm * factor
            axis.quiver(
                *np.meshgrid(centre, centre), dx, dy, color=OKABE_ITO["yellow"], angles="xy",
                scale_units="xy", scale=1, width=0.009,
            )  # fmt: skip
            mean = float(flow.norm(dim=0).mean())
            axis.set_title(
                f"{side} × {side} cells: mean |Δ| {mean:.2f} cells\n= {mean * cell_mm:.1f} mm, "
                f"drawn × {factor:.2g}", fontsize=12,
            )  # fmt: skip
        axes[0][0].set_ylabel("mm")
    return figure


def reading(
    image: Tensor,
    mask: Tensor | None,
    weights: Floats,
    grids: Sequence[int],
    node: int,
    field_mm: float,
) -> Figure:
    """Draw what one node reads: the attention on every cell, one panel per scale.

    Args:
        image: ``(C, H, W)``.
        mask: ``(H, W)`` or None.
        weights: ``(V,)``, the node's row of the attention; sums to 1.
        grids: cells per side of each scale; nodes are numbered scale by scale, row by row.
        node: the reader, marked by a frame.
        field_mm: side of the field.
    """
    starts = np.cumsum([0, *(n * n for n in grids)])
    strongest = float(weights.max())
    with course_style():
        figure, axes = plt.subplots(1, len(grids), figsize=(4.0 * len(grids), 4.4), squeeze=False)
        for axis, side, start in zip(axes[0], grids, starts, strict=False):
            _field(axis, grey(image), field_mm)
            outline(axis, mask, field_mm, lw=1.0)
            mine = weights[start : start + side * side].reshape(side, side)
            cell = field_mm / side
            for (row, column), weight in np.ndenumerate(mine):
                if weight > 0:
                    axis.add_patch(_cell(column, row, cell, float(weight) / strongest))
            if start <= node < start + side * side:
                row, column = divmod(node - start, side)
                axis.add_patch(_cell(column, row, cell, 0, frame=OKABE_ITO["vermillion"]))
            axis.set_title(
                f"{side} × {side} cells: {100 * mine.sum():.0f} % of the attention", fontsize=12
            )
        axes[0][0].set_ylabel("mm")
    return figure


def _cell(column: int, row: int, side: float, strength: float, frame: str = "") -> Rectangle:
    face = (*_rgb(OKABE_ITO["orange"]), 0.75 * strength)
    edge, width = (frame, 3.0) if frame else (CONTROL, 0.6)
    return Rectangle((column * side, row * side), side, side, fc=face, ec=edge, lw=width)


def _rgb(colour: str) -> tuple[float, float, float]:
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue


def _field(axis: Axes, pixels: Floats, field_mm: float) -> None:
    axis.imshow(pixels, vmin=0, vmax=1, extent=(0, field_mm, field_mm, 0), interpolation="nearest")
    axis.set(xlabel="mm", xlim=(0, field_mm), ylim=(field_mm, 0))
    axis.grid(False)
