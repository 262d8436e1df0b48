"""A classifier's answers, case by case: the image, the truth, the answer, and what spoke for it."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from medkd_lib.evaluate.classify import Predictions
from medkd_lib.show.overlay import Heat, blown_up, on_grey
from medkd_lib.show.style import METHOD, OKABE_ITO, course_style
from medkd_lib.show.teachers import grey

WRONG = OKABE_ITO["vermillion"]


def answered_cases(
    images: Tensor,
    p: Predictions,
    class_names: Sequence[str],
    *,
    rows: Sequence[int],
    maps: Tensor | None = None,
    columns: int = 4,
) -> Figure:
    """Draw cases with truth, answer and its probability; wrong ones are framed and say so.

    A mistake is told by words, by colour and by its dashed frame. Each map is drawn up to its own
    maximum, so that two of them do not say who saw more; a map of zeros leaves the image grey.

    Args:
        images: ``(N, C, H, W)`` of all cases; the last channel is drawn.
        p: predictions of the same cases.
        class_names: of the C columns.
        rows: which cases, see `medkd_lib.evaluate.telling.telling_rows`.
        maps: ``(N, h, w)``, not negative, such as `medkd_lib.evaluate.saliency.grad_cam`, each
            beside its image; None: images alone.
        columns: cases in a row.

    Raises:
        ValueError: no case, other numbers of images or maps than of predictions, or of names than
            of classes.
    """
    _check(images, p, class_names, rows, maps)
    wide, lines = (1 if maps is None else 2), -(-len(rows) // columns)
    columns = min(columns, len(rows))
    height, width = images.shape[-2:]
    with course_style():
        figure, axes = plt.subplots(
            lines, columns * wide, squeeze=False,
            figsize=(2.3 * columns * wide, (2.3 * height / width + 0.75) * lines),
        )  # fmt: skip
        for axis in axes.flat:
            axis.set_axis_off()
        for place, row in enumerate(rows):
            line, column = divmod(place, columns)
            pixels = grey(images[row])
            plain, *beside = axes[line][column * wide : (column + 1) * wide]
            plain.imshow(pixels, cmap="gray", vmin=0, vmax=1)
            _say(plain, p, row, class_names)
            for axis in beside:
                assert maps is not None
                axis.imshow(_over(pixels, maps[row]))
    return figure


def _over(pixels: NDArray[np.float32], one: Tensor) -> NDArray[np.float64]:
    """Return colours of a map over an image; a map of nothing leaves it grey."""
    fine = blown_up(one[None], (1, *pixels.shape))[0]
    return on_grey(pixels, (0, 1), fine, Heat(high=max(float(fine.max()), 1e-9)))


def _say(axis: Axes, p: Predictions, row: int, class_names: Sequence[str]) -> None:
    answer, right = int(p.probabilities[row].argmax()), bool(p.correct[row])
    truth = class_names[int(p.labels[row])]
    said = f"{class_names[answer]} {p.probabilities[row, answer]:.2f}"
    colour = METHOD if right else WRONG
    axis.set_axis_on()
    axis.set(xticks=[], yticks=[])
    axis.grid(visible=False)
    for spine in axis.spines.values():
        spine.set(visible=True, color=colour, linewidth=2.5, linestyle="-" if right else "--")
    axis.set_title(
        f"{'right' if right else 'WRONG'}: {said}\ntruth: {truth}", fontsize=11, loc="left"
    )


def _check(
    images: Tensor, p: Predictions, class_names: Sequence[str], rows: Sequence[int],
    maps: Tensor | None,
) -> None:  # fmt: skip
    cases, classes = p.probabilities.shape
    found = {"images": len(images), **({} if maps is None else {"maps": len(maps)})}
    if set(found.values()) != {cases} or len(class_names) != classes or not rows:
        raise ValueError(
            f"answered_cases: expected {cases} images and maps, {classes} class names and a row or "
            f"more, found {found}, {list(class_names)} and rows {list(rows)}"
        )
