"""Intervals that respect patients, and paired contrasts over seeds with Holm's correction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
Interval = tuple[float, float]


def patient_bootstrap(
    values: NDArray[np.generic], patients: Sequence[str], *, draws: int = 2000, seed: int = 0
) -> Interval:
    """Return the 95 % percentile interval of the mean when whole patients are redrawn.

    Args:
        values: one number per case, for example 0/1 correct.
        patients: patient of each case; films of one patient are drawn together.
        draws: bootstrap samples.
        seed: of the drawing.
    """
    sums, counts = _per_patient(np.asarray(values, float)[None], patients)
    means = _redrawn_means(sums, counts, draws, np.random.default_rng(seed))
    return _percentiles(means)


def redrawn_patients(
    patients: Sequence[str], *, draws: int = 2000, seed: int = 0
) -> NDArray[np.float64]:
    """Return how often each case counts in each bootstrap sample of patients, ``(draws, N)``.

    For statistics that are no mean over cases, such as an AUC; for means
    :func:`patient_bootstrap` says the same with less memory. The same patients, draws and seed
    give the same samples, so two arms compared on them are paired.
    """
    _, place = np.unique(np.asarray(patients), return_inverse=True)
    return _patient_weights(int(place.max()) + 1, draws, np.random.default_rng(seed))[:, place]


Decision = Literal["better", "worse", "undecided"]


def decide(interval: Interval, p_adjusted: float) -> Decision:
    """Return the one decision rule of the course.

    ``better`` or ``worse`` needs both: a 95 % interval that leaves out zero, and an adjusted
    p-value below 0.05. Everything else is ``undecided``, which is not "no difference".
    """
    if p_adjusted >= 0.05 or interval[0] <= 0 <= interval[1]:
        return "undecided"
    return "better" if interval[0] > 0 else "worse"


@dataclass(frozen=True)
class Contrast:
    """Mean paired difference between two arms, with its interval and p-value."""

    name: str
    difference: float
    interval: Interval
    p: float
    seeds: int
    cases: int


def paired_contrast(
    name: str,
    arm: NDArray[np.generic],
    rival: NDArray[np.generic],
    patients: Sequence[str],
    *,
    draws: int = 4000,
    seed: int = 0,
) -> Contrast:
    """Compare two arms on the same cases and seeds.

    Shapes:
        arm, rival: ``(seeds, cases)``, for example 0/1 correct.

    The 95 % interval redraws seeds and patients, so it speaks of new trainings *and* new
    patients. The p-value is the paired t-test over seeds: it speaks of new trainings (and new
    divisions of the same pool) only, so on its own it is optimistic.

    Raises:
        ValueError: shapes differ, or fewer than two seeds.
    """
    a, b = np.asarray(arm, float), np.asarray(rival, float)
    if a.shape != b.shape or a.ndim != 2 or a.shape[1] != len(patients):
        raise ValueError(
            f"{name}: expected two (seeds, {len(patients)}) arrays, found {a.shape} and {b.shape}"
        )
    if len(a) < 2:
        raise ValueError(f"{name}: a contrast over seeds needs at least two, found {len(a)}")
    difference = a - b
    rng = np.random.default_rng(seed)
    sums, counts = _per_patient(difference, patients)
    chosen = rng.integers(len(a), size=(draws, len(a)))
    share = np.stack([np.bincount(row, minlength=len(a)) for row in chosen]) / len(a)
    means = _redrawn_means(share @ sums, counts, draws, rng)
    per_seed = difference.mean(1)
    if np.ptp(per_seed) < 1e-12:
        # No variance over seeds: the t-test is undefined; equal arms differ by nothing for sure.
        p = 0.0 if abs(per_seed[0]) > 1e-12 else 1.0
    else:
        p = float(stats.ttest_1samp(per_seed, 0).pvalue)
    return Contrast(name, float(difference.mean()), _percentiles(means), p, *a.shape)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return Holm-adjusted p-values (step-down; family-wise error).

    Source: Holm 1979. The k-th smallest of m p-values is multiplied by m - k + 1, kept rising.
    """
    ordered = sorted(p_values.items(), key=lambda item: item[1])
    adjusted, highest = {}, 0.0
    for rank, (name, p) in enumerate(ordered):
        highest = max(highest, min(1.0, p * (len(ordered) - rank)))
        adjusted[name] = highest
    return {name: adjusted[name] for name in p_values}


def class_weights(labels: Sequence[int] | NDArray[np.integer]) -> NDArray[np.float64]:
    r"""Return the weight of each case that turns accuracy into balanced accuracy.

    $$w_i = \frac{N}{C\,n_{y_i}},\qquad \frac1N\sum_i w_i\,[\hat y_i = y_i]
    = \frac1C\sum_c \mathrm{recall}_c$$
    """
    _, place, count = np.unique(labels, return_inverse=True, return_counts=True)
    return np.asarray(len(labels) / (len(count) * count[place]), np.float64)


def t_interval(values: Sequence[float]) -> Interval:
    """Return the 95 % t-interval of the mean over seeds (the value itself if there is one)."""
    v = np.asarray(values, float)
    if len(v) < 2:
        return float(v[0]), float(v[0])
    half = stats.t.ppf(0.975, len(v) - 1) * v.std(ddof=1) / np.sqrt(len(v))
    return float(v.mean() - half), float(v.mean() + half)


def _per_patient(values: Floats, patients: Sequence[str]) -> tuple[Floats, Floats]:
    """Return sums ``(rows, P)`` and case counts ``(P,)`` per patient."""
    _, place = np.unique(np.asarray(patients), return_inverse=True)
    counts = np.bincount(place).astype(float)
    sums = np.stack([np.bincount(place, weights=row) for row in values]).astype(np.float64)
    return sums, counts


def _redrawn_means(sums: Floats, counts: Floats, draws: int, rng: np.random.Generator) -> Floats:
    """Mean over cases in each of ``draws`` samples of patients; ``sums`` has 1 or draws rows."""
    weights = _patient_weights(len(counts), draws, rng)
    return np.asarray((weights * sums).sum(1) / (weights @ counts))


def _patient_weights(patients: int, draws: int, rng: np.random.Generator) -> Floats:
    """How often each of P patients is in each sample, ``(draws, P)``."""
    weights = rng.multinomial(patients, np.full(patients, 1 / patients), size=draws)
    return weights.astype(np.float64)


def _percentiles(means: Floats) -> Interval:
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)
