"""A map in colour over a grey image: transparent where the map is low."""

from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from numpy.typing import ArrayLike, NDArray
from torch.nn import functional

from medkd_lib.show.section import Masks, as_array


@dataclass(frozen=True)
class Heat:
    """How a map is coloured.

    Attributes:
        low, high: values that become invisible and strongest; what lies beyond looks like them.
        cmap: of matplotlib; brightness should grow all the way, so that it reads in grey too.
        strongest: share of the colour at ``high``; the image is the rest.
    """

    low: float = 0.0
    high: float = 1.0
    cmap: str = "inferno"
    strongest: float = 0.8

    def __post_init__(self) -> None:
        """Refuse an empty range.

        Raises:
            ValueError: ``high`` is not above ``low``.
        """
        if not self.low < self.high:
            raise ValueError(f"Heat: expected low < high, found {self.low:g} and {self.high:g}")

    @property
    def bar(self) -> ScalarMappable:
        """What a colour bar is drawn from."""
        return ScalarMappable(Normalize(self.low, self.high), self.cmap)


def on_grey(
    image: ArrayLike, window: tuple[float, float], values: ArrayLike, heat: Heat
) -> NDArray[np.float64]:
    r"""Return colours ``(H, W, 3)`` of a map over an image.

    $$p = (1-a)\,g + a\,\mathrm{cmap}(h),\qquad a = \mathrm{strongest}\cdot h$$

    with the grey g and the height h of the map, each between 0 and 1: what the map does not care
    for stays as it was.

    Args:
        image: ``(H, W)``.
        window: values that become black and white.
        values: ``(H, W)``, the map.
        heat: its colours.

    Raises:
        ValueError: shapes differ.
    """
    pixels, height = np.asarray(image, np.float64), np.asarray(values, np.float64)
    if pixels.shape != height.shape or pixels.ndim != 2:
        raise ValueError(
            f"on_grey: expected image and map of one shape (H, W), found {pixels.shape} and "
            f"{height.shape}; bring the map to the image's grid with `blown_up`"
        )
    grey = np.clip((pixels - window[0]) / (window[1] - window[0]), 0, 1)[..., None]
    share = np.clip((height - heat.low) / (heat.high - heat.low), 0, 1)
    # p = (1 - a) g + a cmap(h)
    strength = heat.strongest * share[..., None]
    return np.asarray((1 - strength) * grey + strength * mpl.colormaps[heat.cmap](share)[..., :3])


def blown_up(values: Masks, shape: tuple[int, ...]) -> NDArray[Any]:
    """Return a coarse map ``(d, h, w)`` on a finer grid, linear between the cells' middles.

    The way in which `medkd_lib.evaluate.saliency.localisation` measures it.

    Args:
        values: ``(d, h, w)``.
        shape: of the result ``(D, H, W)``.
    """
    coarse = torch.as_tensor(as_array(values)).float()
    fine = functional.interpolate(coarse[None, None], shape, mode="trilinear", align_corners=False)[
        0, 0
    ]
    return as_array(fine)
