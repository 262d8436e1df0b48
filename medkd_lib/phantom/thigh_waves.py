"""Smooth random fields as sums of plane waves: the same field on every grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from medkd_lib.phantom.anatomy import FloatArray

Axes = tuple[FloatArray, FloatArray, FloatArray]


def draw_waves(
    rng: np.random.Generator, wavelength_mm: tuple[float, float, float], waves: int = 16
) -> NDArray[np.float64]:
    """Draw wave vectors and phases, shape (4, waves): k along x, y, z in rad/mm, phase in rad.

    Directions are uniform, lengths within ± 30 % of ``wavelength_mm`` along each axis.
    """
    direction = rng.normal(size=(3, waves))
    direction /= np.linalg.norm(direction, axis=0)
    k = 2.0 * np.pi * direction / np.array(wavelength_mm)[:, None] * rng.uniform(0.7, 1.3, waves)
    return np.concatenate([k, rng.uniform(0.0, 2.0 * np.pi, (1, waves))])


def wave_field(axes: Axes, waves: NDArray[np.float64]) -> FloatArray:
    r"""Evaluate a field of mean 0 and variance 1 on broadcastable axes, shape (I, J, K).

    .. math:: w = \sqrt{2/M} \sum_m \cos(k_m \cdot p + \varphi_m)
                = \sqrt{2/M}\;\Re \sum_m e^{i(k_x x + \varphi)}\,e^{i k_y y}\,e^{i k_z z}

    The product form is one matrix product per volume instead of M cosines per voxel.
    """
    count = waves.shape[1]
    x, y, z = (axis.ravel()[:, None] * k for axis, k in zip(axes, waves[:3], strict=True))
    ex, ey, ez = np.exp(1j * (x + waves[3])), np.exp(1j * y), np.exp(1j * z)
    front = (ex[:, None] * ey[None]).astype(np.complex64).reshape(-1, count)
    back = (ez * np.sqrt(2.0 / count)).astype(np.complex64)
    # Re(ab) = Re a Re b − Im a Im b
    field = front.real @ back.real.T
    field -= front.imag @ back.imag.T
    return field.reshape(len(x), len(y), len(z))
