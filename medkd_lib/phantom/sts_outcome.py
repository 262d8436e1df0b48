"""Who gets lung metastases: a coin whose weight the tumour's uptake sets, or does not."""

from __future__ import annotations

from functools import cache

import numpy as np

from medkd_lib.phantom.thigh_tumour import Difficulty, Tumour

PREVALENCE = 0.37
"""Lung metastasis in the public 51 patients (§3.3 R, 19 of 51)."""

SLOPE: dict[Difficulty, float] = {"clear": 4.0, "subtle": 1.4, "none": 0.0}
"""Change of the log odds per standard deviation of ln(uptake) (D)."""

LOG_UPTAKE = (2.04, 0.75)
"""Mean and SD of ln(uptake) over the virtual patients, to make it a standard score."""


def driver(tumour: Tumour) -> float:
    """Give the standard score of the tumour's FDG uptake; grade acts through it alone."""
    return (float(np.log(tumour.uptake)) - LOG_UPTAKE[0]) / LOG_UPTAKE[1]


@cache
def intercept(slope: float) -> float:
    r"""Log odds at an average uptake that give :data:`PREVALENCE` over standard normal drivers.

    Solves :math:`E[\sigma(b + s\,d)] = 0.37` for b by bisection.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(61)
    weights = weights / weights.sum()
    low, high = -20.0, 20.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        mean = float((weights / (1.0 + np.exp(-(middle + slope * nodes)))).sum())
        low, high = (middle, high) if mean < PREVALENCE else (low, middle)
    return 0.5 * (low + high)


def outcome(
    standard_uptake: float, difficulty: Difficulty, rng: np.random.Generator
) -> tuple[int, float]:
    r"""Draw the outcome, :math:`P = \sigma(b + s\,d)`.

    The coin is the same at every difficulty, only its weight differs; at ``none`` s is zero and
    nothing in the patient matters.

    Returns:
        Lung metastasis 0 or 1, and its probability.
    """
    slope = SLOPE[difficulty]
    probability = float(1.0 / (1.0 + np.exp(-(intercept(slope) + slope * standard_uptake))))
    return int(rng.random() < probability), probability
