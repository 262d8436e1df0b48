"""Signed ranks by hand and by scipy; patients, ties, zeros and what is left out."""

import numpy as np
import pytest
from scipy import stats

from medkd_lib.evaluate.wilcoxon import per_patient, signed_rank


def names(n: int) -> list[str]:
    return [f"p{i}" for i in range(n)]


def test_by_hand() -> None:
    # ranks of 1, 2, 3, 4, 5 with one negative: W+ = 13, W- = 2; P(W- <= 2) = 3/32
    difference = np.array([1.0, -2.0, 3.0, 4.0, 5.0])
    found = signed_rank(difference, 0 * difference, names(5))
    assert found.effect == pytest.approx((13 - 2) / 15) and found.p == pytest.approx(6 / 32)
    assert (found.median, found.nonzero, found.patients) == (3, 5, 5)
    turned = signed_rank(0 * difference, difference, names(5))
    assert (turned.effect, turned.p, turned.median) == (-found.effect, found.p, -3)


def test_all_on_one_side_is_an_effect_of_one_however_small() -> None:
    found = signed_rank(np.full(6, 0.5) + 1e-4 * np.arange(1, 7), np.full(6, 0.5), names(6))
    assert found.effect == 1 and found.p == pytest.approx(2 / 2**6)
    assert found.median == pytest.approx(3.5e-4)


@pytest.mark.parametrize("n", [12, 30, 80])
def test_scipy_agrees(n: int) -> None:
    rng = np.random.default_rng(n)
    arm, rival = rng.random(n) + 0.1, rng.random(n)
    found = signed_rank(arm, rival, names(n))
    expected = stats.wilcoxon(arm, rival)
    assert found.p == pytest.approx(expected.pvalue)
    # scipy gives the smaller sum of ranks: |r| = 1 - 2 W / (n (n + 1) / 2)
    assert abs(found.effect) == pytest.approx(1 - 4 * expected.statistic / (n * (n + 1)))


def test_zeros_are_counted_and_left_out() -> None:
    arm = np.array([0.1, 0.2, 0.3, 0.0, 0.0, 0.0, 0.0])
    found = signed_rank(arm, 0 * arm, names(7))
    assert (found.nonzero, found.patients, found.median) == (3, 7, 0)
    assert found.p == signed_rank(arm[:3], 0 * arm[:3], names(3)).p == 0.25
    same = signed_rank(arm, arm, names(7))
    assert same.p == 1 and np.isnan(same.effect) and (same.nonzero, same.median) == (0, 0)


def test_rounding_breaks_no_ties() -> None:
    # three differences of 0.1, one of them negative; in binary no two are equal
    arm, rival = np.array([0.3, 0.2, 0.7, 0.9]), np.array([0.2, 0.1, 0.8, 0.9 - 0.25])
    assert len({*np.abs(arm - rival).tolist()}) == 4
    found = signed_rank(arm, rival, names(4))
    assert found.effect == pytest.approx((2 + 2 + 4 - 2) / 10)


def test_cases_of_a_patient_are_one_observation() -> None:
    arm, rival = np.array([1.0, 3.0, 5.0, 2.0]), np.zeros(4)
    patients = ["b", "a", "b", "c"]
    found = signed_rank(arm, rival, patients)
    alone = signed_rank(np.array([3.0, 3.0, 2.0]), np.zeros(3), names(3))
    assert found == alone and found.patients == 3
    means = per_patient(arm, patients)
    assert means.to_dict() == {"b": 3, "a": 3, "c": 2} and [*means.index] == ["b", "a", "c"]


def test_copied_cases_buy_no_significance() -> None:
    rng = np.random.default_rng(0)
    arm, rival = rng.random(10) + 0.2, rng.random(10)
    once = signed_rank(arm, rival, names(10))
    often = signed_rank(np.repeat(arm, 8), np.repeat(rival, 8), np.repeat(names(10), 8).tolist())
    assert often.p == pytest.approx(once.p) and often.effect == pytest.approx(once.effect)


def test_cases_without_truth_are_left_out_in_both_arms() -> None:
    arm, rival = np.array([1.0, np.nan, 3.0]), np.array([0.0, np.nan, 0.0])
    assert signed_rank(arm, rival, ["a", "a", "b"]).patients == 2
    assert signed_rank(arm, rival, ["a", "c", "b"]).patients == 2
    assert np.isnan(per_patient(arm, ["a", "c", "b"])["c"])
    with pytest.raises(ValueError, match=r"found nan and 1.0 for a case of patient c"):
        signed_rank(arm, np.ones(3), ["a", "c", "b"])
    with pytest.raises(ValueError, match="at least one case with a value"):
        signed_rank(arm[1:2], arm[1:2], ["a"])


def test_no_difference_is_found_at_about_the_nominal_rate() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.random((2, 200, 20))
    below = [signed_rank(x, y, names(20)).p < 0.05 for x, y in zip(a, b, strict=True)]
    assert 0 < sum(below) <= 18  # 10 expected; above 18 has probability 0.6 %


def test_shapes_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match=r"found \(3, 4\) and \(3, 4\); average over seeds first"):
        signed_rank(np.ones((3, 4)), np.ones((3, 4)), names(4))
    with pytest.raises(ValueError, match=r"two \(4,\) arrays"):
        signed_rank(np.ones(4), np.ones(3), names(4))
    with pytest.raises(ValueError, match=r"expected \(4,\) values, found \(3,\)"):
        per_patient(np.ones(3), names(4))
