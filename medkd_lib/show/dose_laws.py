"""Two laws of noise on one slice: what each makes of it, and where its noise lies."""

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from medkd_lib.show.low_dose import ABDOMEN_WINDOW
from medkd_lib.show.style import course_style


@dataclass(frozen=True)
class LawPictures:
    """What one law makes of a slice.

    Attributes:
        law: its name, with the dose that it was given.
        low: ``(H, W)`` in HU, one draw.
        noise: ``(H, W)`` in HU, that draw less the mean of many: what a law blurs is no noise.
        std: ``(H, W)``, standard deviation over draws in HU.
        noise_hu: of that, the mean over the body.

    Raises:
        ValueError: pictures of different shapes.
    """

    law: str
    low: ArrayLike
    noise: ArrayLike
    std: ArrayLike
    noise_hu: float

    def __post_init__(self) -> None:
        """Refuse pictures of different slices."""
        shapes = {np.shape(x) for x in (self.low, self.noise, self.std)}
        if len(shapes) != 1 or {len(s) for s in shapes} != {2}:
            raise ValueError(f"{self.law}: expected slices of one shape (H, W), found {shapes}")


def dose_laws(laws: Sequence[LawPictures], window: tuple[float, float] = ABDOMEN_WINDOW) -> Figure:
    """Draw a row per law: the slice after one draw, its noise, and how strong that is where.

    All rows share one scale, so that laws may be compared.

    Args:
        laws: of one slice.
        window: HU shown as black and white.

    Raises:
        ValueError: no law.
    """
    if not laws:
        raise ValueError("dose_laws: expected one law or more, found none")
    noise = [np.asarray(x.noise) for x in laws]
    reach = 3.0 * max(float(x.std()) for x in noise) or 1.0
    loudest = max(float(np.max(np.asarray(x.std))) for x in laws) or 1.0
    with course_style():
        figure, axes = plt.subplots(len(laws), 3, figsize=(11.4, 3.6 * len(laws)), squeeze=False)
        for row, law, of_one_draw in zip(axes, laws, noise, strict=True):
            drawn = (
                row[0].imshow(np.asarray(law.low), vmin=window[0], vmax=window[1]),
                row[1].imshow(of_one_draw, cmap="PuOr_r", vmin=-reach, vmax=reach),
                row[2].imshow(np.asarray(law.std), cmap="cividis", vmin=0.0, vmax=loudest),
            )
            for axis, picture in zip(row, drawn, strict=True):
                figure.colorbar(picture, ax=axis, shrink=0.85, pad=0.02)
                axis.set_axis_off()
            row[0].set_title(f"{law.law}\nslice, HU")
            row[1].set_title("\nits noise, HU")
            row[2].set_title(f"{law.noise_hu:.0f} HU in the body\nstandard deviation, HU")
    return figure
