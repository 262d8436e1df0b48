"""The figure of the missing detach: size and knowledge of features that only a hint trains."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from medkd_lib.show.style import course_style

LINES = ("-", "--", ":", "-.")


def silence(
    spreads: Mapping[str, Sequence[float]], shares: Mapping[str, Sequence[float]]
) -> Figure:
    """Draw two measures of the features over the steps, a line per way to train.

    Args:
        spreads: way → standard deviation of the student's features at each step.
        shares: way → share of the teacher's variance that comes from what only its picture shows.

    Raises:
        ValueError: two measures of different ways.
    """
    if list(spreads) != list(shares):
        raise ValueError(
            f"silence: expected both measures of the same ways, found {list(spreads)} and "
            f"{list(shares)}; a line's style would mean two things"
        )
    with course_style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2))
        for axis, measure in ((left, spreads), (right, shares)):
            for number, (title, values) in enumerate(measure.items()):
                axis.plot(values, LINES[number % len(LINES)], lw=2.5, label=title)
            axis.set_xlabel("step")
        left.set(title="SD of the student's features", yscale="log")
        right.set(title="share of the teacher's variance\nthat only its picture explains")
        right.set_ylim(bottom=-0.02)
        # outside: wherever it stood inside, some line would run through it
        figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure
