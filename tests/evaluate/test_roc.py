"""ROC curves against scikit-learn, their areas against the AUCs, their bands against a loop."""

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from medkd_lib.evaluate.auc import auc_table
from medkd_lib.evaluate.classify import Predictions
from medkd_lib.evaluate.intervals import redrawn_patients
from medkd_lib.evaluate.roc import roc_curves, true_positive_rates

NAMES = ("well", "moderate", "poor")


def drawn(signal: float = 1.0, n: int = 90, seed: int = 0) -> Predictions:
    rng = np.random.default_rng(seed)
    labels = rng.choice(3, size=n, p=[0.4, 0.45, 0.15])
    z = rng.normal(0, 1, (n, 3))
    z[np.arange(n), labels] += signal
    return Predictions.from_logits(z, labels, tuple(f"p{i}" for i in range(n)))


@pytest.mark.parametrize("decimals", [8, 1], ids=["untied", "tied"])
def test_curves_are_scikit_learns_with_weights(decimals: int) -> None:
    rng = np.random.default_rng(1)
    p = drawn()
    scores, positive = np.round(p.probabilities[:, 0], decimals), p.labels == 0
    weights = rng.integers(1, 4, size=(4, 90)).astype(float)
    rates = rng.random(40)
    found = true_positive_rates(scores, positive, weights, rates)
    for row, w in zip(found, weights, strict=True):
        fpr, tpr, _ = roc_curve(positive, scores, sample_weight=w, drop_intermediate=False)
        np.testing.assert_allclose(row, np.interp(rates, fpr, tpr))


def test_four_cases_by_hand() -> None:
    scores = np.array([0.9, 0.8, 0.7, 0.6])
    positive = np.array([True, False, True, False])
    rates = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
    found = true_positive_rates(scores, positive, np.ones((1, 4)), rates)
    # one positive ahead of all; at half of the negatives the curve rises to its top
    np.testing.assert_allclose(found, [[0.5, 0.5, 1, 1, 1]])
    missing = true_positive_rates(scores, positive, np.array([[1.0, 0, 1, 0]]), rates)
    assert np.isnan(missing).all()


def test_areas_are_the_aucs() -> None:
    p = drawn(n=150)
    curves, table = roc_curves(p, NAMES, draws=100), auc_table(p, NAMES, draws=100)
    assert list(curves) == [*NAMES, "macro", "micro"]
    for name, curve in curves.items():
        assert curve.auc == table[name]
        area = np.trapezoid(curve.true_positive_rate, curve.false_positive_rate)
        # read at 501 rates, so steps are a little aslant
        assert area == pytest.approx(table[name].value, abs=2 / 501)
        assert (np.diff(curve.true_positive_rate) >= 0).all() and curve.true_positive_rate[-1] == 1
    mean = np.mean([curves[n].true_positive_rate for n in NAMES], axis=0)
    np.testing.assert_allclose(curves["macro"].true_positive_rate, mean)


def test_the_band_is_that_of_redrawn_patients() -> None:
    p = drawn(n=60)
    rates = np.array([0.1, 0.33, 0.6])
    curve = roc_curves(p, NAMES, rates=rates, draws=200)["well"]
    each = []
    for w in redrawn_patients(p.patients, draws=200):
        chosen = np.repeat(np.arange(60), w.astype(int))
        fpr, tpr, _ = roc_curve(
            p.labels[chosen] == 0, p.probabilities[chosen, 0], drop_intermediate=False
        )
        each.append(np.interp(rates, fpr, tpr))
    low, high = np.percentile(each, [2.5, 97.5], axis=0)
    np.testing.assert_allclose(curve.low, low)
    np.testing.assert_allclose(curve.high, high)
    assert (curve.low < curve.true_positive_rate).all()


def test_samples_without_a_rare_class_do_not_spoil_the_band() -> None:
    p = drawn(n=30)
    labels = np.where(p.labels == 2, 0, p.labels)
    labels[0] = 2
    curves = roc_curves(Predictions(p.probabilities, labels, p.patients), NAMES, draws=100)
    assert curves["poor"].auc.draws < 100
    assert all(np.isfinite(c.low).all() and np.isfinite(c.high).all() for c in curves.values())


def test_what_has_no_curve_is_refused() -> None:
    p = drawn(n=20)
    gone = Predictions(p.probabilities, np.where(p.labels == 2, 0, p.labels), p.patients)
    with pytest.raises(ValueError, match="poor has no case"):
        roc_curves(gone, NAMES, draws=10)
    for rates in (np.array([-0.1, 1.0]), np.array([]), np.zeros((2, 2))):
        with pytest.raises(ValueError, match="within 0…1"):
            roc_curves(p, NAMES, rates=rates, draws=10)
