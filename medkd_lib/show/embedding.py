"""Feature vectors in the plane, each picture twice: coloured by domain, and by class."""

from collections.abc import Mapping, Sequence
from itertools import cycle

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from medkd_lib.show.style import OKABE_ITO, course_style

COLOURS = [OKABE_ITO[c] for c in ("blue", "orange", "green", "purple", "black")]
MARKERS = ("o", "^", "s", "D", "v")


def embedding_figure(
    points: Mapping[str, NDArray[np.float64]],
    labels: Mapping[str, Sequence[str]],
    numbers: Mapping[str, str],
    *,
    title: str = "",
) -> Figure:
    """Draw every picture in a column, once per way to colour it.

    Axes of such pictures have no unit, and none is drawn. Beside each row stands what a picture
    cannot show: what a linear probe reads from all dimensions.

    Args:
        points: title → ``(N, 2)``, as `medkd_lib.evaluate.embedding.embeddings` gives them.
        labels: what a row is coloured by → N names.
        numbers: the same keys → the sentence beside the row.
        title: of the figure.

    Raises:
        ValueError: rows without a number, or labels of another length.
    """
    lengths = {len(x) for x in (*points.values(), *labels.values())}
    if set(numbers) != set(labels) or len(lengths) != 1:
        raise ValueError(
            f"embedding_figure: expected N points and N labels, and a number for each of "
            f"{list(labels)}, found lengths {sorted(lengths)} and numbers for {list(numbers)}"
        )
    with course_style():
        figure, axes = plt.subplots(
            len(labels), len(points), squeeze=False,
            figsize=(3.1 * len(points), 3.4 * len(labels) + 0.4),
        )  # fmt: skip
        for number, (row, (what, names)) in enumerate(zip(axes, labels.items(), strict=True)):
            array = np.asarray(names)
            for axis, (heading, xy) in zip(row, points.items(), strict=True):
                looks = zip(dict.fromkeys(names), cycle(COLOURS), cycle(MARKERS), strict=False)
                for name, colour, marker in looks:
                    mine = xy[array == name]
                    axis.scatter(mine[:, 0], mine[:, 1], s=14, c=colour, marker=marker,
                                 alpha=0.6, lw=0, label=name)  # fmt: skip
                axis.set(xticks=[], yticks=[], title=heading if not number else "")
                axis.grid(visible=False)
            row[0].set_ylabel(f"by {what}")
            row[-1].legend(
                loc="center left", bbox_to_anchor=(1.0, 0.5), markerscale=2, fontsize=11,
                title=numbers[what], title_fontsize=11, alignment="left",
            )  # fmt: skip
        figure.suptitle(title, ha="left", x=0.02)
    return figure
