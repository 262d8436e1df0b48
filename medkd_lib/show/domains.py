"""Several datasets side by side: what they show, and how their grey values are spread."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from medkd_lib.show.section import TRUTH, Outline, as_array, draw_section
from medkd_lib.show.style import CONTROL, METHOD, STUDENT, course_style

# Of the histograms, in standard deviations or in grey values.
BINS = 60


def domain_grid(
    sections: Mapping[str, tuple[Tensor, Tensor]],
    greys: Mapping[str, Mapping[str, Tensor]],
    target: str,
) -> Figure:
    """Draw a row per dataset: sections with the lesion outlined, then its grey values.

    Behind each histogram stands, in outline, the target's: where they differ, a network may tell
    datasets apart by brightness alone.

    Args:
        sections: dataset → images ``(K, H, W)`` on [-1, 1] and masks of the same shape, K alike.
        greys: title of a column of histograms → dataset → values without air.
        target: the dataset that the others are compared with.
    """
    count = len(next(iter(sections.values()))[0])
    with course_style():
        figure, axes = plt.subplots(
            len(sections), count + len(greys), squeeze=False,
            figsize=(2.4 * (count + 1.3 * len(greys)), 2.5 * len(sections) + 0.5),
            width_ratios=[1.0] * count + [1.3] * len(greys),
        )  # fmt: skip
        for row, (name, (images, masks)) in zip(axes, sections.items(), strict=True):
            for axis, image, mask in zip(row, images, masks, strict=False):
                draw_section(axis, image, [Outline(mask, TRUTH)])
            row[0].set_ylabel(name, fontsize=12)
            for axis, (title, values) in zip(row[count:], greys.items(), strict=True):
                edges = _edges(list(values.values()))
                axis.hist(as_array(values[name]), edges, density=True,
                          color=STUDENT if name == target else METHOD)  # fmt: skip
                axis.hist(as_array(values[target]), edges, density=True, histtype="step",
                          color=CONTROL, lw=1.5)  # fmt: skip
                axis.set(yticks=[], title=title if name == next(iter(sections)) else "")
    return figure


def _edges(values: Sequence[Tensor]) -> np.ndarray:
    low = min(float(np.percentile(as_array(v), 0.5)) for v in values)
    high = max(float(np.percentile(as_array(v), 99.5)) for v in values)
    return np.linspace(low, high, BINS + 1)
