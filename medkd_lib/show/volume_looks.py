"""Where classifiers of volumes looked: their maps over the image, and how much lies in the mass."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from medkd_lib.show.box import BoxPlane, box_slice, fullest_slice, patient_sides, pixel_aspect
from medkd_lib.show.decision import LINES
from medkd_lib.show.overlay import Heat, blown_up, on_grey
from medkd_lib.show.section import Masks, Outline, as_array, draw_section
from medkd_lib.show.students import MARKERS
from medkd_lib.show.style import OKABE_ITO, course_style


@dataclass(frozen=True)
class VolumeMaps:
    """Maps of one network for N boxes, and how much of each lies in its mask.

    Attributes:
        maps: ``(N, d, h, w)`` on 0…1, from `medkd_lib.evaluate.saliency.grad_cam`.
        share: ``(N,)``, from `medkd_lib.evaluate.saliency.localisation`.
    """

    maps: Masks
    share: Masks


def volume_looks(
    images: Masks,
    masks: Masks,
    arms: Mapping[str, VolumeMaps],
    spacing_mm: Sequence[float],
    *,
    shown: Sequence[int] = (0, 1),
    titles: Sequence[str] | None = None,
    window: tuple[float, float] = (-1.0, 1.0),
    plane: BoxPlane = "axial",
    colours: Mapping[str, str] | None = None,
) -> Figure:
    """Draw the maps of some boxes where their mask is fullest, and the shares of all of them.

    Right, a dot per box and arm, lines join the same box. At the left of it stands what a map
    that knows nothing gets: the mask's share of the box.

    Args:
        images: ``(N, D, H, W)``, in the order of LPS.
        masks: ``(N, D, H, W)``, outlined; a box without any is in no strip.
        arms: name → its maps, of the same boxes.
        spacing_mm: along D, H, W.
        shown: rows of the boxes to draw.
        titles: beside the drawn boxes, one each.
        window: grey values shown as black and white.
        plane: axial or coronal.
        colours: arm → its colour, the same in every figure of a lesson; others by their place.

    Raises:
        ValueError: no arm or more than can be told apart, or other numbers of boxes.
    """
    pixels, inside = as_array(images), as_array(masks) > 0
    lengths = {n: (len(as_array(a.maps)), len(as_array(a.share))) for n, a in arms.items()}
    fits = pixels.shape == inside.shape and pixels.ndim == 4 and bool(shown)
    if not fits or not 1 <= len(arms) <= 4 or set(lengths.values()) != {(len(inside),) * 2}:
        raise ValueError(
            "volume_looks: expected images and masks (N, D, H, W) and 1 to 4 arms with N maps and "
            f"shares, found {pixels.shape}, {inside.shape} and {lengths}"
        )
    heat, aspect = Heat(), pixel_aspect(spacing_mm, plane)
    with course_style():
        figure = plt.figure(figsize=(2.75 * len(arms) + 6.2, 2.65 * len(shown) + 0.9))
        parts = figure.subfigures(1, 2, width_ratios=[2.75 * len(arms) + 0.9, 5.3], squeeze=False)
        left, right = parts[0]
        axes = left.subplots(len(shown), len(arms), squeeze=False)
        for row, box in enumerate(shown):
            number = fullest_slice(inside[box], plane)
            outline = Outline(box_slice(inside[box], plane, number), OKABE_ITO["sky"])
            for axis, (name, arm) in zip(axes[row], arms.items(), strict=True):
                whole = blown_up(as_array(arm.maps)[box], inside[box].shape)
                grey = box_slice(pixels[box], plane, number)
                drawn = on_grey(grey, window, box_slice(whole, plane, number), heat)
                draw_section(axis, drawn, [outline], aspect=aspect)
                patient_sides(axis, plane)
                axis.set_xlabel(f"{float(as_array(arm.share)[box]):.1%} in the mass", fontsize=13)
                if row == 0:
                    axis.set_title(name, fontsize=15)
            if titles is not None:
                axes[row][0].set_ylabel(titles[row], fontsize=14)
        left.colorbar(heat.bar, ax=axes, shrink=0.6, pad=0.02).set_label(
            "map, share of its highest value"
        )
        shares = {n: as_array(a.share) for n, a in arms.items()}
        usual = {n: colour for n, (colour, _) in zip(arms, LINES, strict=False)}
        _strip(right.subplots(), shares, inside, usual | dict(colours or {}))
    return figure


def _strip(
    axis: Axes, shares: Mapping[str, NDArray[np.floating]], inside: np.ndarray,
    colours: Mapping[str, str],
) -> None:  # fmt: skip
    """Draw what the masks take up of their boxes, then the share of every arm."""
    there = inside.any(axis=(1, 2, 3))
    nothing = inside.mean(axis=(1, 2, 3))[there]
    columns = np.stack([nothing, *(s[there] for s in shares.values())]) * 100
    axis.plot(columns, color=OKABE_ITO["grey"], lw=0.8, alpha=0.5, zorder=1)
    looks = [(OKABE_ITO["grey"], "X"), *zip((colours[n] for n in shares), MARKERS, strict=False)]
    for place, (values, (colour, marker)) in enumerate(zip(columns, looks, strict=False)):
        axis.plot(
            [place] * len(values), values, marker, color=colour, mec="black", mew=0.5, ms=8,
            alpha=0.8,
        )  # fmt: skip
        axis.hlines(values.mean(), place - 0.25, place + 0.25, color="black", lw=3, zorder=4)
        axis.text(place + 0.28, values.mean(), f"{values.mean():.1f}", va="center", fontsize=13)
    axis.set_xticks(range(len(columns)), ["knows\nnothing", *shares], fontsize=13)
    axis.set(
        xlim=(-0.5, len(columns) - 0.3), ylim=(0, None), ylabel="share of the map in the mass, %"
    )
    axis.set_title(f"{there.sum()} patients; bar: mean", fontsize=14)
    axis.grid(axis="x", visible=False)
