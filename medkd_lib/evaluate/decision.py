"""Decision curves: what acting on a probability is worth, threshold by threshold."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medkd_lib.evaluate.classify import Predictions
from medkd_lib.evaluate.intervals import Floats, redrawn_patients

THRESHOLDS = np.round(np.arange(0.01, 1.0, 0.01), 2)


@dataclass(frozen=True)
class DecisionCurve:
    """Net benefit over thresholds ``(T,)`` with its 95 % band; treating nobody is 0 everywhere.

    Attributes:
        thresholds: probability from which one acts.
        model: net benefit of acting on the probabilities.
        low, high: pointwise 95 % band over redrawn patients.
        treat_all: net benefit of acting on everybody.
    """

    thresholds: Floats
    model: Floats
    low: Floats
    high: Floats
    treat_all: Floats


def net_benefit(
    scores: Floats, positive: NDArray[np.bool_], thresholds: NDArray[np.floating]
) -> Floats:
    r"""Return the net benefit of acting on everybody whose score reaches the threshold.

    $$NB(p_t)=\frac{TP}{N}-\frac{FP}{N}\,\frac{p_t}{1-p_t}$$

    The odds of the threshold are the price of a false alarm in true findings: a threshold of 0.2
    says that four needless treatments are as bad as one patient missed.

    Raises:
        ValueError: thresholds outside 0 < p_t < 1, or scores that are no probabilities.

    Source: Vickers and Elkin 2006.
    """
    return np.asarray(_benefit_of_cases(scores, positive, thresholds).mean(0))


def _benefit_of_cases(
    scores: Floats, positive: NDArray[np.bool_], thresholds: NDArray[np.floating]
) -> Floats:
    """Return what each case adds ``(N, T)``; its mean over cases is the net benefit."""
    odds = _odds(thresholds)
    if len(scores) == 0 or not (np.min(scores) >= 0 and np.max(scores) <= 1):
        raise ValueError(
            "net_benefit: expected probabilities between 0 and 1; calibrate and apply softmax first"
        )
    # 1 for a true positive, −p_t/(1 − p_t) for a false one, 0 for a case not treated
    gain = np.where(positive[:, None], 1.0, -odds)
    return np.where(scores[:, None] >= thresholds, gain, 0.0)


def treat_all(prevalence: float, thresholds: NDArray[np.floating]) -> Floats:
    r"""Return the net benefit of treating everybody, $\pi-(1-\pi)\frac{p_t}{1-p_t}$."""
    return prevalence - (1.0 - prevalence) * _odds(thresholds)


def decision_curves(
    p: Predictions,
    class_names: Sequence[str],
    *,
    thresholds: NDArray[np.floating] = THRESHOLDS,
    draws: int = 2000,
    seed: int = 0,
) -> dict[str, DecisionCurve]:
    r"""Return a decision curve of each class against the rest, by name, and their mean ``macro``.

    The treat-all line of the macro average is $\frac1K-(1-\frac1K)\frac{p_t}{1-p_t}$ *whatever the
    data*, zero at 1/K: the prevalences of K classes add up to 1. Averaging removes the one thing a
    decision curve is about; and "treat" must name an action for a class before any curve means
    something. Probabilities must be calibrated first (`medkd_lib.evaluate.calibration`).

    Args:
        p: calibrated predictions.
        class_names: of the K columns.
        thresholds: ``(T,)``, between 0 and 1.
        draws: bootstrap samples of patients; the band is pointwise, and the same samples serve
            every class.
        seed: of the drawing.

    Raises:
        ValueError: names or thresholds do not fit, or a label that has no probability.
    """
    classes = p.probabilities.shape[1]
    if len(class_names) != classes or "macro" in class_names:
        raise ValueError(
            f"decision_curves: expected {classes} class names other than macro, found "
            f"{list(class_names)}"
        )
    if p.labels.min() < 0 or p.labels.max() >= classes:
        raise ValueError(
            f"decision_curves: expected labels from 0 to {classes - 1}, found "
            f"{p.labels.min()} to {p.labels.max()}"
        )
    weights = redrawn_patients(p.patients, draws=draws, seed=seed)
    weights /= weights.sum(1, keepdims=True)
    curves, each = {}, []
    for c, name in enumerate(class_names):
        positive = p.labels == c
        each.append(_benefit_of_cases(p.probabilities[:, c], positive, thresholds))
        everybody = treat_all(float(positive.mean()), thresholds)
        curves[name] = _curve(each[-1], weights, thresholds, everybody)
    # 1/K − (1 − 1/K) p_t/(1 − p_t), known before any patient is seen
    everybody = treat_all(1.0 / classes, thresholds)
    curves["macro"] = _curve(np.mean(each, axis=0), weights, thresholds, everybody)
    return curves


def _curve(
    of_cases: Floats, weights: Floats, thresholds: NDArray[np.floating], everybody: Floats
) -> DecisionCurve:
    low, high = np.percentile(weights @ of_cases, [2.5, 97.5], axis=0)
    at = np.asarray(thresholds, np.float64)
    return DecisionCurve(at, of_cases.mean(0), low, high, everybody)


def _odds(thresholds: NDArray[np.floating]) -> Floats:
    at = np.asarray(thresholds, np.float64)
    if at.ndim != 1 or at.size == 0 or not (at.min() > 0 and at.max() < 1):
        raise ValueError(
            f"thresholds: expected a row of values between 0 and 1, found {at.tolist()}; at 1 a "
            "false alarm costs infinitely much"
        )
    return np.asarray(at / (1.0 - at))
