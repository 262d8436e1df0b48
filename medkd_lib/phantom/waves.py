"""Smooth random fields as sums of plane waves: the same field on any grid, at any point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medkd_lib.phantom.anatomy import FloatArray


@dataclass(frozen=True)
class Waves:
    r"""A random field with mean 0 and variance 1.

    .. math:: n(p) = \sqrt{2/N} \sum_{i=1}^N \cos(k_i \cdot p + \varphi_i)

    Directions are uniform on the sphere and lengths fill a band of wavelengths, so a narrow band
    gives folds of one width (gyri) and a wide one gives bumps of many sizes (tumours). Unlike a
    noise volume it needs no resampling: anatomy looks the same on a coarse and on a fine grid.

    Attributes:
        k: (N, 3) wave vectors in radians per millimetre.
        phase: (N,) radians.
    """

    k: NDArray[np.float32]
    phase: NDArray[np.float32]

    def __call__(self, x: FloatArray, y: FloatArray, z: FloatArray) -> FloatArray:
        """Value at points given as three arrays of one shape (millimetres)."""
        value = np.zeros(np.shape(x), np.float32)
        for (a, b, c), phase in zip(self.k, self.phase, strict=True):
            # arguments one by one: a matrix product would need N copies of the volume
            angle = a * x
            angle += b * y
            angle += c * z
            angle += phase
            value += np.cos(angle, out=angle)
        value *= np.float32(np.sqrt(2.0 / len(self.k)))
        return value


def random_waves(
    rng: np.random.Generator, shortest_mm: float, longest_mm: float, number: int
) -> Waves:
    """Draw ``number`` waves with wavelengths between the two (uniform in frequency)."""
    direction = rng.standard_normal((number, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    frequency = rng.uniform(1.0 / longest_mm, 1.0 / shortest_mm, (number, 1))
    k = 2.0 * np.pi * frequency * direction
    phase = rng.uniform(0.0, 2.0 * np.pi, number)
    return Waves(k.astype(np.float32), phase.astype(np.float32))


def stretched(waves: Waves, factor: float) -> Waves:
    """Multiply the frequencies along x: far below 1, folds run from side to side."""
    return Waves(waves.k * np.array([factor, 1.0, 1.0], np.float32), waves.phase)
