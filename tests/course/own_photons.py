"""The dose that a scan's own noise speaks of: what the courses' I0 are measured anew with."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import optimize, stats
from torch import Tensor

from medkd_lib.phantom.low_dose import LowDose, electronic_noise
from medkd_lib.phantom.low_dose_fast import noise_std

SLICES = 8


def own_photons(hu: Tensor, even: NDArray[np.bool_], pixel_mm: float) -> float:
    r"""Return the I0 per ray of this grid at which a scan's own noise would arise.

    .. math:: \sigma = \mathrm{MAD}\,\frac{h_{k+1} - h_k}{\sqrt 2} \qquad
              \overline{\sigma_{I_0}^2} = \sigma^2

    What two neighbouring slices share is anatomy, what changes is noise; its spread by the median
    absolute deviation. The mean is over the even part of the `SLICES` slices with most of it.

    Args:
        hu: ``(D, H, W)`` CT numbers, neither masked nor clamped.
        even: the same shape: one organ, its border left out.
        pixel_mm: edge of the square pixels.
    """
    shared = even[1:] & even[:-1]
    change = np.diff(hu.numpy(), axis=0)[shared] / np.sqrt(2)
    noise = float(stats.median_abs_deviation(change, scale="normal"))
    best = np.argsort(-shared.sum((1, 2)))[:SLICES]
    at, slices = torch.from_numpy(shared[best]), hu[torch.from_numpy(best)]

    def too_noisy(log_photons: float) -> float:
        photons = 10**log_photons
        dose = LowDose(photons, electronic=electronic_noise(photons))
        drawn = noise_std(slices, pixel_mm, dose)[at]
        return float(drawn.square().mean().sqrt()) - noise

    return float(10 ** optimize.brentq(too_noisy, 2.5, 7.0, xtol=0.01))
