"""Figures about how alike student and teacher are, and whether that makes the student better."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from medkd_lib.show.students import LINES, MARKERS
from medkd_lib.show.style import OKABE_ITO, course_style


def similarity(
    curves: Mapping[str, tuple[Sequence[int], Sequence[float]]],
    measure: str,
    reference: tuple[float, str] | None = None,
) -> Figure:
    """Draw a similarity of student and teacher over the training, one named line per training.

    Each logged value is of one batch: thin the values, thick the mean of three neighbours.

    Args:
        curves: label → steps and values.
        measure: label of the axis.
        reference: height and meaning of a dotted line.
    """
    with course_style():
        figure, ax = plt.subplots(figsize=(9.2, 4.2))
        for number, (label, (steps, values)) in enumerate(curves.items()):
            style, colour = LINES[number % len(LINES)], f"C{number}"
            ax.plot(steps, values, color=colour, lw=1, alpha=0.4)
            smooth = pd.Series(values).rolling(3, center=True, min_periods=1).mean()
            ax.plot(steps, smooth, style, color=colour, lw=3, label=label)
        if reference is not None:
            ax.axhline(reference[0], ls=":", lw=2, color="black", label=reference[1])
        ax.set(xlabel="step", ylabel=measure)
        figure.legend(loc="outside right center")
    return figure


def cka_maps(matrices: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw CKA matrices (student layers × teacher layers) side by side on one colour scale."""
    first = next(iter(matrices.values()))
    rows, columns = first.shape
    width = 0.62 * columns + 0.4
    with course_style():
        figure, axes = plt.subplots(
            1, len(matrices), figsize=(len(matrices) * width + 2.0, 0.62 * rows + 2.3),
            sharey=True, squeeze=False,
        )  # fmt: skip
        for ax, (title, matrix) in zip(axes[0], matrices.items(), strict=True):
            image = ax.imshow(matrix.to_numpy(), vmin=0, vmax=1, cmap="cividis", aspect="auto")
            for (i, j), value in np.ndenumerate(matrix.to_numpy()):
                ax.text(j, i, f"{value:.2f}"[-3:] if 0 <= value < 1 else f"{value:.1f}",
                        ha="center", va="center", fontsize=11,
                        color="black" if value > 0.55 else "white")  # fmt: skip
            ax.set_xticks(range(columns), list(matrix.columns), rotation=60, ha="right")
            ax.set_yticks(range(rows), list(matrix.index))
            ax.set_title(title)
            ax.grid(False)
        figure.colorbar(image, ax=list(axes[0]), label="CKA (unbiased)", shrink=0.85)
        figure.supxlabel("teacher", fontsize=12)
    return figure


def similar_or_better(
    runs: pd.DataFrame,
    arms: Mapping[str, str],
    similarity_column: str,
    measure: str,
    rival: tuple[float, str],
) -> Figure:
    """Draw recorded runs: how similar the student became, and how good.

    Args:
        runs: rows of ``runs.csv`` of one setting; runs without the similarity are left out.
        arms: arm id → label.
        similarity_column: of the table.
        measure: likewise.
        rival: mean of the measure without any teacher, a dotted line, and its name.
    """  # fmt: skip
    known = runs.dropna(subset=[similarity_column])
    with course_style():
        figure, ax = plt.subplots(figsize=(9.6, 4.6))
        measured = [arm for arm in arms if arm in set(known.arm)]
        for number, arm in enumerate(measured):
            mine, label = known[known.arm == arm], arms[arm]
            marker, colour = MARKERS[number % len(MARKERS)], f"C{number % 6}"
            x, y = mine[similarity_column].to_numpy(), mine[measure].to_numpy()
            ax.scatter(x, y, s=28, alpha=0.45, marker=marker, color=colour)
            ax.scatter(x.mean(), y.mean(), s=170, ec="black", label=label, marker=marker, c=colour)
        ax.axhline(rival[0], ls=":", lw=2, color=OKABE_ITO["black"], label=rival[1])
        ax.set(xlabel=similarity_column.replace("_", " "), ylabel=measure.replace("_", " "))
        figure.legend(loc="outside right center")
    return figure
