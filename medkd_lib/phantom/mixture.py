"""Tissue fractions of a grid: what a thick slice holds, and tissue that turned into another."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from medkd_lib.phantom.anatomy import Anatomy, FloatArray, Grid, Layer


def fractions_of(anatomy: Anatomy) -> dict[str, FloatArray]:
    """Share of every tissue in every voxel, air left out; they add up to 1 with air."""
    names = sorted({layer.tissue for layer in anatomy.layers} - {"air"})
    return {name: anatomy.fraction(name) for name in names}


def thick_slices(fractions: Mapping[str, FloatArray], thinner: int) -> dict[str, FloatArray]:
    r"""Average groups of slices: a slice of several millimetres sees all it cuts through.

    .. math:: F_k = \tfrac1n \sum_{i<n} f_{nk + i}

    Args:
        fractions: (I, J, n·K) per tissue.
        thinner: n.

    Returns:
        (I, J, K) per tissue.

    Raises:
        ValueError: if the slices cannot be divided into groups of n.
    """
    for name, fraction in fractions.items():
        if thinner < 1 or fraction.shape[2] % thinner:
            raise ValueError(
                f"{name}: expected a multiple of thinner = {thinner} slices, found "
                f"{fraction.shape[2]}; make the fine grid thinner times as many slices"
            )
    return {
        name: f.reshape(*f.shape[:2], -1, thinner).mean(axis=3, dtype=np.float32)
        for name, f in fractions.items()
    }


def anatomy_of(fractions: Mapping[str, FloatArray], grid: Grid) -> Anatomy:
    r"""Return coats of paint that leave exactly these fractions.

    Coat i covers what came before with

    .. math:: m_i = f_i / F_i, \qquad F_i = f_{air} + \sum_{j \le i} f_j, \qquad
              f_{air} = 1 - \sum_j f_j

    so that :math:`m_i \prod_{j>i} (1 - m_j) = f_i`, since :math:`1 - m_j = F_{j-1}/F_j`.

    Args:
        fractions: share per tissue, of the grid's shape; what they leave free is air.
        grid: theirs.

    Raises:
        ValueError: if they take more than a voxel.
    """
    total = np.zeros(grid.shape, np.float32)
    for fraction in fractions.values():
        total += fraction
    if float(total.max()) > 1.0 + 1e-4:
        raise ValueError(
            f"fractions: expected at most 1 in a voxel, found {float(total.max()):.3f}; "
            "take them from fractions_of"
        )
    so_far = np.maximum(1.0 - total, 0.0)
    layers = []
    for name, fraction in fractions.items():
        so_far = so_far + fraction
        # in a voxel with nothing so far there is nothing to cover, and nothing of this tissue
        member = np.divide(
            fraction, so_far, out=np.zeros_like(fraction), where=so_far > np.float32(1e-6)
        )
        layers.append(Layer(name, name, grid.everything, np.minimum(member, 1.0)))
    return Anatomy(grid, tuple(layers))
