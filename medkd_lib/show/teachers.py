"""Figures about networks side by side: examples, answers that differ, where they looked."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from medkd_lib.show.students import Priced
from medkd_lib.show.style import STUDENT, TEACHER, course_style
from medkd_lib.show.volumes import OUTLINES


def grey(image: Tensor, channel: int = -1) -> NDArray[np.float32]:
    """Return a channel ``(H, W)`` on [0, 1]; a background of exact zeros becomes black.

    Args:
        image: ``(C, H, W)``: a normalised slice (its background is exactly 0 in every channel,
            which is the grey of average tissue), or a film.
        channel: which one.
    """
    pixels = image.float().numpy()
    outside = (pixels == 0).all(axis=0)
    chosen = pixels[channel]
    tissue = chosen[~outside] if not outside.all() else chosen.ravel()
    low, high = np.percentile(tissue, [0.5, 99.5])
    scaled = np.clip((chosen - low) / max(high - low, 1e-6), 0, 1)
    return np.where(outside, 0, scaled).astype(np.float32)


def outline(axis: Axes, mask: Tensor | None, extent: float | None = None, lw: float = 1.4) -> None:
    """Draw a closed line around each label of a mask ``(H, W)``.

    Args:
        axis: with a picture of the same place.
        mask: label ids; None draws nothing.
        extent: side of the picture in the axis' units; default pixels.
        lw: width of the line.
    """
    if mask is None or not bool((mask > 0).any()):
        return
    height, width = mask.shape
    step = 1.0 if extent is None else extent / width
    corner = -0.5 if extent is None else 0.0
    columns, rows = (corner + (np.arange(-1, n + 1) + 0.5) * step for n in (width, height))
    limits = axis.get_xlim(), axis.get_ylim()
    # Neighbouring parts share a border: the wider line below shows beside the narrower one on top.
    for label in np.unique(mask[mask > 0].numpy()).astype(int)[::-1]:
        axis.contour(
            columns, rows, np.pad(mask.numpy() == label, 1), levels=[0.5],
            linewidths=lw * (0.6 + 0.3 * label), colors=[OUTLINES[(label - 1) % len(OUTLINES)]],
        )  # fmt: skip
    axis.set(xlim=limits[0], ylim=limits[1])


def examples(
    images: Tensor, masks: Tensor | None, titles: Sequence[str], channels: Sequence[str]
) -> Figure:
    """Draw one example per row and one channel per column, the mask outlined.

    Args:
        images: ``(N, C, H, W)``.
        masks: ``(N, H, W)`` label ids, or None.
        titles: one per row.
        channels: names, one per column.
    """
    with course_style():
        figure, axes = plt.subplots(
            len(images), len(channels), squeeze=False,
            figsize=(2.4 * len(channels) + 0.6, 2.4 * len(images) + 0.4),
        )  # fmt: skip
        for row, (image, title) in enumerate(zip(images, titles, strict=True)):
            for column, name in enumerate(channels):
                axis = axes[row][column]
                _bare(axis).imshow(grey(image, column), vmin=0, vmax=1)
                outline(axis, None if masks is None else masks[row])
                if row == 0:
                    axis.set_title(name, loc="center")
            axes[row][0].set_ylabel(title, fontsize=13)
    return figure


def disagreement_matrix(shares: pd.DataFrame) -> Figure:
    """Draw who answers differently from whom, in per cent of the cases.

    Args:
        shares: square, from `medkd_lib.evaluate.disagreement.disagreement`.
    """
    names, values = list(shares.index), shares.to_numpy() * 100
    with course_style():
        side = 0.9 * len(names) + 1.2
        figure, axis = plt.subplots(figsize=(side + 1.0, side))
        axis.imshow(values, cmap="Blues", vmin=0, vmax=max(60.0, float(values.max())))
        for row, line in enumerate(values):
            for column, value in enumerate(line):
                text = "–" if row == column else f"{value:.0f} %"
                axis.text(column, row, text, ha="center", va="center", fontsize=14,
                          color="white" if value > 40 else "black")  # fmt: skip
        axis.set_xticks(range(len(names)), names)
        axis.set_yticks(range(len(names)), names)
        axis.grid(False)
        axis.set_title("answers that differ")
    return figure


def confusions(tables: Mapping[str, pd.DataFrame], columns: int = 3) -> Figure:
    """Draw confusion tables: the number of cases, coloured by the share of their label's row.

    Args:
        tables: title → labels in rows, answers in columns.
        columns: panels in a row.
    """
    rows = -(-len(tables) // columns)
    with course_style():
        figure, axes = plt.subplots(
            rows, columns, figsize=(3.9 * columns, 3.6 * rows), squeeze=False
        )
        for axis in axes.flat[len(tables) :]:
            axis.set_axis_off()
        for place, (axis, (title, table)) in enumerate(
            zip(axes.flat, tables.items(), strict=False)
        ):
            counts = table.to_numpy()
            share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
            axis.imshow(share, cmap="Greens", vmin=0, vmax=1)
            for (r, c), count in np.ndenumerate(counts):
                axis.text(c, r, f"{count}", ha="center", va="center", fontsize=14,
                          color="white" if share[r, c] > 0.6 else "black")  # fmt: skip
            names = [str(n).replace(" ", "\n", 1) for n in table.columns]
            axis.set_xticks(range(len(names)), names, fontsize=10)
            axis.set_yticks(range(len(names)), names if place % columns == 0 else [], fontsize=10)
            axis.set_title(title, fontsize=12)
            axis.grid(False)
            if place % columns == 0:
                axis.set_ylabel("label")
            if place // columns == rows - 1:
                axis.set_xlabel("answer")
    return figure


def looks(
    images: Tensor, masks: Tensor | None, maps: Mapping[str, Tensor], titles: Sequence[str]
) -> Figure:
    """Draw each image with its mask, and each kind of map over it.

    Args:
        images: ``(N, C, H, W)``.
        masks: ``(N, H, W)`` label ids, or None.
        maps: name → ``(N, h, w)``, non-negative; each is drawn up to its own maximum.
        titles: one per image, written beside its row.
    """
    with course_style():
        figure, axes = plt.subplots(
            len(images), 1 + len(maps),
            figsize=(2.7 * (1 + len(maps)) + 0.8, 2.7 * len(images) + 0.4), squeeze=False,
        )  # fmt: skip
        for row, (image, title) in enumerate(zip(images, titles, strict=True)):
            side = image.shape[-1]
            for axis, name in zip(axes[row], ["image", *maps], strict=True):
                _bare(axis).imshow(grey(image), vmin=0, vmax=1)
                axis.set(xlim=(-0.5, side - 0.5), ylim=(side - 0.5, -0.5))
                if name in maps:
                    heat = maps[name][row].float().numpy()
                    axis.imshow(
                        heat, cmap="inferno", alpha=0.55, vmin=0, vmax=max(heat.max(), 1e-9),
                        extent=(-0.5, side - 0.5, side - 0.5, -0.5), interpolation="bilinear",
                    )  # fmt: skip
                outline(axis, None if masks is None else masks[row])
                if row == 0:
                    axis.set_title(name, loc="center")
            axes[row][0].set_ylabel(title, fontsize=12)
    return figure


def cost_beside(networks: Sequence[Priced], measure: str) -> Figure:
    """Draw weights, arithmetic and accuracy of the same networks side by side, one row each.

    Intervals are drawn within [0, 1], which a t-interval may leave and a share cannot.

    Args:
        networks: from top to bottom.
        measure: what the value is, a share.
    """
    rows = range(len(networks))
    with course_style():
        figure, axes = plt.subplots(
            1, 3, figsize=(11.5, 0.42 * len(networks) + 1.3), sharey=True, width_ratios=[1, 1, 1.5]
        )
        colours = [TEACHER if n.teacher else STUDENT for n in networks]
        for axis, title, values in (
            (axes[0], "thousand weights", [n.parameters / 1e3 for n in networks]),
            (axes[1], "million multiply-accumulates", [n.macs / 1e6 for n in networks]),
        ):
            axis.barh(rows, values, color=colours, height=0.62)
            for row, value in zip(rows, values, strict=True):
                axis.text(value, row, f" {value:,.1f}" if value < 10 else f" {value:,.0f}",
                          va="center", fontsize=11)  # fmt: skip
            axis.set_xlim(0, 1.22 * max(values))
            axis.set_title(title, fontsize=12)
        for row, network, colour in zip(rows, networks, colours, strict=True):
            axes[2].plot(np.clip(network.interval, 0, 1), [row, row], color=colour, lw=5, alpha=0.3)
            axes[2].plot(network.value, row, "o", color=colour, ms=8)
        axes[2].set_title(f"{measure}, 95 % interval over seeds", fontsize=12)
        axes[0].set_yticks(rows, [n.label for n in networks])
        axes[0].set_ylim(len(networks) - 0.4, -0.6)
    return figure


def _bare(axis: Axes) -> Axes:
    """Take everything away but the frame's inside and the label on the left."""
    axis.set_xticks([])
    axis.set_yticks([])
    axis.grid(False)
    for spine in axis.spines.values():
        spine.set_visible(False)
    return axis
