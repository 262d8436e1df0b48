import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss, roc_auc_score

from medkd_lib.evaluate.classify import (
    Predictions,
    accuracy,
    auc_macro,
    expected_calibration_error,
    measures,
    negative_log_likelihood,
    reliability,
)


def drawn(classes: int = 3, n: int = 400) -> Predictions:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1.5, (n, classes))
    labels = rng.integers(classes, size=n)
    logits[np.arange(n), labels] += 1
    return Predictions.from_logits(logits, labels, tuple(f"p{i // 2}" for i in range(n)))


def test_against_scikit_learn() -> None:
    p = drawn()
    assert negative_log_likelihood(p) == pytest.approx(log_loss(p.labels, p.probabilities))
    expected = roc_auc_score(p.labels, p.probabilities, multi_class="ovr")
    assert auc_macro(p) == pytest.approx(expected)
    two = drawn(2)
    assert auc_macro(two) == pytest.approx(roc_auc_score(two.labels, two.probabilities[:, 1]))


def test_reliability_agrees_with_scikit_learns_curve() -> None:
    p = drawn(2)
    r = reliability(p, bins=10)
    truth, predicted = calibration_curve(p.correct, p.probabilities.max(1), n_bins=10)
    np.testing.assert_allclose(r.accuracy, truth)
    np.testing.assert_allclose(r.confidence, predicted)
    assert r.count.sum() == len(p.labels)


def test_ece_by_hand() -> None:
    # Two bins: 0.9 sure and always right, 0.6 sure and right half the time.
    probabilities = np.array([[0.9, 0.1]] * 2 + [[0.6, 0.4]] * 2)
    p = Predictions(probabilities, np.array([0, 0, 0, 1]), ("a", "b", "c", "d"))
    assert expected_calibration_error(p) == pytest.approx(0.5 * 0.1 + 0.5 * 0.1)
    assert accuracy(p) == 0.75


def test_certain_and_right_is_perfect() -> None:
    p = Predictions.from_logits(100 * np.eye(3), np.arange(3), ("a", "b", "c"))
    m = measures(p)
    assert m["accuracy"] == 1 and m["ece"] == pytest.approx(0) and m["nll"] == pytest.approx(0)
