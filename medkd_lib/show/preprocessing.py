"""Figures of lesson 01: what each step does to grey values, labels, patients and shortcuts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from medkd_lib.show.style import CONTROL, METHOD, OKABE_ITO, STUDENT, TEACHER, course_style
from medkd_lib.show.volumes import OUTLINES

COLOURS = tuple(
    OKABE_ITO[c] for c in ("blue", "orange", "green", "purple", "sky", "vermillion", "grey")
)


def grey_values(
    stages: Mapping[str, Mapping[str, NDArray[Any]]], *, quantile: float = 0.995
) -> Figure:
    """Draw one histogram panel per stage, one line per image.

    Args:
        stages: title of the stage → name of the image → its tissue values.
        quantile: share of the values shown (a long tail would flatten the rest).
    """
    with course_style():
        rows = -(-len(stages) // 2)
        figure, axes = plt.subplots(rows, 2, figsize=(10, 3.0 * rows), squeeze=False)
        for axis, (title, values) in zip(axes.flat, stages.items(), strict=False):
            everything = np.concatenate([v.ravel() for v in values.values()])
            low, high = np.quantile(everything, (1 - quantile, quantile))
            bins = np.linspace(low, high, 80)
            for colour, (name, v) in zip(cycle(COLOURS), values.items(), strict=False):
                axis.hist(
                    v.ravel(), bins, histtype="step", density=True, color=colour, label=name, lw=1.8
                )
            axis.set_title(title)
            axis.set_xlabel("grey value")
            axis.set_yticks([])
        for axis in axes.flat[len(stages) :]:
            axis.set_axis_off()
        axes.flat[0].set_ylabel("share of the tissue")
        axes.flat[len(stages) - 1].legend(fontsize=10)
    return figure


def fake_labels(
    mask: NDArray[Any], results: Mapping[str, NDArray[Any]], names: Mapping[int, str]
) -> Figure:
    """Draw a label map and what interpolation made of it; labels that are wrong stand out.

    Args:
        mask: the original.
        results: title → label map, of any size.
        names: label id → name, for the legend.
    """
    shown = {title: _around(labels) for title, labels in {"as drawn": mask, **results}.items()}
    highest = int(max(m.max() for m in shown.values()))
    # With more labels than colours the colours come again; neighbours still differ.
    outlines = [OUTLINES[i % len(OUTLINES)] for i in range(highest)]
    colours = ListedColormap(["#000000", *outlines])
    with course_style():
        figure, axes = plt.subplots(1, len(shown), figsize=(3.6 * len(shown), 3.9), squeeze=False)
        for axis, (title, labels) in zip(axes.flat, shown.items(), strict=True):
            axis.imshow(labels, cmap=colours, vmin=0, vmax=highest, interpolation="nearest")
            axis.set_title(title)
            axis.set_axis_off()
            axis.grid(False)
        seen = np.unique(np.concatenate([m.ravel() for m in shown.values()]))
        present = [i for i in seen.tolist() if i > 0 and i in names]
        if len(present) <= len(OUTLINES):
            handles = [
                plt.Line2D([], [], marker="s", ls="", color=outlines[i - 1], label=names[i])
                for i in present
            ]
            figure.legend(
                handles=handles, loc="outside lower center", ncols=max(1, len(handles)), fontsize=10
            )
    return figure


def _around(labels: NDArray[Any], margin: float = 0.15) -> NDArray[Any]:
    """Cut the picture to what is labelled, with a margin as a share of its size."""
    where = np.argwhere(labels > 0)
    if not len(where):
        return labels
    size = where.max(0) - where.min(0) + 1
    low = np.maximum(where.min(0) - margin * size, 0).astype(int)
    high = (where.max(0) + margin * size).astype(int) + 2
    return labels[low[0] : high[0], low[1] : high[1]]


def shares(split: Mapping[str, Mapping[str, int]]) -> Figure:
    """Draw the share of each class in each part of a split, with the number of patients.

    Args:
        split: part → class name → patients.
    """
    classes = list(dict.fromkeys(name for counts in split.values() for name in counts))
    with course_style():
        figure, axis = plt.subplots(figsize=(7.5, 0.75 * len(split) + 1.2))
        for row, counts in enumerate(split.values()):
            left, total = 0.0, sum(counts.values())
            for colour, name in zip(cycle(COLOURS), classes, strict=False):
                share = counts.get(name, 0) / total if total else 0.0
                axis.barh(row, share, left=left, color=colour, label=name if row == 0 else None)
                if share > 0.05:
                    axis.text(
                        left + share / 2,
                        row,
                        f"{counts[name]}",
                        ha="center",
                        va="center",
                        color="white",
                    )
                left += share
        axis.set_yticks(range(len(split)), [f"{k} ({sum(v.values())})" for k, v in split.items()])
        axis.invert_yaxis()
        axis.set_xlim(0, 1)
        axis.set_xlabel("share of the part's patients (numbers: patients)")
        axis.grid(False)
        figure.legend(loc="outside upper center", ncols=len(classes))
    return figure


def leakage(runs: pd.DataFrame) -> Figure:
    """Draw accuracy by kind of split and kind of label, one dot per seed.

    Args:
        runs: columns ``labels``, ``split``, ``seed``, ``accuracy``, ``chance``.
    """
    with course_style():
        kinds = list(dict.fromkeys(runs.labels))
        figure, axes = plt.subplots(
            1, len(kinds), figsize=(4.4 * len(kinds), 3.4), sharey=True, squeeze=False
        )
        for axis, kind in zip(axes.flat, kinds, strict=True):
            of_kind = runs[runs.labels == kind]
            for x, (split, colour) in enumerate((("slice", CONTROL), ("patient", METHOD))):
                values = of_kind[of_kind.split == split].accuracy.to_numpy()
                offsets = np.linspace(-0.12, 0.12, len(values))
                axis.plot(x + offsets, values, "o", color=colour, ms=6)
                axis.plot([x - 0.22, x + 0.22], [values.mean()] * 2, color=colour, lw=3)
                axis.text(x + 0.27, values.mean(), f"{values.mean():.2f}", va="center")
            axis.axhline(of_kind.chance.mean(), color="black", ls="--", lw=1)
            text = "always the larger class"
            axis.text(-0.45, of_kind.chance.mean() - 0.02, text, fontsize=10, va="top")
            axis.set_xticks([0, 1], ["slices\ndivided", "patients\ndivided"])
            axis.set_xlim(-0.5, 1.6)
            axis.set_ylim(0, 1.05)
            axis.set_title(kind)
        axes.flat[0].set_ylabel("accuracy on the test part")
    return figure


def strip(values: Mapping[str, Sequence[float]], label: str, limits: tuple[float, float]) -> Figure:
    """Draw one row of dots per group with its mean, for a handful of groups.

    Args:
        values: group → values.
        label: of the axis.
        limits: of the axis.
    """
    with course_style():
        figure, axis = plt.subplots(figsize=(7.5, 0.6 * len(values) + 1.0))
        for row, group in enumerate(values.values()):
            colour = (TEACHER, STUDENT, METHOD, CONTROL)[row % 4]
            rng = np.random.default_rng(0)  # the same jitter in every drawing
            axis.plot(
                group,
                row + rng.uniform(-0.18, 0.18, len(group)),
                "o",
                color=colour,
                ms=5,
                alpha=0.7,
            )
            mean = float(np.mean(group))
            axis.plot([mean] * 2, [row - 0.32, row + 0.32], color=colour, lw=3)
            axis.text(mean, row - 0.36, f"{mean:.2f}", ha="center", fontsize=10)
        axis.set_yticks(range(len(values)), list(values))
        axis.invert_yaxis()
        axis.set_xlim(*limits)
        axis.set_xlabel(label)
    return figure


def curve(
    x: Sequence[float], lines: Mapping[str, Sequence[float]], *, xlabel: str, ylabel: str
) -> Figure:
    """Draw a few labelled lines over one axis."""
    with course_style():
        figure, axis = plt.subplots(figsize=(6.6, 3.4))
        for colour, (name, y) in zip(cycle(COLOURS), lines.items(), strict=False):
            axis.plot(x, y, "o-", color=colour, label=name)
        axis.set_xlabel(xlabel)
        axis.set_ylabel(ylabel)
        axis.legend()
    return figure
