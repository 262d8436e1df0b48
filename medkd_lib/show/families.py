"""Declared contrasts, one family of questions at a time, in several settings side by side."""

from collections.abc import Mapping
from textwrap import fill

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from medkd_lib.show.style import CONTROL, VERDICT_KEY, VERDICTS, course_style

# Letters of a panel's title that fit above it.
HEADING = 18


def forest_by_setting(
    contrasts: pd.DataFrame,
    questions: Mapping[str, str],
    settings: Mapping[str, str],
    title: str,
    limits: tuple[float, float],
    measure: str,
) -> Figure:
    """Draw one family of declared contrasts in several settings side by side.

    A contrast that a setting does not have says *not run* there.

    Args:
        contrasts: rows of ``contrasts.csv``.
        questions: contrast id → label, in drawing order.
        settings: setting id → title of its panel.
        title: of the figure.
        limits: of every panel's axis.
        measure: what the difference is one of.
    """
    lines = max(fill(heading, HEADING).count("\n") + 1 for heading in settings.values())
    place = {contrast: row for row, contrast in enumerate(questions)}
    with course_style():
        figure, axes = plt.subplots(
            1, len(settings),
            figsize=(
                4.6 + 2.5 * max(2, len(settings)), 0.5 * len(questions) + 1.8 + 0.3 * lines
            ),
            sharey=True, squeeze=False,
        )  # fmt: skip
        for ax, (setting, heading) in zip(axes[0], settings.items(), strict=True):
            ax.axvline(0, color="black", lw=1)
            mine = contrasts[contrasts.setting == setting]
            for contrast in [c for c in questions if c not in set(mine.contrast)]:
                ax.text(0.5, place[contrast], "not run", transform=ax.get_yaxis_transform(),
                        ha="center", va="center", fontsize=11, color=CONTROL,
                        backgroundcolor="white")  # fmt: skip
            for line in mine[mine.contrast.isin(list(questions))].itertuples():
                mark, row = VERDICTS[str(line.verdict)], place[str(line.contrast)]
                ax.plot([line.low, line.high], [row, row], color=mark["color"], lw=3)
                ax.plot(line.difference, row, ms=9, mew=2, **mark)
            ax.set(title=fill(heading, HEADING), xlim=limits)
            ax.xaxis.set_major_locator(MaxNLocator(4))
            ax.set_ylim(len(questions) - 0.4, -0.6)
        axes[0][0].set_yticks(range(len(questions)), list(questions.values()))
        figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
        figure.supxlabel(
            f"difference in {measure}, 95 % interval\n"
            f"{VERDICT_KEY} (Holm within the family)", fontsize=11,
        )  # fmt: skip
    return figure
