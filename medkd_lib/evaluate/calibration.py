"""Temperature scaling: one number, fitted on validation logits, that makes probabilities honest."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

COLDEST, HOTTEST = 0.05, 20.0
"""Range of the search. Only a set without a mistake runs to its cold end."""


@dataclass(frozen=True)
class Temperature:
    """A fitted temperature.

    Attributes:
        value: T; above 1 the network was overconfident.
        before: mean negative log-likelihood of the fitted cases at T = 1.
        after: the same at T.
        at_edge: whether the search ended at its range's edge. There the cases do not determine T
            (all are classified right, or logits say nothing): report it, and do not calibrate.
    """

    value: float
    before: float
    after: float
    at_edge: bool


def fit_temperature(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> Temperature:
    r"""Fit the temperature of a classifier.

    $$T^* = \arg\min_T\ -\frac1N\sum_i \log \mathrm{softmax}(z_i / T)_{y_i}$$

    The loss is convex in 1/T, so a bounded search finds its one minimum. Dividing all logits by
    one number changes no class, no accuracy and no ranking within a case. Fit on validation cases
    only; apply as ``Predictions.from_logits(test_logits / T, ...)``.

    Shapes:
        logits: ``(N, C)``; labels: ``(N,)``.

    Raises:
        ValueError: shapes do not match, no case, a label without a logit, or logits not finite.

    Source: Guo et al. 2017, section 4.2.
    """
    z, y = np.asarray(logits, np.float64), np.asarray(labels)
    if z.ndim != 2 or y.shape != (len(z),) or len(z) == 0:
        raise ValueError(
            f"fit_temperature: expected logits (N, C) and labels (N,), found {z.shape} and "
            f"{y.shape}"
        )
    if y.min() < 0 or y.max() >= z.shape[1]:
        raise ValueError(
            f"fit_temperature: expected labels from 0 to {z.shape[1] - 1}, found {y.min()} to "
            f"{y.max()}"
        )
    if not np.isfinite(z).all():
        raise ValueError("fit_temperature: expected finite logits, found NaN or infinity")

    def loss(inverse: float) -> float:
        # −log softmax(z/T)_y = logsumexp(z/T) − z_y/T
        scaled = z * inverse
        return float((logsumexp(scaled, axis=1) - scaled[np.arange(len(y)), y]).mean())

    low, high = 1 / HOTTEST, 1 / COLDEST
    found = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-6})
    inside = float(found.x)
    # The search never tries the edges themselves; where the loss has run to 0 it is flat.
    inverse = min((low, high, inside), key=loss)
    return Temperature(1 / inverse, loss(1.0), loss(inverse), at_edge=inverse != inside)
