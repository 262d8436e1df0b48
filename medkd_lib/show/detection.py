"""The figure of boxes: what is marked, what was found, and what of it was right."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from torch import Tensor

from medkd_lib.evaluate.detection import Detections
from medkd_lib.evaluate.hits import Criterion, verdicts
from medkd_lib.evaluate.intervals import Floats
from medkd_lib.show.section import TRUTH, draw_section
from medkd_lib.show.style import OKABE_ITO, course_style

# Told apart in grey by their dashes.
LINES = {
    "marked": (TRUTH, "-"),
    "found": (OKABE_ITO["sky"], "--"),
    "hit": (OKABE_ITO["green"], "-"),
    "missed": (TRUTH, ":"),
    "false alarm": (OKABE_ITO["yellow"], "--"),
    "hit again": (OKABE_ITO["purple"], "-."),
}
PANELS = ("marked", "found", "right and wrong")


def detection_gallery(
    images: Tensor,
    found: Detections,
    titles: Sequence[str],
    *,
    score: float,
    criterion: Criterion = "iou",
    threshold: float = 0.5,
) -> Figure:
    """Draw a row per image: what is marked, what was found with scores, hits, misses, false alarms.

    Args:
        images: ``(N, H, W)`` on [-1, 1].
        found: of these images.
        titles: of the rows.
        score: boxes below are not drawn, and lesions that only they hit are missed.
        criterion: of a hit, see `hits`.
        threshold: of ``iou``.

    Raises:
        ValueError: other numbers of images, boxes or titles, or none.
    """
    if images.ndim != 3 or not len(images) == len(found.boxes) == len(titles) > 0:
        raise ValueError(
            "detection_gallery: expected images (N, H, W), N entries of boxes and N titles, found "
            f"{tuple(images.shape)}, {len(found.boxes)} and {len(titles)}"
        )
    n, height, width = images.shape
    used: list[str] = []
    with course_style():
        figure, axes = plt.subplots(
            n, 3, squeeze=False, figsize=(9.6, (2.9 * height / width + 0.1) * n + 1.0)
        )
        for row, title in enumerate(titles):
            for axis in axes[row]:
                draw_section(axis, images[row])
            axes[row][0].set_ylabel(title, fontsize=14)
            boxes, scores = found.boxes[row], found.scores[row]
            shown = scores >= score
            said = verdicts(found, row, criterion, threshold)
            missed = ~(said.found >= score)
            groups = (
                {"marked": found.truths[row]},
                {"found": boxes[shown]},
                {
                    "hit": boxes[shown & said.hit], "missed": found.truths[row][missed],
                    "false alarm": boxes[shown & ~said.hit & ~said.again],
                    "hit again": boxes[shown & said.again],
                },
            )  # fmt: skip
            for axis, group in zip(axes[row], groups, strict=True):
                for kind, own in group.items():
                    _draw(axis, own, kind)
                    used += [kind] * (len(own) > 0)
            for box, sure in zip(boxes[shown], scores[shown], strict=True):
                axes[row][1].text(
                    box[0] - 0.5, box[1] - 1, f"{sure:.2f}", color="white", fontsize=9,
                    backgroundcolor=(0, 0, 0, 0.5), clip_on=True,
                )  # fmt: skip
        for axis, name in zip(axes[0], PANELS, strict=True):
            axis.set_title(name, loc="center", fontsize=15)
        figure.legend(
            handles=[
                Line2D([], [], color=colour, ls=dash, lw=2.5, label=kind)
                for kind, (colour, dash) in LINES.items() if kind in used
            ],
            loc="outside lower center", ncols=3, fontsize=14, handlelength=3,
        )  # fmt: skip
    return figure


def _draw(axis: Axes, boxes: Floats, kind: str) -> None:
    colour, dash = LINES[kind]
    for x1, y1, x2, y2 in np.asarray(boxes):
        # A picture's first pixel has its middle at 0, its left edge at -0.5.
        axis.add_patch(
            Rectangle(
                (x1 - 0.5, y1 - 0.5), x2 - x1, y2 - y1, fill=False, ec=colour, ls=dash, lw=2.0,
                label=kind,
            )
        )  # fmt: skip
