"""Pictures of a translator at work: there and back, and where it errs."""

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from medkd_lib.evaluate.translation_error import absolute_error
from medkd_lib.show.section import TRUTH, Outline, as_array, draw_section, same_stack
from medkd_lib.show.style import CONTROL, course_style

HEAT, SIGNED = "inferno", "PuOr_r"


@dataclass(frozen=True)
class RoundTrip:
    """Sections of one modality, translated and brought back.

    Attributes:
        source: what they show, such as ``CT``.
        target: what they were translated into, such as ``MR``.
        real, there, back: ``(N, H, W)`` on [-1, 1].
        masks: ``(N, H, W)``, not zero in the tumour.
        titles: of the N rows, such as ``with tumour``.
        truth: the same patients in the target's modality, where anybody knows it.

    Raises:
        ValueError: stacks of different shapes, or not a title per section.
    """

    source: str
    target: str
    real: Tensor
    there: Tensor
    back: Tensor
    masks: Tensor
    titles: Sequence[str]
    truth: Tensor | None = None

    def __post_init__(self) -> None:
        """Refuse what does not fit together."""
        known = {} if self.truth is None else {"truth": self.truth}
        stacks = {"real": self.real, "there": self.there, "back": self.back, "masks": self.masks}
        if same_stack("round trip", {**stacks, **known})[0] != len(self.titles):
            raise ValueError(
                f"round trip: expected {len(self.real)} titles, found {list(self.titles)}"
            )


def round_trips(trips: Sequence[RoundTrip]) -> Figure:
    r"""Draw sections there and back, one row each, and what the way back lost.

    The last column is $\lvert x-\hat x\rvert$ with its mean, on one scale for all rows. A faint
    difference says that the way can be undone, not that the middle is right.

    Args:
        trips: one per direction; each brings its rows. A column with the truth is there if any
            direction has one.
    """
    truths = any(t.truth is not None for t in trips)
    rows = sum(len(t.titles) for t in trips)
    columns = 4 + truths
    height, width = trips[0].real.shape[1:]
    # The largest but for a few pixels at edges, which would darken all the rest.
    lost = [np.abs(as_array(t.real - t.back)) for t in trips]
    high = max(float(np.percentile(np.concatenate([x.ravel() for x in lost]), 99.5)), 0.05)
    with course_style():
        figure, axes = plt.subplots(
            rows, columns, squeeze=False,
            figsize=(2.5 * columns + 1.0, (2.5 * height / width + 0.25) * rows + 0.35 * len(trips)),
        )  # fmt: skip
        row = 0
        for trip, differences in zip(trips, lost, strict=True):
            names = [trip.source, f"pseudo-{trip.target}", f"{trip.source} again", "|difference|"]
            if truths:
                names.insert(2, f"true {trip.target}")
            for axis, name in zip(axes[row], names, strict=True):
                axis.set_title(name, loc="center", fontsize=15)
            for n, title in enumerate(trip.titles):
                tumour = [Outline(trip.masks[n], width=1.2)]
                pictures = [trip.real[n], trip.there[n], trip.back[n]]
                if truths:
                    pictures.insert(2, trip.there[n] if trip.truth is None else trip.truth[n])
                for axis, picture in zip(axes[row], pictures, strict=False):
                    draw_section(axis, picture, tumour)
                if truths and trip.truth is None:
                    _unknown(axes[row][2])
                shown = draw_section(
                    axes[row][-1], differences[n], tumour, limits=(0, high), cmap=HEAT
                )
                axes[row][-1].set_xlabel(f"mean {differences[n].mean():.3f}", fontsize=13)
                axes[row][0].set_ylabel(title, fontsize=14)
                row += 1
        figure.colorbar(shown, ax=list(axes[:, -1]), shrink=0.6)
    return figure


def _unknown(axis: Axes) -> None:
    """Say that nobody has this picture."""
    axis.clear()
    axis.set_axis_off()
    axis.text(0.5, 0.5, "nobody\nknows", ha="center", va="center", fontsize=14, color=CONTROL,
              transform=axis.transAxes)  # fmt: skip


def error_maps(
    pseudo: Tensor, truth: Tensor, masks: Tensor, titles: Sequence[str], target: str = "MR"
) -> Figure:
    """Draw what the translator painted, what is true, and the signed difference, a row per section.

    Args:
        pseudo: ``(N, H, W)`` on [-1, 1].
        truth: likewise, of the same patients: a phantom's other scan, or a registered one.
        masks: likewise, not zero in the tumour.
        titles: one per section.
        target: name of the modality.

    Raises:
        ValueError: shapes that do not fit.
    """
    n, height, width = same_stack("error_maps", {"pseudo": pseudo, "truth": truth, "masks": masks})
    found = absolute_error(as_array(pseudo), as_array(truth), as_array(masks))
    difference = as_array(pseudo - truth)
    high = max(float(np.abs(difference).max()), 1e-6)
    with course_style():
        figure, axes = plt.subplots(
            n, 3, squeeze=False, figsize=(11.0, (3.3 * height / width + 0.35) * n + 0.4)
        )
        names = (f"true {target}", f"pseudo-{target}", "pseudo − true")
        for axis, name in zip(axes[0], names, strict=True):
            axis.set_title(name, loc="center", fontsize=15)
        for row, title in enumerate(titles):
            tumour = [Outline(masks[row], TRUTH, width=1.5)]
            draw_section(axes[row][0], truth[row], tumour)
            draw_section(axes[row][1], pseudo[row], tumour)
            shown = draw_section(
                axes[row][2], difference[row], [Outline(masks[row], "black", width=2.0)],
                limits=(-high, high), cmap=SIGNED,
            )  # fmt: skip
            inside = found.in_masks[row]
            says = f"mean error {found.everywhere[row]:.2f}"
            says += "" if np.isnan(inside) else f", in the tumour {inside:.2f}"
            axes[row][2].set_xlabel(says, fontsize=13)
            axes[row][0].set_ylabel(title, fontsize=14)
        bar = figure.colorbar(shown, ax=list(axes[:, 2]), shrink=0.8)
        bar.set_label("too dark    ·    too bright", fontsize=13)
    return figure
