"""Figures about what crosses from a transformer to a CNN: positions, attention, its mixture."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from torch import Tensor

from medkd_lib.show.style import OKABE_ITO, course_style

Floats = NDArray[np.floating]


def layers_on_grid(layers: Mapping[str, NDArray[np.integer]]) -> Figure:
    """Draw square grids of positions, each with the number of the linear layer that serves it.

    Args:
        layers: title → numbers, ``(grid²,)`` row by row; neighbours with one number share a layer.
    """
    with course_style():
        figure, axes = plt.subplots(1, len(layers), figsize=(4.3 * len(layers), 4.6), squeeze=False)
        for ax, (title, numbers) in zip(axes[0], layers.items(), strict=True):
            side = round(len(numbers) ** 0.5)
            grid = np.asarray(numbers).reshape(side, side)
            ax.imshow(_four_colours(grid), alpha=0.6)
            for (row, column), number in np.ndenumerate(grid):
                ax.text(column, row, str(number), ha="center", va="center",
                        fontsize=min(13, 120 / side))  # fmt: skip
            ax.set(title=title, xticks=[], yticks=[])
            ax.grid(False)
    return figure


def _four_colours(grid: NDArray[np.integer]) -> Floats:
    """Return an RGB picture in which blocks that touch differ, even at a corner."""
    names = ("sky", "orange", "green", "purple")
    colours = np.array([to_rgb(OKABE_ITO[name]) for name in names])
    rows, columns = (np.unique(side, return_inverse=True)[1] % 2 for side in (grid[:, 0], grid[0]))
    return np.asarray(colours[2 * rows[:, None] + columns[None]])


def crossed_matrices(
    student: Floats, teacher: Floats, draws: Floats, p_student: float, columns: Sequence[str]
) -> Figure:
    """Draw two matrices, the draws that decide, and the crossed matrix, each entry in its colour.

    Args:
        student: ``(rows, columns)``.
        teacher: likewise.
        draws: uniform numbers, likewise; the student's element stays where one is below
            ``p_student``.
        p_student: share of the student's own elements.
        columns: names of the columns; rows are tokens.
    """
    stays = draws < p_student
    crossed = np.where(stays, student, teacher)
    yes, no = np.ones_like(stays), np.zeros_like(stays)
    panels = (
        ("the student's", student, yes), ("the teacher's", teacher, no),
        (f"u, below {p_student:g}?", draws, stays), ("crossed", crossed, stays),
    )  # fmt: skip
    with course_style():
        figure, axes = plt.subplots(1, len(panels), figsize=(11, 2.9))
        for ax, (title, values, own) in zip(axes, panels, strict=True):
            for (row, column), value in np.ndenumerate(values):
                colour = OKABE_ITO["orange" if own[row, column] else "sky"]
                ax.add_patch(Rectangle((column, row), 1, 1, fc=colour, ec="white", lw=3))
                number = f"{round(float(value), 2):g}"
                ax.text(column + 0.5, row + 0.5, number, ha="center", va="center",
                        fontsize=14)  # fmt: skip
            ax.set(title=title, xlim=(0, values.shape[1]), ylim=(values.shape[0], 0))
            ax.set_aspect("equal")
            ax.set_xticks(np.arange(values.shape[1]) + 0.5, columns)
            ax.set_yticks([])
            ax.tick_params(length=0)
            ax.spines[:].set_visible(False)
            ax.grid(False)
        tokens = [f"token {n + 1}" for n in range(len(student))]
        axes[0].set_yticks(np.arange(len(student)) + 0.5, tokens)
    return figure


def attention_on_image(
    image: Tensor, maps: Mapping[str, Floats], patch: tuple[int, int], mask: Tensor | None = None
) -> Figure:
    """Draw an image with a chosen patch, and where the attention of that patch goes in each map.

    Args:
        image: ``(H, W)``, any unit.
        maps: title → attention of the chosen patch, ``(g, g)``, summing to 1; drawn on one scale,
            on which small shares show.
        patch: row and column of the chosen patch on the grid.
        mask: ``(H, W)`` outline of the lesion, if anybody drew it.
    """
    pixels = image.float().numpy()
    grid = len(next(iter(maps.values())))
    scale = PowerNorm(0.5, vmin=0, vmax=max(float(m.max()) for m in maps.values()))
    with course_style():
        figure, axes = plt.subplots(1, len(maps) + 1, figsize=(3.3 * (len(maps) + 1) + 0.6, 3.7))
        axes[0].imshow(pixels)
        axes[0].set_title("image and patch")
        for ax, (title, weights) in zip(axes[1:], maps.items(), strict=True):
            ax.imshow(pixels, alpha=0.9)
            shown = ax.imshow(
                weights, extent=_extent(pixels), cmap="inferno", alpha=0.65, norm=scale,
                interpolation="nearest",
            )  # fmt: skip
            ax.set_title(title)
        for ax in axes:
            _framed(ax, pixels, grid, patch)
            if mask is not None and bool(mask.any()):
                ax.contour(mask.numpy() > 0, [0.5], colors=OKABE_ITO["green"], linewidths=1.5)
            ax.axis("off")
        figure.colorbar(shown, ax=list(axes), label="attention of the patch", shrink=0.8)
    return figure


def _extent(pixels: Floats) -> tuple[float, float, float, float]:
    height, width = pixels.shape
    return (-0.5, width - 0.5, height - 0.5, -0.5)


def _framed(ax: Axes, pixels: Floats, grid: int, patch: tuple[int, int]) -> None:
    height, width = (side / grid for side in pixels.shape)
    corner = (patch[1] * width - 0.5, patch[0] * height - 0.5)
    ax.add_patch(Rectangle(corner, width, height, fill=False, ec=OKABE_ITO["sky"], lw=3))
