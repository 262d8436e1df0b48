"""What CBAM lets through: the weight of every channel, and of every place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from medkd_lib.show.box import BoxPlane, box_slice, fullest_slice, patient_sides, pixel_aspect
from medkd_lib.show.overlay import Heat, blown_up, on_grey
from medkd_lib.show.section import Masks, Outline, as_array, draw_section
from medkd_lib.show.style import METHOD, OKABE_ITO, course_style


@dataclass(frozen=True)
class AttentionLook:
    """What one branch's attention says of one box.

    Attributes:
        channels: ``(C,)`` weights between 0 and 1, from `CBAM3D.channel_weights`.
        places: ``(d, h, w)`` weights between 0 and 1, from `CBAM3D.place_weights`.
        image: ``(D, H, W)``, what the branch was shown, in the order of LPS.

    Raises:
        ValueError: other axes.
    """

    channels: Masks
    places: Masks
    image: Masks

    def __post_init__(self) -> None:
        """Refuse a batch."""
        axes = [as_array(x).ndim for x in (self.channels, self.places, self.image)]
        if axes != [1, 3, 3]:
            raise ValueError(
                "AttentionLook: expected (C,), (d, h, w) and (D, H, W) of one box, found "
                f"{axes} axes; take one row of the batch"
            )


def attention_looks(
    looks: Mapping[str, AttentionLook],
    mask: ArrayLike,
    spacing_mm: Sequence[float],
    *,
    window: tuple[float, float] = (-1.0, 1.0),
    plane: BoxPlane = "axial",
) -> Figure:
    """Draw a column per look: channel weights as bars, place weights over the branch's image.

    The black steps repeat the first look's channels, so that a branch or a dose that weighs
    otherwise is seen. Place weights share one scale, from the lowest to the highest of all; its
    width says whether the attention tells places apart at all.

    Args:
        looks: name of branch or dose → its look, of one box.
        mask: ``(D, H, W)``, outlined; the slice is its fullest.
        spacing_mm: along D, H, W.
        window: grey values of the images shown as black and white.
        plane: axial or coronal.

    Raises:
        ValueError: no look, looks of other widths, or an image of another shape than the mask.
    """
    inside = np.asarray(mask)
    shapes = {n: (np.shape(x.channels), np.shape(x.image)) for n, x in looks.items()}
    if len(set(shapes.values())) != 1 or next(iter(shapes.values()))[1] != inside.shape:
        raise ValueError(
            f"attention_looks: expected looks of one width at a box of {inside.shape}, found "
            f"{shapes}"
        )
    places = {n: blown_up(x.places, inside.shape) for n, x in looks.items()}
    number = fullest_slice(inside, plane)
    cuts = {n: box_slice(x, plane, number) for n, x in places.items()}
    # Weights are high nearly everywhere: at full colour no image would be left.
    heat = Heat(*_range(np.stack(list(places.values()))), strongest=0.55)
    first = as_array(next(iter(looks.values())).channels)
    tall = next(iter(cuts.values())).shape
    aspect = pixel_aspect(spacing_mm, plane)
    with course_style():
        wide = 3.6
        high = min(1.5, tall[0] / tall[1] * aspect) * wide
        figure, axes = plt.subplots(
            2, len(looks), figsize=(wide * len(looks) + 1.4, 2.5 + high + 0.5), squeeze=False,
            height_ratios=[2.3, high], sharey="row",
        )  # fmt: skip
        for (bars, below), (name, look) in zip(axes.T, looks.items(), strict=True):
            _bars(bars, as_array(look.channels), first)
            bars.set_title(name, fontsize=15)
            pixels = on_grey(
                box_slice(as_array(look.image), plane, number), window, cuts[name], heat
            )
            outline = Outline(box_slice(inside, plane, number), OKABE_ITO["sky"])
            draw_section(below, pixels, [outline], aspect=aspect)
            patient_sides(below, plane)
        axes[0][0].set_ylabel("channel weight")
        figure.colorbar(heat.bar, ax=axes[1], shrink=0.9, pad=0.015, label="place weight")
    return figure


def _range(values: np.ndarray) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    # An attention that weighs all places alike has one colour, and not rounding in many.
    return (low, high) if high - low > 1e-3 else (low - 5e-4, low + 5e-4)


def _bars(axis: Axes, weights: np.ndarray, first: np.ndarray) -> None:
    at = np.arange(len(weights))
    axis.bar(at, weights, width=0.8, color=METHOD)
    axis.stairs(first, np.arange(len(first) + 1) - 0.5, color="black", lw=1.8, baseline=None)
    axis.set(ylim=(0, 1.02), xlim=(-0.7, len(weights) - 0.3), xlabel="channel")
    axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axis.grid(axis="x", visible=False)
