"""Figures of a low-dose scan: where its noise comes from, where it goes, and two laws of it."""

from collections.abc import Mapping
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from medkd_lib.show.style import METHOD, OKABE_ITO, STUDENT, TEACHER, course_style

ABDOMEN_WINDOW = (-160.0, 240.0)
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
        dose: name of the level, such as ``I0 = 5e4``.

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
    slice at low dose, their difference, and the expected noise per pixel. The differences are
    drawn to three standard deviations of themselves.

    Args:
        pictures: of one slice.
        window: HU shown as black and white.
    """
    clean, noisy = np.asarray(pictures.line_integrals), np.asarray(pictures.measured)
    full, low = np.asarray(pictures.full), np.asarray(pictures.low)
    with course_style():
        figure, axes = plt.subplots(2, 4, figsize=(15.6, 7.4))
        highest = float(clean.max())
        _panel(axes[0, 0], clean, "sinogram", "viridis", (0.0, highest), "line integral p")
        _panel(axes[0, 1], noisy, f"measured, {pictures.dose}", "viridis", (0.0, highest), "p")
        _signed(axes[0, 2], noisy - clean, "noise of p")
        for axis in axes[0, :3]:
            axis.set(xlabel="detector bin", ylabel="view")
        _rays(axes[0, 3], clean, noisy)
        _panel(axes[1, 0], full, "slice", "gray", window, "HU")
        _panel(axes[1, 1], low, f"slice, {pictures.dose}", "gray", window, "HU")
        _signed(axes[1, 2], low - full, "difference, HU")
        std = np.asarray(pictures.noise_std)
        _panel(axes[1, 3], std, "expected noise, HU", "cividis", (0.0, float(std.max())), "")
        for axis in axes[1]:
            axis.set_axis_off()
    return figure


def _panel(
    axis: Axes, image: NDArray[np.floating], title: str, cmap: str, limits: tuple[float, float],
    unit: str,
) -> None:  # fmt: skip
    drawn = axis.imshow(image, cmap=cmap, vmin=limits[0], vmax=limits[1], aspect="auto"
                        if cmap == "viridis" else "equal")  # fmt: skip
    bar = axis.figure.colorbar(drawn, ax=axis, shrink=0.75)
    bar.set_label(unit)
    axis.set_title(title)
    axis.grid(False)


def _signed(axis: Axes, difference: NDArray[np.floating], title: str) -> None:
    reach = 3.0 * float(difference.std()) or 1.0
    drawn = axis.imshow(
        difference, cmap="PuOr_r", vmin=-reach, vmax=reach,
        aspect="auto" if title.endswith("p") else "equal",
    )  # fmt: skip
    axis.figure.colorbar(drawn, ax=axis, shrink=0.75)
    axis.set_title(title)
    axis.grid(False)


def _rays(axis: Axes, clean: NDArray[np.floating], noisy: NDArray[np.floating]) -> None:
    """One dot per class of line integral: the longer the path, the louder the ray."""
    place = np.floor(clean.ravel() / 0.5)
    error = (noisy - clean).ravel()
    used = [b for b in np.unique(place) if (place == b).sum() >= 20]
    axis.semilogy(
        [0.5 * (b + 0.5) for b in used], [error[place == b].std() for b in used], "o",
        color=METHOD, ms=7,
    )  # fmt: skip
    axis.set(xlabel="line integral p", title="standard deviation of p")


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
