"""ROC curves per class, macro and micro, with bands that redraw patients."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medkd_lib.evaluate.auc import Auc, auc_table
from medkd_lib.evaluate.classify import Predictions
from medkd_lib.evaluate.intervals import Floats, redrawn_patients

# False positive rates at which curves are read.
RATES = np.linspace(0.0, 1.0, 501)


@dataclass(frozen=True)
class RocCurve:
    """A curve ``(T,)`` with its pointwise 95 % band over redrawn patients.

    Attributes:
        false_positive_rate: where it is read, from 0 to 1.
        true_positive_rate: the highest reached at that rate.
        low, high: the band.
        auc: area, with its interval from the same samples.
    """

    false_positive_rate: Floats
    true_positive_rate: Floats
    low: Floats
    high: Floats
    auc: Auc


def roc_curves(
    p: Predictions,
    class_names: Sequence[str],
    *,
    rates: Floats = RATES,
    draws: int = 2000,
    seed: int = 0,
) -> dict[str, RocCurve]:
    r"""Return the curve of every class against the rest, then ``macro`` and ``micro``.

    $$\mathrm{macro}(f) = \frac1C\sum_c \mathrm{TPR}_c(f)$$

    is the mean over classes at equal false positive rate: no threshold belongs to a point of it.
    Micro is the curve of all N·C probabilities ranked together, as in `auc_table`.

    Args:
        p: predictions of labelled cases.
        class_names: of the C columns.
        rates: ``(T,)``, false positive rates at which all curves are read.
        draws: bootstrap samples; where one lacks a class it is left out of that class's band.
        seed: of the drawing; the same samples as `auc_table`'s.

    Raises:
        ValueError: as `auc_table`, or rates outside 0…1.
    """
    if rates.ndim != 1 or not len(rates) or rates.min() < 0 or rates.max() > 1:
        raise ValueError(f"rates: expected a row of values within 0…1, found {rates}")
    areas = auc_table(p, class_names, draws=draws, seed=seed)
    classes = p.probabilities.shape[1]
    truth = p.labels[:, None] == np.arange(classes)
    once = np.ones((1, len(truth)))
    rows = np.concatenate([once, redrawn_patients(p.patients, draws=draws, seed=seed)])
    # (C, 1 + draws, T)
    each = np.stack(
        [
            true_positive_rates(p.probabilities[:, c], truth[:, c], rows, rates)
            for c in range(classes)
        ]
    )
    micro = true_positive_rates(
        p.probabilities.ravel(), truth.ravel(), np.repeat(rows, classes, axis=1), rates
    )
    # macro(f) = 1/C Σ_c TPR_c(f)
    everything = [*each, each.mean(axis=0), micro]
    return {
        name: _curve(rates, values, areas[name])
        for name, values in zip((*class_names, "macro", "micro"), everything, strict=True)
    }


def true_positive_rates(
    scores: Floats, positive: NDArray[np.bool_], weights: Floats, rates: Floats
) -> Floats:
    r"""Return for each row of case weights the curve at some false positive rates, ``(R, T)``.

    $$\mathrm{TPR}(t) = \frac{\sum_{i+} w_i[s_i \ge t]}{\sum_{i+} w_i},\qquad
    \mathrm{FPR}(t) = \frac{\sum_{j-} w_j[s_j \ge t]}{\sum_{j-} w_j}$$

    Cases of one score pass together: a straight piece of the curve. Where it rises on the spot its
    top is taken. NaN where a row has one kind of case only.

    Shapes:
        scores, positive: ``(N,)``; weights: ``(R, N)``; rates: ``(T,)``.
    """
    order = np.argsort(-scores, kind="stable")
    # Equal scores form one group.
    starts = np.flatnonzero(np.diff(scores[order], prepend=np.inf))
    out = np.full((len(weights), len(rates)), np.nan)
    for row, w in enumerate(weights[:, order]):
        yes = np.add.reduceat(np.where(positive[order], w, 0.0), starts).cumsum()
        no = np.add.reduceat(np.where(positive[order], 0.0, w), starts).cumsum()
        if yes[-1] > 0 and no[-1] > 0:
            # Of equal rates np.interp takes the last, which is the top.
            out[row] = np.interp(rates, np.append(0.0, no / no[-1]), np.append(0.0, yes / yes[-1]))
    return out


def _curve(rates: Floats, values: Floats, area: Auc) -> RocCurve:
    """Return a curve of ``(1 + draws, T)``, the first row being the cases as they are."""
    there = values[1:][np.isfinite(values[1:, 0])]
    low, high = np.percentile(there, [2.5, 97.5], axis=0) if len(there) else (values[0],) * 2
    return RocCurve(rates, values[0], low, high, area)
