"""Slices of a box (D, H, W) in the order of LPS, hung as radiologists do."""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike, NDArray

from medkd_lib.show.plane import LETTERS
from medkd_lib.show.style import OKABE_ITO

BoxPlane = Literal["axial", "coronal"]
# Axes of (D, H, W): the one looked along, the one downwards, the one to the right.
AXES: dict[str, tuple[int, int, int]] = {"axial": (0, 1, 2), "coronal": (1, 0, 2)}


def box_slice(box: ArrayLike, plane: BoxPlane, number: int) -> NDArray[Any]:
    """Return a slice of ``(D, H, W)``, patient's right on the left; front or head on top.

    D runs from feet to head, H from front to back, W from right to left, so an axial slice is as
    it lies and a coronal one is turned over.

    Args:
        box: ``(D, H, W)``.
        plane: axial or coronal.
        number: of the slice along D or H.

    Raises:
        ValueError: no box, no such plane, or no such slice.
    """
    values = np.asarray(box)
    if plane not in AXES:
        raise ValueError(f"plane: expected one of {get_args(BoxPlane)}, found {plane!r}")
    if values.ndim != 3 or not 0 <= number < values.shape[AXES[plane][0]]:
        raise ValueError(
            f"box_slice: expected (D, H, W) and one of its {plane} slices, found "
            f"{values.shape} and number {number}"
        )
    return values[number] if plane == "axial" else values[::-1, number]


def fullest_slice(mask: ArrayLike, plane: BoxPlane) -> int:
    """Return the number of the slice with most of a mask ``(D, H, W)``; an empty one's middle."""
    inside = np.asarray(mask) > 0
    along = AXES[plane][0]
    areas = inside.sum(axis=tuple(a for a in range(3) if a != along))
    return int(areas.argmax()) if areas.any() else inside.shape[along] // 2


def pixel_aspect(spacing_mm: Sequence[float], plane: BoxPlane) -> float:
    """Return the height of a pixel over its width.

    Args:
        spacing_mm: along D, H, W.
        plane: axial or coronal.
    """
    _, down, across = AXES[plane]
    return float(spacing_mm[down]) / float(spacing_mm[across])


def patient_sides(axis: Axes, plane: BoxPlane) -> None:
    """Write R and the letter of the top edge into a picture."""
    letters = LETTERS[plane]
    for letter, (x, y) in ((letters[0], (0.04, 0.5)), (letters[2], (0.5, 0.95))):
        axis.text(
            x, y, letter, transform=axis.transAxes, color=OKABE_ITO["yellow"], fontsize=12,
            ha="center", va="center", fontweight="bold",
            path_effects=[withStroke(linewidth=2.5, foreground="black")],
        )  # fmt: skip
