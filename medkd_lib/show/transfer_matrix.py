"""Which source helps which target: signed gains with their intervals, in one matrix."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from medkd_lib.evaluate.intervals import Interval
from medkd_lib.show.style import OKABE_ITO, course_style

# Loss and gain differ in lightness and hue for every reader; nothing is white.
SIGNED = LinearSegmentedColormap.from_list(
    "signed", [OKABE_ITO["vermillion"], "#ffffff", OKABE_ITO["blue"]]
)


def transfer_matrix(
    gains: Mapping[tuple[str, str], tuple[float, Interval]],
    sources: Sequence[str],
    targets: Sequence[str],
    *,
    measure: str,
) -> Figure:
    """Draw the gain over the target alone for every source and target.

    A cell whose interval holds zero is hatched: its colour is an estimate, and no finding. Cells
    without a training stay empty.

    Args:
        gains: (source, target) → mean gain and its interval.
        sources: rows.
        targets: columns.
        measure: what the gain is one of.
    """
    found = [abs(value) for value, _ in gains.values()]
    limit = max(found, default=0.0) or 1.0
    with course_style():
        figure, axis = plt.subplots(figsize=(2.6 * len(targets) + 3.4, 0.9 * len(sources) + 1.6))
        for (source, target), (value, (low, high)) in gains.items():
            i, j = sources.index(source), targets.index(target)
            hatch = "///" if low <= 0 <= high else ""
            axis.add_patch(plt.Rectangle(
                (j - 0.5, i - 0.5), 1, 1, fc=SIGNED(0.5 + value / limit / 2), ec="0.6", hatch=hatch,
            ))  # fmt: skip
            axis.text(j, i, f"{value:+.3f}\n[{low:+.3f}, {high:+.3f}]", ha="center", va="center",
                      fontsize=11, bbox={"fc": "white", "ec": "none", "pad": 2})  # fmt: skip
        axis.set(
            xlim=(-0.5, len(targets) - 0.5), ylim=(len(sources) - 0.5, -0.5),
            xticks=np.arange(len(targets)), xticklabels=targets, xlabel="target",
            yticks=np.arange(len(sources)), yticklabels=sources, ylabel="source",
            title=f"Gain in {measure} over the target alone (hatched: interval holds 0)",
        )  # fmt: skip
        axis.grid(visible=False)
    return figure
