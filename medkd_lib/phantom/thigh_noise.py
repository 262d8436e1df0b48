"""CT noise of two thighs side by side: rays along the row of legs are starved of photons."""

from __future__ import annotations

import numpy as np

from medkd_lib.phantom.anatomy import FloatArray

STARVED = 4.0
"""ln of the noise variance of rays from side to side over that of rays from front to back. On the
real CTs of the thigh neighbours differ twice as much along y as along x; this gives that (D)."""

CUTOFF_PER_MM = 0.75
"""Cut-off of the Hann window in cycles per mm, beyond the Nyquist frequency of 0.51 (D)."""


def limb_noise(
    shape: tuple[int, int, int],
    spacing_mm: tuple[float, float, float],
    sigma_hu: float,
    rng: np.random.Generator,
) -> FloatArray:
    r"""Noise of filtered backprojection with projections of unequal quality.

    A frequency :math:`f` at the angle φ comes from the one projection whose rays run across it.
    Rays along x pass both legs, their variance is :math:`e^{s}` times larger, and they fill the
    frequencies along y, so the noise lies in streaks along x:

    .. math:: H(f, \varphi) = \sqrt{|f|}\;W(f)\;e^{\frac{s}{2} \sin^2 \varphi}

    The level is set on the finest grid of the real files, 0.977 mm; a coarser voxel averages, and
    keeps the part of the spectrum that it can show.

    Args:
        shape: (I, J, K); slices are independent.
        spacing_mm: voxel size.
        sigma_hu: standard deviation on voxels of 0.977 mm.
        rng: source of noise.
    """
    fx = np.fft.fftfreq(shape[0], spacing_mm[0])[:, None]
    fy = np.fft.rfftfreq(shape[1], spacing_mm[1])[None, :]
    response = _response(fx, fy)
    fine = np.fft.fftfreq(256, 0.9765625)
    # σ² = ∫ H² df over the band the voxels can show; the fine grid shows the band of σ_hu
    density = sigma_hu**2 / float((_response(fine[:, None], fine[None, :]) ** 2).mean())
    per_voxel = density * 0.9765625**2 / (spacing_mm[0] * spacing_mm[1])
    spectrum = np.fft.rfftn(rng.standard_normal(shape, np.float32), axes=(0, 1))
    spectrum *= (response * np.sqrt(per_voxel))[:, :, None]
    return np.fft.irfftn(spectrum, s=shape[:2], axes=(0, 1)).astype(np.float32)


def _response(fx: FloatArray, fy: FloatArray) -> FloatArray:
    f = np.sqrt(fx**2 + fy**2)
    window = np.where(f < CUTOFF_PER_MM, 0.5 * (1.0 + np.cos(np.pi * f / CUTOFF_PER_MM)), 0.0)
    across = fy**2 / np.maximum(f**2, 1e-12)
    # H = sqrt|f| W e^(s/2 sin²φ)
    return np.asarray(np.sqrt(f) * window * np.exp(0.5 * STARVED * across))
