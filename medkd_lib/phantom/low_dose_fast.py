"""Low-dose CT in a hurry: noise drawn in the image, its level from a coarse sinogram."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from scipy import stats
from torch import Tensor
from torch.nn import functional as F

from medkd_lib.phantom.ct import noise_response
from medkd_lib.phantom.low_dose import FLOOR, LowDose, added_variance, attenuation
from medkd_lib.phantom.parallel_beam import ParallelBeam, backproject, project, ramp_filter
from medkd_lib.phantom.tissue import MU_WATER_65KEV

COARSE_MM, COARSE_VIEWS = 8.0, 36
"""Grid on which path lengths are taken (D): variance varies slowly within a body."""

LOWEST, HIGHEST, STEPS = 1e-2, 2e3, 120
"""Mean counts per ray between which the exact variance is tabulated."""


def log_variance(line_integrals: Tensor, dose: LowDose) -> Tensor:
    r"""Variance that `medkd_lib.phantom.low_dose.measure` adds, exact for starved rays.

    :math:`\mathrm{Var}[\ln\max(N, 1)]` is summed over Poisson counts and integrated over the
    electronic noise once per dose, tabulated against mean counts, and interpolated; above the
    table `medkd_lib.phantom.low_dose.added_variance` holds.
    """
    counts = dose.photons * torch.exp(-line_integrals)
    table = torch.from_numpy(_table(dose.share, dose.electronic)).to(line_integrals)
    step = math.log(HIGHEST / LOWEST) / (STEPS - 1)
    place = ((counts / LOWEST).log() / step).clamp(0.0, STEPS - 1.001)
    lower = place.long()
    share = place - lower
    tabulated = torch.exp((1.0 - share) * table[lower] + share * table[lower + 1])
    return torch.where(counts < HIGHEST, tabulated, added_variance(line_integrals, dose))


@lru_cache(maxsize=64)
def _table(share: float, electronic: float) -> np.ndarray:
    """Logarithm of the variance of the measured line integral at STEPS mean counts."""
    z = np.linspace(-6.0, 6.0, 121) if electronic > 0.0 else np.zeros(1)
    of_z = stats.norm.pdf(z) / stats.norm.pdf(z).sum()
    sigma = electronic * math.sqrt(1.0 - share**2)
    found = np.empty(STEPS)
    for n, mean in enumerate(np.geomspace(LOWEST, HIGHEST, STEPS)):
        missing = (1.0 - share) * mean
        far = 8.0 * math.sqrt(missing) + 8.0
        k = np.arange(max(math.floor(missing - far), 0), math.ceil(missing + far))
        weight = stats.poisson.pmf(k, missing)[:, None] * of_z
        # N = λ + (K − (1 − a) λ) + σ z
        counts = mean + (k - missing)[:, None] + sigma * z
        log = np.log(np.maximum(counts, FLOOR))
        average = (weight * log).sum() / weight.sum()
        found[n] = (weight * (log - average) ** 2).sum() / weight.sum()
    return np.asarray(np.log(np.maximum(found, 1e-12)))


def noise_std(hu: Tensor, pixel_mm: float, dose: LowDose) -> Tensor:
    r"""Local standard deviation of the noise that a dose adds, in HU.

    Backprojection adds up filtered, independent rays, and the filter is a few bins wide where
    variance along the detector changes slowly:

    .. math:: \sigma^2(x) = G \cdot \frac1V\sum_v \mathrm{Var}\,\hat p_v(x\cos\theta_v +
              y\sin\theta_v), \qquad
              G = \frac{\pi^2}{V}\int |H(f)|^2\,\frac{2 + \cos 2\pi f}{3}\,df

    The last factor is what interpolation between bins leaves of the noise, on average over
    places between two bins. G holds for the full geometry; the mean over views is taken on a
    grid of about 8 mm and in 36 views, and interpolated.

    Args:
        hu: (B, H, W) CT numbers of axial slices.
        pixel_mm: edge of the square pixels.
        dose: dose level.

    Returns:
        (B, H, W) in HU.

    Raises:
        ValueError: see `medkd_lib.phantom.low_dose.attenuation`.
    """
    mu = attenuation(hu)
    height, width = hu.shape[1:]
    factor = max(int(COARSE_MM // pixel_mm), 1)
    padded = F.pad(mu, (0, -width % factor, 0, -height % factor))  # air
    coarse = F.avg_pool2d(padded[:, None], factor)[:, 0]
    beam = ParallelBeam((coarse.shape[1], coarse.shape[2]), factor * pixel_mm, COARSE_VIEWS)
    variance = backproject(log_variance(project(coarse, beam), dose), beam) / COARSE_VIEWS
    fine = F.interpolate(variance[:, None], scale_factor=factor, mode="bilinear")[:, 0]
    full = ParallelBeam((height, width), pixel_mm, dose.views)
    sigma = (fine[:, :height, :width] * _gain(full, dose)).sqrt()
    return sigma * (1000.0 / MU_WATER_65KEV)


def _gain(beam: ParallelBeam, dose: LowDose) -> float:
    """G: variance of a pixel in cm⁻² for line integrals of variance 1."""
    response = ramp_filter(beam, dose.kernel, torch.empty(0, dtype=torch.float64))
    f = torch.linspace(0.0, 0.5, len(response), dtype=torch.float64)
    interpolated = (2.0 + torch.cos(2.0 * math.pi * f)) / 3.0
    return math.pi**2 / beam.views * float(torch.trapezoid(response**2 * interpolated, f) * 2.0)


def add_fast_noise(
    hu: Tensor, pixel_mm: float, dose: LowDose, generator: torch.Generator
) -> Tensor:
    r"""Add noise of the right level and colour, without a full sinogram.

    :math:`\mathrm{HU}' = \mathrm{HU} + \sigma(x)\,n(x)`, n of unit variance with the spectrum of
    filtered backprojection (`medkd_lib.phantom.ct.correlated_noise`). What it leaves out: streaks
    (noise that is longer along the body's long axis) and the bias of starved rays. The level
    agrees with `medkd_lib.phantom.low_dose.scan_low_dose` within 10 % (a test measures it); with
    the bare ramp it reads 10 % high at the very centre of rotation, where interpolation is not
    averaged over places between bins.

    Args:
        hu: (B, H, W) CT numbers of axial slices.
        pixel_mm: edge of the square pixels.
        dose: dose level.
        generator: source of the noise, on the slices' device.

    Raises:
        ValueError: see `medkd_lib.phantom.low_dose.attenuation`.
    """
    sigma = noise_std(hu, pixel_mm, dose)
    size = (hu.shape[1], hu.shape[2])
    response = noise_response(size, (pixel_mm, pixel_mm), dose.kernel)
    white = torch.empty_like(sigma).normal_(generator=generator)
    spectrum = torch.fft.rfft2(white) * torch.from_numpy(response).to(white)
    return hu + (sigma * torch.fft.irfft2(spectrum, s=size)).to(hu.dtype)
