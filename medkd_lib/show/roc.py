"""The figure of ROC curves: every class, and two averages that answer different questions."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from medkd_lib.evaluate.roc import RocCurve
from medkd_lib.show.decision import LINES
from medkd_lib.show.style import OKABE_ITO, course_style

MOST_ARMS = 4
AVERAGES = {"macro": "macro: mean of classes", "micro": "micro: all answers at once"}


def roc_figure(
    arms: Mapping[str, Mapping[str, RocCurve]], *, bands: bool = True,
    colours: Mapping[str, str] | None = None,
) -> Figure:  # fmt: skip
    """Draw a panel per class, then macro beside micro; a line with its band and AUC per arm.

    The dashed grey line is chance.

    Args:
        arms: arm → what `medkd_lib.evaluate.roc.roc_curves` found.
        bands: draw the 95 % bands; more than two hide one another.
        colours: arm → its colour, the same in every figure of a lesson; others by their place.

    Raises:
        ValueError: no arm, too many to tell apart, or other panels in different arms.
    """
    if not 1 <= len(arms) <= MOST_ARMS:
        raise ValueError(f"roc_figure: expected 1 to {MOST_ARMS} arms, found {len(arms)}")
    names = list(next(iter(arms.values())))
    if other := {arm: list(curves) for arm, curves in arms.items() if list(curves) != names}:
        raise ValueError(f"roc_figure: expected the curves {names} in every arm, found {other}")
    columns = -(-len(names) // 2) if len(names) > 5 else len(names)
    rows = -(-len(names) // columns)
    with course_style():
        figure, axes = plt.subplots(
            rows, columns, figsize=(3.5 * columns, 3.75 * rows + 0.5), sharex=True, sharey=True,
            squeeze=False,
        )  # fmt: skip
        for axis in axes.flat[len(names) :]:
            axis.set_axis_off()
        for axis, name in zip(axes.flat, names, strict=False):
            chance = axis.plot([0, 1], [0, 1], "--", color=OKABE_ITO["grey"], lw=1.5)
            lines, areas = [], []
            for (arm, curves), (usual, dash) in zip(arms.items(), LINES, strict=False):
                colour, curve = (colours or {}).get(arm, usual), curves[name]
                at = curve.false_positive_rate
                if bands:
                    axis.fill_between(at, curve.low, curve.high, color=colour, alpha=0.18, lw=0)
                lines += axis.plot(  # every curve begins where nobody is called ill
                    np.append(0.0, at), np.append(0.0, curve.true_positive_rate), color=colour,
                    ls=dash, lw=2.5,
                )  # fmt: skip
                low, high = curve.auc.interval
                areas.append(f"{curve.auc.value:.2f} ({low:.2f}–{high:.2f})")
            axis.legend(
                lines, areas, loc="lower right", fontsize=12, title="AUC, 95 % interval",
                title_fontsize=11, frameon=True, framealpha=0.85, edgecolor="none",
                borderaxespad=0.1, handlelength=2.6,
            )  # fmt: skip
            axis.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel="false positive rate")
            axis.set_title(AVERAGES.get(name, name), fontsize=14)
        axes[0][0].set_ylabel("true positive rate")
        figure.legend(
            [*lines, *chance], [*arms, "chance"], loc="outside lower center",
            ncols=len(arms) + 1, fontsize=14, handlelength=3,
        )  # fmt: skip
    return figure
