import numpy as np
import pytest
from scipy import stats
from sklearn.utils import resample

from medkd_lib.evaluate.intervals import (
    Contrast,
    decide,
    holm,
    paired_contrast,
    patient_bootstrap,
    t_interval,
)


def test_single_film_patients_match_the_ordinary_bootstrap() -> None:
    values = np.random.default_rng(0).random(80) < 0.7
    low, high = patient_bootstrap(values, [str(i) for i in range(80)])
    plain = [resample(values, random_state=i).mean() for i in range(2000)]
    np.testing.assert_allclose([low, high], np.percentile(plain, [2.5, 97.5]), atol=0.02)


def test_films_of_one_patient_widen_the_interval() -> None:
    rng = np.random.default_rng(1)
    per_patient = rng.random(30) < 0.6
    values, patients = np.repeat(per_patient, 4), np.repeat(np.arange(30).astype(str), 4)
    grouped = patient_bootstrap(values, patients.tolist())
    single = patient_bootstrap(values, [str(i) for i in range(120)])
    assert grouped[1] - grouped[0] > 1.5 * (single[1] - single[0])


def test_the_paired_contrast_finds_a_planted_difference_and_its_sign() -> None:
    rng = np.random.default_rng(2)
    rival = rng.random((6, 200)) < 0.6
    arm = rival | (rng.random((6, 200)) < 0.3)
    patients = [str(i) for i in range(200)]
    better = paired_contrast("x", arm, rival, patients)
    worse = paired_contrast("x", rival, arm, patients)
    assert decide(better.interval, better.p) == "better"
    assert decide(worse.interval, worse.p) == "worse"
    assert better.difference == pytest.approx(-worse.difference)
    per_seed = arm.mean(1) - rival.mean(1)
    assert better.p == pytest.approx(stats.ttest_rel(arm.mean(1), rival.mean(1)).pvalue)
    assert better.difference == pytest.approx(per_seed.mean())


def test_no_difference_is_undecided_at_about_the_nominal_rate() -> None:
    rng = np.random.default_rng(3)
    patients = [str(i) for i in range(100)]
    decided = 0
    for trial in range(60):
        a, b = rng.random((2, 6, 100)) < 0.6
        decided += _leaves_out_zero(paired_contrast("x", a, b, patients, draws=400, seed=trial))
    assert decided <= 6  # 5 % nominal; more would mean the interval is too narrow


def test_equal_arms_have_p_one() -> None:
    a = np.ones((3, 4))
    assert paired_contrast("x", a, a, list("abcd")).p == 1
    assert paired_contrast("x", a, 0 * a, list("abcd")).p == 0


def _leaves_out_zero(contrast: Contrast) -> bool:
    return not contrast.interval[0] <= 0 <= contrast.interval[1]


def test_a_contrast_refuses_one_seed_and_wrong_shapes() -> None:
    with pytest.raises(ValueError, match="at least two"):
        paired_contrast("x", np.ones((1, 4)), np.ones((1, 4)), list("abcd"))
    with pytest.raises(ValueError, match="arrays"):
        paired_contrast("x", np.ones((2, 4)), np.ones((2, 3)), list("abcd"))


def test_holm_by_hand() -> None:
    adjusted = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert adjusted == pytest.approx({"d": 0.02, "a": 0.03, "c": 0.06, "b": 0.06})
    assert list(adjusted) == ["a", "b", "c", "d"]


def test_t_interval_is_scipys() -> None:
    values = [0.61, 0.66, 0.70, 0.64]
    expected = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    assert t_interval(values) == pytest.approx(expected)
    assert t_interval([0.5]) == (0.5, 0.5)
