"""One-against-rest AUC per class, macro and micro, with intervals that redraw patients."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medkd_lib.evaluate.classify import Predictions
from medkd_lib.evaluate.intervals import Floats, Interval, redrawn_patients


@dataclass(frozen=True)
class Auc:
    """An AUC, or a difference of two.

    Attributes:
        value: on the cases as they are.
        interval: 95 % percentile interval over redrawn patients.
        draws: samples in which it exists. A rare class is missing from some, which are left out.
    """

    value: float
    interval: Interval
    draws: int


def auc_table(
    p: Predictions, class_names: Sequence[str], *, draws: int = 2000, seed: int = 0
) -> dict[str, Auc]:
    r"""Return the AUC of every class by its name, then ``macro`` and ``micro``.

    Macro is the plain mean over classes, each as important as another. Micro ranks all N·C
    probabilities of all classes together; it follows the common classes and how the
    probabilities of different classes compare.

    Args:
        p: predictions of labelled cases.
        class_names: of the C columns.
        draws: bootstrap samples.
        seed: of the drawing.

    Raises:
        ValueError: names do not match, or a class without a case (or without any other case) has
            no AUC.
    """
    weights = redrawn_patients(p.patients, draws=draws, seed=seed)
    values, drawn = _all(p, class_names, weights)
    return _summary(class_names, values, drawn)


def auc_difference(
    arm: Predictions,
    rival: Predictions,
    class_names: Sequence[str],
    *,
    draws: int = 2000,
    seed: int = 0,
) -> dict[str, Auc]:
    """Return arm minus rival for every AUC of :func:`auc_table`, on the same redrawn patients.

    Two dose levels of one test set share their patients: their difference is far better known
    than two separate intervals suggest.

    Raises:
        ValueError: as :func:`auc_table`, or the cases differ.
    """
    if arm.patients != rival.patients or not np.array_equal(arm.labels, rival.labels):
        raise ValueError(
            "auc_difference: expected the same cases in the same order, found other patients or "
            "labels; a paired difference of other cases means nothing"
        )
    weights = redrawn_patients(arm.patients, draws=draws, seed=seed)
    values, drawn = _all(arm, class_names, weights)
    rival_values, rival_drawn = _all(rival, class_names, weights)
    return _summary(class_names, values - rival_values, drawn - rival_drawn)


def auc_of_cases(p: Predictions) -> Floats:
    r"""Return one number per case whose mean is the macro AUC, ``(N,)``.

    $$v_i = \frac1C\sum_c A_c + \frac{N}{n_{ic}}\,(P_{ic} - A_c)$$

    with the AUC A of class c against the rest, the placement P of case i (the share of the cases of
    the other kind that it is ranked rightly against), and the number n of cases of its own kind.
    They are the AUC's infinitesimal jackknife: their variance over N is DeLong's, so redrawing
    patients and paired contrasts work on them as on any mean.

    Raises:
        ValueError: a class without a case, or without any other case.

    Source: DeLong, DeLong & Clarke-Pearson 1988.
    """
    truth = p.labels[:, None] == np.arange(p.probabilities.shape[1])
    each = []
    for scores, positive in zip(p.probabilities.T, truth.T, strict=True):
        if positive.all() or not positive.any():
            raise ValueError(
                f"auc_of_cases: expected cases of every class, found {truth.sum(0).tolist()}"
            )
        yes, no = scores[positive], scores[~positive]
        ahead = (yes[:, None] > no) + 0.5 * (yes[:, None] == no)
        area, values = ahead.mean(), np.empty(len(scores))
        # A + N/n (P - A), n the cases of the same kind
        values[positive] = area + len(scores) / len(yes) * (ahead.mean(1) - area)
        values[~positive] = area + len(scores) / len(no) * (ahead.mean(0) - area)
        each.append(values)
    return np.asarray(np.mean(each, axis=0))


def _all(p: Predictions, class_names: Sequence[str], weights: Floats) -> tuple[Floats, Floats]:
    """AUCs ``(C + 2,)`` and redrawn ones ``(draws, C + 2)``."""
    classes = p.probabilities.shape[1]
    if len(class_names) != classes or {"macro", "micro"} & set(class_names):
        raise ValueError(
            f"auc: expected {classes} class names other than macro and micro, found "
            f"{list(class_names)}"
        )
    truth = p.labels[:, None] == np.arange(classes)
    lacking = [n for n, t in zip(class_names, truth.T, strict=True) if t.all() or not t.any()]
    if lacking:
        raise ValueError(
            f"auc: {', '.join(lacking)} has no case, or no other case, among {len(truth)}: its AUC "
            "does not exist; split stratified by class, or leave the class out and say so"
        )
    rows = np.concatenate([np.ones((1, len(truth))), weights])
    each = np.stack(
        [weighted_auc(p.probabilities[:, c], truth[:, c], rows) for c in range(classes)], 1
    )
    micro = weighted_auc(p.probabilities.ravel(), truth.ravel(), np.repeat(rows, classes, 1))
    table = np.concatenate([each, each.mean(1, keepdims=True), micro[:, None]], 1)
    return table[0], table[1:]


def _summary(class_names: Sequence[str], values: Floats, drawn: Floats) -> dict[str, Auc]:
    found = {}
    for name, value, column in zip((*class_names, "macro", "micro"), values, drawn.T, strict=True):
        there = column[np.isfinite(column)]
        low, high = np.percentile(there, [2.5, 97.5]) if len(there) else (np.nan, np.nan)
        found[name] = Auc(float(value), (float(low), float(high)), len(there))
    return found


def weighted_auc(scores: Floats, positive: NDArray[np.bool_], weights: Floats) -> Floats:
    r"""Return the AUC for each row of case weights; NaN where a row has one kind of case only.

    $$\frac{\sum_{i+}\sum_{j-} w_i w_j\,\big([s_i > s_j] + \tfrac12[s_i = s_j]\big)}
    {\sum_{i+} w_i\ \sum_{j-} w_j}$$

    Shapes:
        scores, positive: ``(N,)``; weights: ``(R, N)``; returns ``(R,)``.
    """
    order = np.argsort(scores, kind="stable")
    # Equal scores form one group: they win half against one another.
    starts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))
    yes = np.add.reduceat(np.where(positive, weights, 0.0)[:, order], starts, axis=1)
    no = np.add.reduceat(np.where(positive, 0.0, weights)[:, order], starts, axis=1)
    beaten = np.cumsum(no, axis=1) - 0.5 * no
    pairs = yes.sum(1) * no.sum(1)
    won = (yes * beaten).sum(1)
    return np.divide(won, pairs, out=np.full(len(weights), np.nan), where=pairs > 0)
