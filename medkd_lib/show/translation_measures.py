"""Figures of what translated images have of real ones: their grey values, and the tumour."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from medkd_lib.evaluate.intervals import patient_bootstrap
from medkd_lib.evaluate.translation_error import histogram_kl
from medkd_lib.evaluate.tumour_contrast import TumourContrast
from medkd_lib.evaluate.wilcoxon import per_patient
from medkd_lib.show.section import as_array
from medkd_lib.show.style import CONTROL, METHOD, OKABE_ITO, STUDENT, TEACHER, course_style


def intensity_histograms(
    images: Mapping[str, Tensor | NDArray[np.floating]], real: str, *, bins: int = 64
) -> Figure:
    r"""Draw the grey values of each kind of image over those of real ones, with the divergence.

    The number is `histogram_kl` of each kind from ``real``, $\sum_b p_b\log(p_b/q_b)$ in nats, on
    the same bins. Equal histograms do not make equal images: a tumour is a sliver of either.

    Args:
        images: name → pixels on [-1, 1] of any shape; pixels of bodies rather than of images, if
            the air around them is not to decide.
        real: the name that the others are compared with.
        bins: of equal width.

    Raises:
        ValueError: no images of that name, nothing to compare, or as `histogram_kl`.
    """
    others = [name for name in images if name != real]
    if real not in images or not others:
        raise ValueError(
            f"intensity_histograms: expected {real!r} and something to compare with it, found "
            f"{list(images)}"
        )
    values = {name: as_array(x).astype(np.float64).ravel() for name, x in images.items()}
    edges = np.linspace(-1, 1, bins + 1)
    shares = {name: np.histogram(v, edges)[0] / v.size for name, v in values.items()}
    top = 1.08 * max(float(s.max()) for s in shares.values())
    with course_style():
        figure, axes = plt.subplots(
            1, len(others), figsize=(4.0 * len(others) + 0.4, 3.6), sharey=True, squeeze=False
        )
        colours = (STUDENT, METHOD, TEACHER, OKABE_ITO["purple"])
        for number, (axis, name) in enumerate(zip(axes[0], others, strict=True)):
            kl = histogram_kl(values[name], values[real], bins=bins)
            colour = colours[number % len(colours)]
            axis.stairs(shares[real], edges, fill=True, color="0.8", label=real)
            axis.stairs(shares[name], edges, color=colour, lw=2.5)
            axis.set_title(f"{name}\nKL {kl:.2f}", fontsize=15)
            axis.set(xlim=(-1, 1), ylim=(0, top), xticks=[-1, 0, 1])
            axis.set_xlabel("grey value", fontsize=13)
        axes[0][0].set_ylabel("share of pixels", fontsize=13)
        axes[0][0].legend(fontsize=14, loc="upper right")
    return figure


def contrast_bars(contrasts: Mapping[str, tuple[TumourContrast, Sequence[str]]]) -> Figure:
    """Draw how far tumours stand out of their surroundings in each kind of image.

    A bar is the mean over patients of each patient's mean over sections with tumour; the interval
    redraws patients; a dot is a patient, joined with the same patient next door.

    Args:
        contrasts: name → what `tumour_contrast` found, and the patient of each of its images.

    Raises:
        ValueError: names that do not fit the values.
    """
    patients = {name: per_patient(c.relative, who).dropna() for name, (c, who) in contrasts.items()}
    table = pd.DataFrame(patients)
    colours = (STUDENT, METHOD, TEACHER, CONTROL)
    with course_style():
        figure, axis = plt.subplots(figsize=(2.1 * len(patients) + 2.0, 4.6))
        places = np.arange(len(patients))
        axis.plot(places, table[[*patients]].T, color="0.6", lw=1, zorder=2)
        for place, found in enumerate(patients.values()):
            low, high = patient_bootstrap(found.to_numpy(), list(found.index))
            mean, colour = float(found.mean()), colours[place % len(colours)]
            axis.bar(place, mean, 0.55, color=colour, alpha=0.45, zorder=1)
            axis.plot([place] * len(found), found, "o", ms=6, color=colour, mec="black", mew=0.6)
            (bar,) = axis.plot([place - 0.2] * 2, [low, high], color="black", lw=3, zorder=4)
            says = f"{mean:+.2f}".replace("-", "−")
            axis.text(place, 1.0, says, transform=axis.get_xaxis_transform(), fontsize=17,
                      ha="center", va="bottom")  # fmt: skip
        axis.axhline(0, color="black", lw=1.5)
        figure.legend([bar], ["95 % interval of the mean"], loc="outside lower right", fontsize=13)
        labels = [f"{name}\n{len(found)} patients" for name, found in patients.items()]
        axis.set_xticks(places, labels, fontsize=14)
        axis.set_xlim(-0.5, len(patients) - 0.5)
        axis.set_ylabel("tumour − ring around it,\nSD of the image", fontsize=14)
        axis.grid(axis="x", visible=False)
    return figure
