"""The temperature that was planted is found; what it must not change does not change."""

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from medkd_lib.evaluate.calibration import COLDEST, HOTTEST, fit_temperature
from medkd_lib.evaluate.classify import (
    Predictions,
    accuracy,
    class_reliability,
    classwise_calibration_error,
    expected_calibration_error,
    negative_log_likelihood,
)

PATIENTS = tuple(str(i) for i in range(4000))


def planted(temperature: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits of which softmax(z / temperature) is the truth."""
    rng = np.random.default_rng(seed)
    z = rng.normal(0, 1.5, (4000, 3))
    p = Predictions.from_logits(z, np.zeros(4000, int), PATIENTS).probabilities
    labels = (rng.random((4000, 1)) > p.cumsum(1)).sum(1)
    return z * temperature, labels


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_a_planted_temperature_is_found_and_makes_probabilities_honest(temperature: float) -> None:
    z, labels = planted(temperature)
    found = fit_temperature(z, labels)
    assert found.value == pytest.approx(temperature, rel=0.06) and not found.at_edge
    test_z, test_labels = planted(temperature, seed=1)
    before = Predictions.from_logits(test_z, test_labels, PATIENTS)
    after = Predictions.from_logits(test_z / found.value, test_labels, PATIENTS)
    assert accuracy(before) == accuracy(after)
    assert expected_calibration_error(after) < 0.025 and classwise_calibration_error(after) < 0.03
    if temperature != 1.0:
        assert expected_calibration_error(before) > 0.07
        assert classwise_calibration_error(before) > 0.05
    fitted = Predictions.from_logits(z / found.value, labels, PATIENTS)
    assert found.after == pytest.approx(negative_log_likelihood(fitted), rel=1e-6)
    assert found.after <= found.before


def test_no_other_temperature_is_better() -> None:
    z, labels = planted(2.0)
    found = fit_temperature(z, labels)
    grid = [
        negative_log_likelihood(Predictions.from_logits(z / t, labels, PATIENTS))
        for t in np.geomspace(0.2, 10, 60)
    ]
    assert found.after <= min(grid) + 1e-9


def test_cases_that_do_not_determine_it_say_so() -> None:
    cold = fit_temperature(3.0 * np.eye(3), np.arange(3))
    assert cold.at_edge and cold.value == pytest.approx(COLDEST)
    hot = fit_temperature(np.eye(3), np.array([1, 2, 0]))
    assert hot.at_edge and hot.value == pytest.approx(HOTTEST)


def test_reliability_of_a_class_is_scikit_learns_curve() -> None:
    z, labels = planted(2.0)
    p = Predictions.from_logits(z, labels, PATIENTS)
    r = class_reliability(p, 1, bins=10)
    truth, predicted = calibration_curve(labels == 1, p.probabilities[:, 1], n_bins=10)
    np.testing.assert_allclose(r.accuracy, truth)
    np.testing.assert_allclose(r.confidence, predicted)
    assert r.count.sum() == len(labels)


def test_an_honest_top_hides_a_dishonest_class() -> None:
    """Class 2 is said with 0.3 to all and never true; the top class is as right as it says."""
    p = Predictions(np.tile([0.6, 0.1, 0.3], (10, 1)), np.array([0] * 6 + [1] * 4), PATIENTS[:10])
    assert expected_calibration_error(p) == pytest.approx(0.0)
    assert classwise_calibration_error(p) == pytest.approx((0.0 + 0.3 + 0.3) / 3)


def test_wrong_input_is_refused() -> None:
    for z, y, words in (
        (np.zeros((3, 2)), np.zeros(2, int), "labels"),
        (np.zeros((0, 2)), np.zeros(0, int), "logits"),
        (np.zeros((3, 2)), np.array([0, 1, 2]), "from 0 to 1"),
        (np.full((1, 2), np.nan), np.zeros(1, int), "finite"),
    ):
        with pytest.raises(ValueError, match=words):
            fit_temperature(z, y)
