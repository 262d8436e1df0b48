"""Does the tumour stand out from what surrounds it? The bar that shows whether a translation helps.

A student or a teacher finds a tumour by its contrast. A pseudo-MR may look like an MR everywhere
else and have none, because its CT had none to translate.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from medkd_lib.evaluate.pixels import Images, Mask, pixels


@dataclass(frozen=True)
class TumourContrast:
    """Tumour minus surroundings, one value per image; NaN where there is no tumour or no ring.

    Attributes:
        absolute: ``(N,)``, in image units.
        relative: ``(N,)``, in standard deviations of the image: comparable between modalities.
    """

    absolute: NDArray[np.float64]
    relative: NDArray[np.float64]

    @property
    def mean(self) -> float:
        """Mean of ``relative`` over images with a tumour; opposite contrasts cancel."""
        return float(np.nanmean(self.relative))

    @property
    def mean_size(self) -> float:
        """Mean of the magnitude of ``relative``: how well tumours stand out, bright or dark."""
        return float(np.nanmean(np.abs(self.relative)))


def tumour_contrast(
    images: Images,
    masks: NDArray[np.generic],
    spacing_mm: Sequence[float],
    *,
    ring_mm: float = 10.0,
    gap_mm: float = 0.0,
    inside: Mask | None = None,
) -> TumourContrast:
    r"""Measure how far the tumour's mean lies from the mean of a ring around it.

    $$\Delta_n = \frac{\overline{x}_{T} - \overline{x}_{R}}{\mathrm{SD}(x_n)},\qquad
    R = \{p \notin T:\ g < d(p, T) \le g + r\}$$

    with the Euclidean distance $d$ to the nearest tumour pixel, between pixel centres. A constant
    image has contrast 0.

    Args:
        images: ``(N, H, W)`` slices or ``(N, D, H, W)`` volumes.
        masks: same shape; not zero in the tumour.
        spacing_mm: of one image's axes, in mm, in their order.
        ring_mm: width r of the ring.
        gap_mm: g, left out between tumour and ring, where pixels hold both.
        inside: same shape; pixels outside, such as air, belong neither to a ring nor to an image's
            standard deviation.

    Raises:
        ValueError: shapes or spacing that do not fit, a ring thinner than a pixel, no tumour in
            any image, values that are not finite.

    Source: ours, after the observation that CycleGAN may lose tumours (Jiang et al. 2018, MICCAI;
    Cohen et al. 2018, arXiv 1805.08841).
    """
    _check(images, masks, spacing_mm, ring_mm, gap_mm)
    pixels("images", images, inside)  # refuses what is not finite
    tumours = masks.astype(bool)
    absolute, relative = np.full((2, len(images)), np.nan)
    for n, (image, tumour) in enumerate(zip(images.astype(np.float64), tumours, strict=True)):
        body = np.ones(image.shape, bool) if inside is None else inside[n]
        if not tumour.any():
            continue
        distance = distance_transform_edt(~tumour, sampling=spacing_mm)
        ring = (distance > gap_mm) & (distance <= gap_mm + ring_mm) & body
        if not ring.any():
            continue
        absolute[n] = image[tumour].mean() - image[ring].mean()
        flat = np.ptp(image[body]) == 0  # its standard deviation would be rounding
        relative[n] = 0.0 if flat else absolute[n] / image[body].std()
    if np.isnan(absolute).all():
        raise ValueError(
            "tumour_contrast: expected a tumour with a ring in at least one image, found none of "
            f"{len(images)}; choose slices that show one"
        )
    return TumourContrast(absolute, relative)


def _check(
    images: Images,
    masks: NDArray[np.generic],
    spacing_mm: Sequence[float],
    ring_mm: float,
    gap_mm: float,
) -> None:
    if images.shape != masks.shape or images.ndim < 3:
        raise ValueError(
            f"images {images.shape} and masks {masks.shape}: expected one shape, (N, H, W) or "
            "(N, D, H, W)"
        )
    if len(spacing_mm) != images.ndim - 1 or min(spacing_mm) <= 0:
        raise ValueError(
            f"spacing_mm: expected {images.ndim - 1} positive lengths, found {tuple(spacing_mm)}"
        )
    if gap_mm < 0 or ring_mm < min(spacing_mm):
        raise ValueError(
            f"ring_mm, gap_mm: expected a ring of a pixel ({min(spacing_mm)} mm) or wider and a "
            f"gap of 0 or more, found {ring_mm} and {gap_mm}"
        )
