"""What one more source costs: time of an update, asked and with kept answers, and memory."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from medkd_lib.show.style import CONTROL, METHOD, STUDENT, course_style


def source_cost(
    sources: Sequence[int], asked_ms: Sequence[float], kept_ms: Sequence[float],
    megabytes: Sequence[float],
) -> Figure:  # fmt: skip
    """Draw time and memory over the number of sources, each with its least-squares line.

    Times are of this machine, now; their ratio is what carries over.

    Args:
        sources: numbers of sources.
        asked_ms: time of an update in which frozen teachers are asked, in ms.
        kept_ms: of one whose batch brings their answers.
        megabytes: of weights and handed-over maps.
    """
    x = np.asarray(sources, float)
    with course_style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.6))
        for axis, values, label, colour, marker in (
            (left, asked_ms, "teachers asked", STUDENT, "o"),
            (left, kept_ms, "answers kept", METHOD, "^"),
            (right, megabytes, "weights and maps", CONTROL, "s"),
        ):
            slope, intercept = np.polyfit(x, np.asarray(values, float), 1)
            axis.plot(x, intercept + slope * x, color=colour, lw=1.5)
            axis.plot(
                x, values, marker, color=colour, ms=8, label=f"{label}: {slope:+z.1f} per source"
            )
        for axis, unit in ((left, "ms per update"), (right, "MB")):
            axis.set(xlabel="sources", ylabel=unit, ylim=(0, None))
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
            axis.legend(loc="best", fontsize=11)
    return figure
