"""The figure of a dose series: how good each network is, and what it loses against full dose."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from medkd_lib.evaluate.auc import Auc
from medkd_lib.evaluate.dose_series import DoseLevel
from medkd_lib.show.decision import LINES
from medkd_lib.show.students import MARKERS
from medkd_lib.show.style import OKABE_ITO, course_style


def dose_figure(
    arms: Mapping[str, Sequence[DoseLevel]], *, measure: str = "macro AUC", chance: float = 0.5,
    colours: Mapping[str, str] | None = None,
) -> Figure:  # fmt: skip
    """Draw the measure over the dose, and its paired difference from full dose, a line per arm.

    Left, intervals overlap although the patients are the same; right, where they are paired,
    one sees what the dose costs. Levels stand at equal distances, full dose first.

    Args:
        arms: arm → what `medkd_lib.evaluate.dose_series.dose_series` found.
        measure: what the values are.
        chance: a dotted line.
        colours: arm → its colour, the same in every figure of a lesson; others by their place.

    Raises:
        ValueError: no arm, too many to tell apart, or other doses in different arms.
    """
    if not 1 <= len(arms) <= len(LINES):
        raise ValueError(f"dose_figure: expected 1 to {len(LINES)} arms, found {len(arms)}")
    doses = {arm: tuple(level.share for level in levels) for arm, levels in arms.items()}
    shares = next(iter(doses.values()))
    if set(doses.values()) != {shares}:
        raise ValueError(f"dose_figure: expected the same doses in every arm, found {doses}")
    with course_style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(13.6, 5.0))
        for place, (arm, levels) in enumerate(arms.items()):
            colour = (colours or {}).get(arm, LINES[place][0])
            # Side by side, so that no interval hides another.
            shift = 0.09 * (place - (len(arms) - 1) / 2)
            at = np.arange(len(shares)) + shift
            _series(left, at, [level.auc for level in levels], place, arm, colour)
            # Full dose differs from itself by nothing.
            paired = [level.from_full for level in levels[1:]]
            _series(right, at[1:], paired, place, arm, colour)
        left.axhline(chance, ls=":", color="black", lw=1.2)
        left.text(0.99, chance, "chance", ha="right", va="bottom", fontsize=12,
                  transform=left.get_yaxis_transform())  # fmt: skip
        right.axhline(0, color=OKABE_ITO["grey"], lw=1.5)
        right.text(-0.45, 0, "full dose,\nsame network", va="bottom", fontsize=12)
        left.set_ylabel(measure)
        right.set_ylabel("difference from full dose")
        left.set_title("every level on its own", fontsize=15)
        right.set_title("paired: the same patients at both doses", fontsize=15)
        for axis in (left, right):
            axis.set_xticks(range(len(shares)), [_percent(s) for s in shares])
            axis.set(xlim=(-0.5, len(shares) - 0.5), xlabel="dose, share of the scan's own")
        handles, labels = left.get_legend_handles_labels()
        figure.legend(
            handles, labels, loc="outside lower center", ncols=len(arms), fontsize=13,
            title="bars: 95 % intervals over redrawn patients", title_fontsize=12,
        )  # fmt: skip
    return figure


def _series(
    axis: Axes, at: np.ndarray, found: Sequence[Auc], place: int, arm: str, colour: str
) -> None:
    dash = LINES[place][1]
    axis.vlines(
        at, [a.interval[0] for a in found], [a.interval[1] for a in found], color=colour, lw=3,
        alpha=0.45,
    )  # fmt: skip
    axis.plot(
        at, [a.value for a in found], color=colour, ls=dash, lw=2.2, marker=MARKERS[place], ms=9,
        mec="black", mew=0.6, label=arm,
    )  # fmt: skip


def _percent(share: float) -> str:
    return f"{100 * share:g} %"
