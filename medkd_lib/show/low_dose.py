"""Figures of a low-dose scan: where its noise comes from, where it goes, and two laws of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import LogLocator, NullLocator
from numpy.typing import ArrayLike, NDArray

from medkd_lib.evaluate.segment import bounding_box
from medkd_lib.show.style import METHOD, OKABE_ITO, STUDENT, TEACHER, course_style

ABDOMEN_WINDOW = (-160.0, 240.0)
# A slice is shown as far as its body reaches: the rest is air.
LEAST_BODY_HU, AIR_AROUND = -500.0, 3
LINES = tuple(
    zip(
        (METHOD, OKABE_ITO["vermillion"], TEACHER, STUDENT),
        (("-", "o"), ("--", "s"), ("-.", "^"), (":", "D")),
        strict=True,
    )
)


@dataclass(frozen=True)
class DosePictures:
    """What is known of one slice before and after.

    Attributes:
        line_integrals, measured: ``(views, bins)`` without and with noise.
        full, low: ``(H, W)`` in HU.
        noise_std: ``(H, W)`` expected standard deviation in HU.
        dose: name of the level, such as ``10 % of the dose``.

    Raises:
        ValueError: pictures that should have one shape have two.
    """

    line_integrals: ArrayLike
    measured: ArrayLike
    full: ArrayLike
    low: ArrayLike
    noise_std: ArrayLike
    dose: str

    def __post_init__(self) -> None:
        """Refuse pictures of different slices."""
        sinograms = {np.shape(a) for a in (self.line_integrals, self.measured)}
        slices = {np.shape(a) for a in (self.full, self.low, self.noise_std)}
        if len(sinograms) != 1 or len(slices) != 1 or {len(s) for s in sinograms | slices} != {2}:
            raise ValueError(
                "DosePictures: expected two sinograms and three slices of one shape each, found "
                f"{sinograms} and {slices}"
            )


def dose_pictures(pictures: DosePictures, window: tuple[float, float] = ABDOMEN_WINDOW) -> Figure:
    """Draw sinogram, image and noise of a slice at low dose.

    Above: line integrals without noise, with noise, and their difference. Below: the slice, the
    slice at low dose, their difference, and the expected noise per pixel, without the air around
    the body. The differences are drawn to three standard deviations of themselves.

    Args:
        pictures: of one slice.
        window: HU shown as black and white.
    """
    clean, noisy = np.asarray(pictures.line_integrals), np.asarray(pictures.measured)
    full, low = np.asarray(pictures.full), np.asarray(pictures.low)
    with course_style():
        figure, axes = plt.subplots(2, 4, figsize=(13.0, 7.0), width_ratios=[1, 1, 1.05, 1.05])
        highest = float(clean.max())
        _pair(axes[0, :2], (clean, noisy), "viridis", (0.0, highest), "line integral p", "auto")
        _signed(axes[0, 2], noisy - clean, "auto")
        _rays(axes[0, 3], clean, noisy)
        _pair(axes[1, :2], (full, low), "gray", window, "HU")
        _signed(axes[1, 2], low - full)
        std = np.asarray(pictures.noise_std)
        _bar(axes[1, 3], _picture(axes[1, 3], std, "cividis", (0.0, float(std.max()))))
        names = ("sinogram", pictures.dose, "noise of p", "its standard deviation",
                 "slice", pictures.dose, "difference, HU", "expected noise, HU")  # fmt: skip
        for axis, name in zip(axes.flat, names, strict=True):
            axis.set_title(name)
        for axis in axes[0, :3]:
            axis.set_xlabel("detector bin")
        axes[0, 0].set_ylabel("view")
        rows, columns = around_body(full)
        for axis in axes[1]:
            axis.set(xlim=(columns.start - 0.5, columns.stop - 0.5),
                     ylim=(rows.stop - 0.5, rows.start - 0.5))  # fmt: skip
            axis.set_axis_off()
    return figure


def around_body(hu: NDArray[np.floating]) -> tuple[slice, slice]:
    """Return rows and columns of a slice ``(H, W)`` that hold its body and a little air."""
    body = hu > LEAST_BODY_HU
    box = bounding_box(body if body.any() else np.ones_like(body))
    rows, columns = (
        slice(max(found.start - AIR_AROUND, 0), min(found.stop + AIR_AROUND, size))
        for found, size in zip(box, hu.shape, strict=True)
    )
    return rows, columns


def _picture(
    axis: Axes, image: NDArray[np.floating], cmap: str, limits: tuple[float, float],
    aspect: Literal["auto", "equal"] = "equal",
) -> AxesImage:  # fmt: skip
    axis.grid(False)
    return axis.imshow(image, cmap=cmap, vmin=limits[0], vmax=limits[1], aspect=aspect)


def _bar(axes: Axes | Sequence[Axes], drawn: AxesImage, unit: str = "") -> None:
    drawn.axes.figure.colorbar(drawn, ax=axes, shrink=0.8, pad=0.02, label=unit)


def _pair(
    axes: Sequence[Axes], images: Sequence[NDArray[np.floating]], cmap: str,
    limits: tuple[float, float], unit: str, aspect: Literal["auto", "equal"] = "equal",
) -> None:  # fmt: skip
    """Draw two pictures on one scale, with one bar."""
    drawn = [_picture(a, x, cmap, limits, aspect) for a, x in zip(axes, images, strict=True)]
    _bar(axes, drawn[-1], unit)


def _signed(
    axis: Axes, difference: NDArray[np.floating], aspect: Literal["auto", "equal"] = "equal"
) -> None:
    reach = 3.0 * float(difference.std()) or 1.0
    _bar(axis, _picture(axis, difference, "PuOr_r", (-reach, reach), aspect))


def _rays(axis: Axes, clean: NDArray[np.floating], noisy: NDArray[np.floating]) -> None:
    """One dot per class of line integral: the longer the path, the louder the ray."""
    place = np.floor(clean.ravel() / 0.5)
    error = (noisy - clean).ravel()
    used = [b for b in np.unique(place) if (place == b).sum() >= 20]
    axis.semilogy(
        [0.5 * (b + 0.5) for b in used], [error[place == b].std() for b in used], "o",
        color=METHOD, ms=7,
    )  # fmt: skip
    axis.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.yaxis.set_minor_locator(NullLocator())
    axis.set_xlabel("line integral p")


def noise_against_path(
    path_cm: ArrayLike,
    laws: Mapping[str, ArrayLike],
    measured: Mapping[str, tuple[ArrayLike, ArrayLike]] | None = None,
) -> Figure:
    """Draw the noise of a ray against its path through water, one line per law, log scale.

    Args:
        path_cm: ``(L,)``.
        laws: name → ``(L,)`` standard deviation of the measured line integral.
        measured: name of a law → path and standard deviation of simulated rays, drawn as dots.

    Raises:
        ValueError: more laws than can be told apart, a law of another length, or dots of none.
    """
    path, dots = np.asarray(path_cm), measured or {}
    wrong = {name: np.shape(law) for name, law in laws.items() if np.shape(law) != path.shape}
    if len(laws) > len(LINES) or wrong or set(dots) - set(laws):
        raise ValueError(
            f"noise_against_path: expected at most {len(LINES)} laws of shape {path.shape} and "
            f"dots of these, found {list(laws)}, wrong shapes {wrong}, dots of {list(dots)}"
        )
    with course_style():
        figure, axis = plt.subplots(figsize=(8.2, 4.8))
        for (name, law), (colour, (dash, marker)) in zip(laws.items(), LINES, strict=False):
            axis.semilogy(path, np.asarray(law), color=colour, ls=dash, lw=2.5, label=name)
            if name in dots:
                x, y = (np.asarray(v) for v in dots[name])
                axis.semilogy(x, y, marker, color=colour, mec="black", mew=0.6, ms=7)
        axis.set(xlabel="path through water, cm", ylabel="standard deviation of a line integral")
        axis.legend(loc="upper left")
        if dots:
            axis.set_title("lines: law · dots: simulated rays", fontsize=12)
    return figure
