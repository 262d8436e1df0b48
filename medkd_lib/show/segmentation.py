"""Figures of outlines: what networks answer on sections, and what they invent."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from medkd_lib.evaluate.intervals import patient_bootstrap
from medkd_lib.show.section import (
    TRUTH,
    Masks,
    Outline,
    answer_outlines,
    as_array,
    draw_section,
    legend_lines,
    same_stack,
    window_around,
)
from medkd_lib.show.style import CONTROL, OKABE_ITO, course_style


def outlined(
    images: Tensor,
    truths: Masks,
    answers: Mapping[str, Masks],
    titles: Sequence[str],
    *,
    together: bool = False,
    margin: int = 8,
) -> Figure:
    """Draw whole sections with the truth, and beside each the place in question with the answers.

    Args:
        images: ``(N, H, W)`` on [-1, 1], a row each.
        truths: likewise, not zero in the tumour.
        answers: arm → likewise.
        titles: of the rows.
        together: all arms in one panel, instead of a panel each.
        margin: pixels around truth and answers.

    Raises:
        ValueError: shapes that do not fit, or more arms together than can be told apart.
    """
    n, height, width = same_stack("outlined", {"images": images, "truths": truths, **answers})
    groups = [list(answers)] if together else [[name] for name in answers]
    with course_style():
        figure, axes = plt.subplots(
            n, 1 + len(groups), squeeze=False,
            figsize=(2.9 * (1 + len(groups)), (2.9 * height / width + 0.1) * n + 0.9),
        )  # fmt: skip
        legend: dict[str, Outline] = {}
        for row, title in enumerate(titles):
            truth = Outline(truths[row], TRUTH, width=3.2)
            legend["truth"] = truth
            left, right, bottom, top = window = window_around(
                [truths[row], *(a[row] for a in answers.values())], margin, width / height
            )
            draw_section(axes[row][0], images[row], [truth])
            axes[row][0].add_patch(
                Rectangle((left, top), right - left, bottom - top, fill=False, ec="white", lw=1.2)
            )
            axes[row][0].set_ylabel(title, fontsize=14)
            for axis, group in zip(axes[row][1:], groups, strict=True):
                lines = answer_outlines({name: answers[name][row] for name in group})
                draw_section(axis, images[row], [truth, *lines.values()])
                axis.set(xlim=window[:2], ylim=window[2:])
                if not any(as_array(line.mask).any() for line in lines.values()):
                    axis.text(0.5, 0.04, "nothing found", transform=axis.transAxes, color="white",
                              fontsize=14, ha="center", backgroundcolor="black")  # fmt: skip
                legend |= lines if together else {"answer": next(iter(lines.values()))}
                if row == 0:
                    axis.set_title("answers" if together else group[0], loc="center", fontsize=15)
        figure.legend(
            handles=legend_lines(legend), loc="outside lower center", ncols=1 + len(groups),
            fontsize=14,
        )  # fmt: skip
    return figure


def false_positive_gallery(
    arm: str,
    table: pd.DataFrame,
    images: Tensor,
    predictions: Masks,
    ids: Sequence[str],
    *,
    least_mm2: float,
    count: int = 8,
    columns: int = 4,
) -> Figure:
    """Draw the largest regions that an arm found on sections without tumour.

    The title has the share of tumour-free sections with a region that counts, and its 95 % interval
    over patients; where all sections are alike, redrawing them says nothing, and there is none.

    Args:
        arm: whose answers.
        table: of `medkd_lib.evaluate.false_positives.false_positives`; its cases are patients.
        images: ``(N, H, W)`` on [-1, 1], all sections.
        predictions: likewise, bool.
        ids: of the N sections.
        least_mm2: the table's.
        count: most sections drawn.
        columns: in a row.

    Raises:
        ValueError: shapes that do not fit, or a table without a section.
    """
    same_stack("false_positive_gallery", {"images": images, "predictions": predictions})
    if not len(table):
        raise ValueError(f"{arm}: expected a section without tumour, found none in the table")
    flagged = table.flagged.to_numpy()
    share = f"{100 * flagged.mean():.0f} %"
    if flagged.any() and not flagged.all():
        low, high = patient_bootstrap(flagged, list(table.case))
        share += f", 95 % interval {100 * low:.0f} to {100 * high:.0f} %"
    worst = table[flagged].sort_values("largest_mm2", ascending=False, kind="stable")[:count]
    place = {name: row for row, name in enumerate(ids)}
    columns = min(columns, max(len(worst), 3))  # the title needs the width of three
    rows = max(1, -(-len(worst) // columns))
    height, width = images.shape[1:]
    with course_style():
        figure, axes = plt.subplots(
            rows, columns, squeeze=False,
            figsize=(2.9 * columns, (2.9 * height / width + 0.35) * rows + 1.0),
        )  # fmt: skip
        for axis in axes.flat:
            axis.set_axis_off()
        for axis, one in zip(axes.flat, worst.itertuples(), strict=False):
            row = place[str(one.Index)]
            axis.set_axis_on()
            draw_section(axis, images[row], [Outline(predictions[row], OKABE_ITO["sky"])])
            away = float(one.from_tumour_mm)
            where = f"{away:.0f} mm from tumour" if np.isfinite(away) else "a case without tumour"
            area = float(one.largest_mm2) / 100
            axis.set_xlabel(f"{area:.1f} cm², {where}", fontsize=12)
        if not len(worst):
            figure.text(0.5, 0.4, "none", ha="center", fontsize=20, color=CONTROL)
        figure.suptitle(
            f"{arm}: found a tumour on {flagged.sum()} of {len(flagged)} sections without one\n"
            f"{share}; regions of {least_mm2 / 100:g} cm² or more",
            fontsize=15, ha="left", x=0.02,
        )  # fmt: skip
    return figure
