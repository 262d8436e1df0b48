"""AUC against scikit-learn, with weights and ties; intervals that redraw patients; pairing."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from medkd_lib.evaluate.auc import auc_difference, auc_of_cases, auc_table, weighted_auc
from medkd_lib.evaluate.classify import Predictions, auc_macro
from medkd_lib.evaluate.intervals import patient_bootstrap, redrawn_patients

NAMES = ("well", "moderate", "poor")


def drawn(signal: float = 1.0, n: int = 120, seed: int = 0, per_patient: int = 1) -> Predictions:
    rng = np.random.default_rng(seed)
    labels = rng.choice(3, size=n, p=[0.4, 0.45, 0.15])
    z = rng.normal(0, 1, (n, 3))
    z[np.arange(n), labels] += signal
    return Predictions.from_logits(z, labels, tuple(f"p{i // per_patient}" for i in range(n)))


def test_values_are_scikit_learns() -> None:
    p = drawn()
    table = auc_table(p, NAMES, draws=50)
    assert list(table) == [*NAMES, "macro", "micro"]
    for c, name in enumerate(NAMES):
        expected = roc_auc_score(p.labels == c, p.probabilities[:, c])
        assert table[name].value == pytest.approx(expected)
    assert table["macro"].value == pytest.approx(auc_macro(p))
    one_hot = np.eye(3)[p.labels]
    micro = roc_auc_score(one_hot, p.probabilities, average="micro")
    assert table["micro"].value == pytest.approx(micro)
    assert all(t.interval[0] < t.value < t.interval[1] for t in table.values())


def test_weights_and_ties_are_scikit_learns() -> None:
    rng = np.random.default_rng(1)
    scores = rng.integers(6, size=80) / 5.0  # many ties
    positive = rng.random(80) < 0.4
    weights = rng.integers(4, size=(5, 80)).astype(float)
    expected = [roc_auc_score(positive, scores, sample_weight=w) for w in weights]
    np.testing.assert_allclose(weighted_auc(scores, positive, weights), expected)
    assert weighted_auc(np.full(4, 0.5), np.array([1, 1, 0, 0], bool), np.ones((1, 4))) == 0.5


def test_intervals_cover_and_films_of_one_patient_widen_them() -> None:
    single = auc_table(drawn(n=400), NAMES)["macro"]
    p = drawn(n=100)
    films = Predictions(
        np.repeat(p.probabilities, 4, 0), np.repeat(p.labels, 4),
        tuple(np.repeat(np.array(p.patients), 4).tolist()),
    )  # fmt: skip
    grouped = auc_table(films, NAMES)["macro"]
    width = [a.interval[1] - a.interval[0] for a in (single, grouped)]
    assert width[1] > 1.5 * width[0]
    truth = auc_table(drawn(n=20_000, seed=9), NAMES, draws=2)["macro"].value
    inside = 0
    for seed in range(30):
        low, high = auc_table(drawn(n=200, seed=seed), NAMES, draws=300)["macro"].interval
        inside += low <= truth <= high
    assert inside >= 25  # 95 % nominal


def test_samples_without_a_rare_class_are_left_out_and_counted() -> None:
    p = drawn(n=40)
    labels = np.where(p.labels == 2, 0, p.labels)
    labels[:2] = 2
    table = auc_table(Predictions(p.probabilities, labels, p.patients), NAMES, draws=500)
    # a pair of patients is missing from a sample of n patients with probability (1 − 2/n)^n
    assert table["poor"].draws == pytest.approx(500 * (1 - (1 - 2 / 40) ** 40), abs=25)
    assert table["macro"].draws == table["poor"].draws
    assert table["well"].draws == table["micro"].draws == 500
    assert np.isfinite(table["poor"].interval).all()


def test_a_paired_difference_is_better_known_than_two_intervals() -> None:
    full = drawn(n=200)
    rng = np.random.default_rng(3)
    z = np.log(full.probabilities) + rng.normal(0, 0.6, full.probabilities.shape)
    low = Predictions.from_logits(z, full.labels, full.patients)
    difference = auc_difference(low, full, NAMES)["macro"]
    one = auc_table(full, NAMES)["macro"]
    assert difference.value == pytest.approx(auc_macro(low) - auc_macro(full))
    assert difference.value < 0 and difference.interval[0] < difference.value
    assert np.diff(difference.interval)[0] < 0.8 * np.diff(one.interval)[0]
    same = auc_difference(full, full, NAMES)
    assert all(d.value == 0 and d.interval == (0, 0) for d in same.values())


def test_the_samples_are_those_of_the_bootstrap_of_means() -> None:
    values = np.random.default_rng(0).random(60)
    patients = [str(i // 2) for i in range(60)]
    w = redrawn_patients(patients)
    means = (w @ values) / w.sum(1)
    expected = patient_bootstrap(values, patients)
    np.testing.assert_allclose(np.percentile(means, [2.5, 97.5]), expected)


def test_what_has_no_auc_is_refused() -> None:
    p = drawn(n=20)
    gone = Predictions(p.probabilities, np.where(p.labels == 2, 0, p.labels), p.patients)
    with pytest.raises(ValueError, match="poor has no case"):
        auc_table(gone, NAMES)
    with pytest.raises(ValueError, match="3 class names"):
        auc_table(p, ("a", "b"))
    with pytest.raises(ValueError, match="other than macro"):
        auc_table(p, ("a", "b", "macro"))
    with pytest.raises(ValueError, match="same cases"):
        auc_difference(p, drawn(n=20, seed=1), NAMES)


def delong_variance(p: Predictions) -> float:
    """Return the variance of the macro AUC, from placements and covariances over classes.

    With V10 (of the positive, ``(n+,)``) and V01 (of the negative): for one class the variance is
    var(V10) / n+ + var(V01) / n-; cases of one class are negatives of the others, so that of a mean
    over classes is written as a sum over cases of what each brings to all of them.
    """
    n, classes = p.probabilities.shape
    brought = np.zeros(n)
    for c in range(classes):
        yes = [i for i in range(n) if p.labels[i] == c]
        no = [i for i in range(n) if p.labels[i] != c]
        kernel = np.array(
            [
                [
                    1.0 if p.probabilities[i, c] > p.probabilities[j, c]
                    else 0.5 if p.probabilities[i, c] == p.probabilities[j, c] else 0.0
                    for j in no
                ]
                for i in yes
            ]
        )  # fmt: skip
        area = kernel.mean()
        for row, i in enumerate(yes):
            brought[i] += (kernel[row].mean() - area) / len(yes) / classes
        for column, j in enumerate(no):
            brought[j] += (kernel[:, column].mean() - area) / len(no) / classes
    return float((brought**2).sum())


def with_ties(seed: int = 0) -> Predictions:
    p = drawn(n=60, seed=seed)
    return Predictions(np.round(p.probabilities, 1), p.labels, p.patients)


@pytest.mark.parametrize("p", [drawn(), drawn(n=40, seed=4), with_ties()], ids=["n", "few", "ties"])
def test_the_mean_over_cases_is_the_macro_auc_and_their_variance_delongs(p: Predictions) -> None:
    values = auc_of_cases(p)
    table = auc_table(p, NAMES, draws=2)
    assert values.mean() == pytest.approx(table["macro"].value, abs=1e-12)
    assert values.shape == (len(p.labels),)
    assert values.var() / len(values) == pytest.approx(delong_variance(p), rel=1e-10)


def test_two_classes_of_which_one_is_the_other_have_delongs_textbook_variance() -> None:
    rng = np.random.default_rng(2)
    labels = np.repeat([0, 1], [30, 50])
    p = Predictions.from_logits(
        rng.normal(0, 1, (80, 2)) + np.eye(2)[labels], labels, tuple(map(str, range(80)))
    )
    yes, no = p.probabilities[labels == 1, 1], p.probabilities[labels == 0, 1]
    ahead = yes[:, None] > no
    # DeLong et al. 1988 divide by n - 1; the jackknife by n
    delong = np.var(ahead.mean(1), ddof=1) / 50 + np.var(ahead.mean(0), ddof=1) / 30
    mine = np.var(ahead.mean(1)) / 50 + np.var(ahead.mean(0)) / 30
    values = auc_of_cases(p)
    # one class against the rest is the other against the rest: their mean is either
    assert values.var() / 80 == pytest.approx(mine) == pytest.approx(delong, rel=0.04)


def test_redrawing_cases_gives_the_interval_of_redrawing_aucs() -> None:
    p = drawn(n=300)
    by_cases = patient_bootstrap(auc_of_cases(p), p.patients)
    by_aucs = auc_table(p, NAMES)["macro"].interval
    np.testing.assert_allclose(by_cases, by_aucs, atol=0.006)


def test_cases_that_all_tie_have_no_opinion() -> None:
    p = drawn(n=30)
    even = Predictions(np.full((30, 3), 1 / 3), p.labels, p.patients)
    np.testing.assert_allclose(auc_of_cases(even), 0.5)


def test_cases_of_a_missing_class_have_no_auc() -> None:
    p = drawn(n=20)
    gone = Predictions(p.probabilities, np.where(p.labels == 2, 0, p.labels), p.patients)
    with pytest.raises(ValueError, match=r"cases of every class, found \[\d+, \d+, 0\]"):
        auc_of_cases(gone)
    alone = Predictions(p.probabilities, np.full(20, 1), p.patients)
    with pytest.raises(ValueError, match=r"found \[0, 20, 0\]"):
        auc_of_cases(alone)
