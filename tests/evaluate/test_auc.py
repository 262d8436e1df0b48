"""AUC against scikit-learn, with weights and ties; intervals that redraw patients; pairing."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from medkd_lib.evaluate.auc import auc_difference, auc_table, weighted_auc
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
