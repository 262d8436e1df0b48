"""Wilcoxon's signed-rank test on patients, with an effect size that says how one-sided it was."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

# differences closer than this are ties: 0.3 - 0.2 and 0.2 - 0.1 differ by rounding alone
TIE_DECIMALS = 12


@dataclass(frozen=True)
class SignedRank:
    """One paired comparison of patients.

    Attributes:
        p: two-sided.
        effect: matched-pairs rank-biserial correlation, -1…1, positive if the arm is higher; NaN if
            all differences are zero.
        median: of the patients' differences, zeros among them.
        nonzero: patients whose difference is not zero, on which ``p`` and ``effect`` rest.
        patients: all of them.
    """

    p: float
    effect: float
    median: float
    nonzero: int
    patients: int


def per_patient(values: NDArray[np.generic], patients: Sequence[str]) -> pd.Series:
    """Return the mean of each patient's values, in the order of their first cases.

    NaN (a case without truth, which has no Dice) is left out; a patient of nothing but NaN is NaN.

    Raises:
        ValueError: not one value per entry of ``patients``.
    """
    numbers = np.asarray(values, float)
    if numbers.shape != (len(patients),):
        raise ValueError(
            f"per_patient: expected ({len(patients)},) values, found {numbers.shape}; average over "
            "seeds first"
        )
    names = pd.Index(patients, name="patient")
    return pd.Series(numbers, index=names).groupby(level=0, sort=False).mean()


def signed_rank(
    arm: NDArray[np.generic], rival: NDArray[np.generic], patients: Sequence[str]
) -> SignedRank:
    r"""Compare two arms on the same cases, one difference per patient.

    With the ranks of the absolute differences that are not zero (ties share their mean rank), and
    $W_+$ and $W_-$ the sums of the ranks of positive and negative differences,

    $$r = \frac{W_+-W_-}{W_++W_-}.$$

    The cases of a patient are averaged first: they are no independent observations. What the
    p-value speaks of is new patients for *these* trained networks; for new trainings use
    `medkd_lib.evaluate.intervals.paired_contrast` over seeds. The effect says how consistently
    one arm is ahead, not by how much: +1 is reached by 0.001 in every patient, so it stands beside
    ``median`` and never instead of it.

    Args:
        arm: ``(cases,)``, for example Dice, averaged over seeds.
        rival: likewise.
        patients: of each case.

    Raises:
        ValueError: shapes that do not fit, a case that is NaN in one arm only, or no case left.

    Source: Wilcoxon 1945; the effect of Kerby 2014 (simple difference formula). p by scipy's
    ``wilcoxon``: zero differences are dropped; exact for up to 50 patients without ties, by
    permutations for up to 13 with ties, and by the normal approximation beyond. With no difference
    at all p is 1 (scipy: NaN). Differences are rounded to 12 decimals, because rounding errors
    would break ties.
    """
    a, b = np.asarray(arm, float), np.asarray(rival, float)
    if a.shape != (len(patients),) or b.shape != a.shape:
        raise ValueError(
            f"signed_rank: expected two ({len(patients)},) arrays, one value per case, found "
            f"{a.shape} and {b.shape}; average over seeds first"
        )
    alone = np.flatnonzero(np.isnan(a) != np.isnan(b))
    if len(alone):
        raise ValueError(
            f"signed_rank: expected a value in both arms or in none, found {a[alone[0]]} and "
            f"{b[alone[0]]} for a case of patient {patients[alone[0]]}; leave cases out by their "
            "truth alone"
        )
    differences = np.round(per_patient(a - b, patients).dropna().to_numpy(), TIE_DECIMALS)
    if not len(differences):
        raise ValueError("signed_rank: expected at least one case with a value, found none")
    moved = differences[differences != 0]
    if not len(moved):
        return SignedRank(1.0, np.nan, 0.0, 0, len(differences))
    ranks = stats.rankdata(np.abs(moved))
    # r = (W+ - W-) / (W+ + W-)
    effect = float((np.sign(moved) * ranks).sum() / ranks.sum())
    p = float(stats.wilcoxon(moved, alternative="two-sided", zero_method="wilcox").pvalue)
    return SignedRank(p, effect, float(np.median(differences)), len(moved), len(differences))
