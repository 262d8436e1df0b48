import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import balanced_accuracy_score, f1_score, log_loss, roc_auc_score

from medkd_lib.evaluate.classify import (
    Predictions,
    accuracy,
    auc_macro,
    balanced_accuracy,
    expected_calibration_error,
    macro_f1,
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


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_recall_and_f1_against_scikit_learn(classes: int) -> None:
    p = drawn(classes, n=60)
    answers = p.probabilities.argmax(1)
    assert balanced_accuracy(p) == pytest.approx(balanced_accuracy_score(p.labels, answers))
    assert macro_f1(p) == pytest.approx(f1_score(p.labels, answers, average="macro"))


def test_classes_without_a_case_or_an_answer() -> None:
    """Class 2 is answered and never true, class 3 neither; class 1 is true and never answered."""
    answers, labels = np.array([0, 0, 2, 0]), np.array([0, 0, 0, 1])
    p = Predictions(np.eye(4)[answers], labels, ("a", "b", "c", "d"))
    assert balanced_accuracy(p) == pytest.approx((2 / 3 + 0) / 2)
    assert macro_f1(p) == pytest.approx((2 * 2 / (3 + 3) + 0 + 0) / 3)
    assert macro_f1(p) == pytest.approx(f1_score(labels, answers, average="macro"))


def test_the_commonest_answer_is_worth_no_more_than_chance() -> None:
    labels = np.array([0] * 90 + [1] * 5 + [2] * 5)
    p = Predictions(np.eye(3)[np.zeros(100, int)], labels, tuple(str(i) for i in range(100)))
    assert accuracy(p) == 0.9
    assert balanced_accuracy(p) == pytest.approx(1 / 3)
    assert macro_f1(p) < 1 / 3


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
    assert m["accuracy"] == m["balanced_accuracy"] == m["macro_f1"] == 1
    assert m["ece"] == pytest.approx(0) and m["nll"] == pytest.approx(0)
