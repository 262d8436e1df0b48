"""The figure of decision curves: every class, and the macro average that hides prevalence."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from medkd_lib.evaluate.decision import DecisionCurve
from medkd_lib.show.style import METHOD, OKABE_ITO, STUDENT, TEACHER, course_style

LINES = tuple(
    zip(
        (METHOD, STUDENT, TEACHER, OKABE_ITO["purple"], OKABE_ITO["vermillion"], OKABE_ITO["sky"]),
        ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2))),
        strict=True,
    )
)


def decision_figure(
    arms: Mapping[str, Mapping[str, DecisionCurve]], *, bands: bool = True,
    colours: Mapping[str, str] | None = None,
) -> Figure:  # fmt: skip
    """Draw net benefit over thresholds, a panel per class and one for ``macro``, a line per arm.

    Treat-all is the dashed grey line that falls, treat-none the grey zero. A curve is of use where
    it lies above both. Below −0.05 the panels end: treat-all falls without end.

    Args:
        arms: arm → what `medkd_lib.evaluate.decision.decision_curves` found.
        bands: draw the 95 % bands; more than two hide one another.
        colours: arm → its colour, the same in every figure of a lesson; others by their place.

    Raises:
        ValueError: no arm, too many to tell apart, other panels in different arms, or other
            treat-all lines, which means other patients.
    """
    if not 1 <= len(arms) <= len(LINES):
        raise ValueError(f"decision_figure: expected 1 to {len(LINES)} arms, found {len(arms)}")
    first = next(iter(arms.values()))
    for name, curves in arms.items():
        if list(curves) != list(first):
            raise ValueError(
                f"decision_figure: expected the classes {list(first)} in every arm, found "
                f"{list(curves)} in {name}"
            )
        for panel, curve in curves.items():
            if not np.array_equal(curve.treat_all, first[panel].treat_all):
                raise ValueError(
                    f"decision_figure: {name} has another treat-all line in {panel}: other "
                    "patients or thresholds; curves of other patients cannot be compared"
                )
    with course_style():
        figure, axes = plt.subplots(
            1, len(first), figsize=(4.1 * len(first), 4.6), sharex=True, sharey=True, squeeze=False
        )
        top = max(float(c.high.max()) for curves in arms.values() for c in curves.values())
        top = max(top, *(float(c.treat_all.max()) for c in first.values()))
        for axis, panel in zip(axes[0], first, strict=True):
            for (name, curves), (usual, dash) in zip(arms.items(), LINES, strict=False):
                colour, curve = (colours or {}).get(name, usual), curves[panel]
                if bands:
                    axis.fill_between(
                        curve.thresholds, curve.low, curve.high, color=colour, alpha=0.18, lw=0
                    )
                axis.plot(curve.thresholds, curve.model, color=colour, ls=dash, lw=2.5, label=name)
            shown = first[panel]
            axis.plot(
                shown.thresholds, shown.treat_all, "--", color=OKABE_ITO["grey"], lw=1.5,
                label="treat all", zorder=1,
            )  # fmt: skip
            axis.axhline(0, color=OKABE_ITO["grey"], lw=1.5, label="treat none", zorder=1)
            axis.set(xlim=(0, 1), ylim=(-0.05, 1.06 * top), xlabel="threshold probability")
            axis.set_title("macro average" if panel == "macro" else panel, fontsize=15)
        axes[0][0].set_ylabel("net benefit")
        handles, labels = axes[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=13)
    return figure
