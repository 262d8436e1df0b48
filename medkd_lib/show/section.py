"""One section in one axis: grey values on a fixed scale, outlines on top, nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from numpy.typing import NDArray
from torch import Tensor

from medkd_lib.evaluate.segment import bounding_box
from medkd_lib.show.style import OKABE_ITO

Floats = NDArray[np.floating]
Masks = Tensor | NDArray[np.generic]
Window = tuple[float, float, float, float]
# The truth is drawn like this in every figure of sections; answers never are.
TRUTH = OKABE_ITO["vermillion"]
# Told apart in grey by their dashes, and from the truth by either.
ANSWERS = ((OKABE_ITO["sky"], "-"), (OKABE_ITO["yellow"], "--"), (OKABE_ITO["green"], "-."),
           (OKABE_ITO["purple"], ":"))  # fmt: skip


@dataclass(frozen=True)
class Outline:
    """A closed line around a mask ``(H, W)``; an empty mask has none."""

    mask: Masks
    colour: str = TRUTH
    style: str = "-"
    width: float = 1.8


def draw_section(
    axis: Axes,
    image: Tensor | Floats,
    outlines: Sequence[Outline] = (),
    *,
    limits: tuple[float, float] = (-1.0, 1.0),
    cmap: str = "gray",
    aspect: float = 1.0,
) -> AxesImage:
    """Draw a section without ticks or frame, and return its picture for a colour bar.

    Args:
        axis: an empty one.
        image: ``(H, W)`` grey values or ``(H, W, 3)`` colours on [0, 1].
        outlines: drawn in their order.
        limits: grey values that become the ends of ``cmap``: the same for images that are to be
            compared. The default is the range of `medkd_lib.data.sections.Sections`.
        cmap: of matplotlib.
        aspect: height of a pixel over its width.

    Raises:
        ValueError: an outline of another shape, which would lie at the wrong place.
    """
    pixels = as_array(image)
    height, width = pixels.shape[:2]
    shown = axis.imshow(
        pixels, cmap=cmap, vmin=limits[0], vmax=limits[1], aspect=aspect, interpolation="nearest"
    )
    for outline in outlines:
        mask = as_array(outline.mask) > 0
        if mask.shape != (height, width):
            raise ValueError(
                f"outline: expected the picture's shape {(height, width)}, found {mask.shape}"
            )
        if mask.any():
            # A margin of background closes the line of what touches the edge.
            axis.contour(
                np.arange(-1, width + 1), np.arange(-1, height + 1), np.pad(mask, 1), levels=[0.5],
                colors=[outline.colour], linestyles=[outline.style], linewidths=outline.width,
            )  # fmt: skip
    axis.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
    return bare(axis, shown)


def bare(axis: Axes, shown: AxesImage) -> AxesImage:
    """Take everything away but title and label."""
    axis.set_xticks([])
    axis.set_yticks([])
    axis.grid(False)
    axis.spines[:].set_visible(False)
    return shown


def answer_outlines(answers: Mapping[str, Masks]) -> dict[str, Outline]:
    """Return an outline of each answer, in colours and dashes that are not the truth's.

    Raises:
        ValueError: more answers than lines that can be told apart.
    """
    if len(answers) > len(ANSWERS):
        raise ValueError(
            f"answers: expected at most {len(ANSWERS)} in one picture, found {len(answers)}; draw "
            "one panel per answer"
        )
    return {
        name: Outline(mask, colour, style)
        for (name, mask), (colour, style) in zip(answers.items(), ANSWERS, strict=False)
    }


def legend_lines(outlines: Mapping[str, Outline]) -> list[Line2D]:
    """Return a line per outline for a legend."""
    return [
        Line2D([], [], color=o.colour, ls=o.style, lw=2.5, label=name)
        for name, o in outlines.items()
    ]


def window_around(masks: Sequence[Masks], margin: int, shape: float) -> Window:
    """Return left, right, bottom and top of a window around all masks; of empty ones, everything.

    Args:
        masks: ``(H, W)`` each.
        margin: pixels left around them, as far as the image goes.
        shape: width of the window over its height.
    """
    everything = np.any([as_array(m) > 0 for m in masks], axis=0)
    rows, columns = everything.shape
    if not everything.any():
        return -0.5, columns - 0.5, rows - 0.5, -0.5
    box = bounding_box(everything)
    tall = min(max(box[0].stop - box[0].start + 2 * margin,
                   (box[1].stop - box[1].start + 2 * margin) / shape), rows)  # fmt: skip
    sides: list[float] = []
    for side, size, whole in zip(box, (tall, tall * shape), everything.shape, strict=True):
        middle = (side.start + side.stop) / 2
        low = min(max(middle - size / 2, 0.0), whole - size)
        sides += [low - 0.5, low + size - 0.5]
    top, bottom, left, right = sides
    return left, right, bottom, top


def same_stack(what: str, stacks: Mapping[str, Masks]) -> tuple[int, int, int]:
    """Return the shape ``(N, H, W)`` that all stacks have.

    Raises:
        ValueError: names the shapes.
    """
    shapes = {name: tuple(x.shape) for name, x in stacks.items()}
    found = set(shapes.values())
    if len(found) != 1 or len(next(iter(found))) != 3:
        raise ValueError(f"{what}: expected stacks of one shape (N, H, W), found {shapes}")
    n, height, width = next(iter(found))
    return n, height, width


def as_array(values: Masks) -> NDArray[Any]:
    """Return a tensor or an array as an array on the CPU."""
    if isinstance(values, torch.Tensor):
        array: NDArray[Any] = values.detach().cpu().numpy()
        return array
    return np.asarray(values)
