"""Net benefit against another library, by hand, and the macro line that no data can move."""

import dcurves
import numpy as np
import pandas as pd
import pytest

from medkd_lib.evaluate.classify import Predictions
from medkd_lib.evaluate.decision import THRESHOLDS, decision_curves, net_benefit, treat_all
from medkd_lib.evaluate.intervals import patient_bootstrap

NAMES = ("well", "moderate", "poor")


def drawn(n: int = 150, shares: tuple[float, ...] = (0.35, 0.48, 0.17)) -> Predictions:
    rng = np.random.default_rng(0)
    labels = rng.choice(3, size=n, p=shares)
    z = rng.normal(0, 1, (n, 3))
    z[np.arange(n), labels] += 1
    return Predictions.from_logits(z, labels, tuple(f"p{i // 2}" for i in range(n)))


def test_every_class_agrees_with_dcurves() -> None:
    p = drawn()
    curves = decision_curves(p, NAMES, draws=10)
    for c, name in enumerate(NAMES):
        data = pd.DataFrame({"y": (p.labels == c).astype(int), "model": p.probabilities[:, c]})
        table = dcurves.dca(
            data=data, outcome="y", modelnames=["model"], thresholds=THRESHOLDS.tolist()
        )
        for column, ours in (("model", curves[name].model), ("all", curves[name].treat_all)):
            theirs = table[table.model == column].sort_values("threshold")
            np.testing.assert_allclose(theirs.threshold, curves[name].thresholds)
            np.testing.assert_allclose(ours, theirs.net_benefit, atol=1e-9)


def test_by_hand() -> None:
    scores, positive = np.array([0.9, 0.6, 0.5, 0.2]), np.array([True, False, True, False])
    found = net_benefit(scores, positive, np.array([0.1, 0.5, 0.55, 0.95]))
    expected = [2 / 4 - 2 / 4 * (0.1 / 0.9), 2 / 4 - 1 / 4, 1 / 4 - 1 / 4 * (0.55 / 0.45), 0.0]
    np.testing.assert_allclose(found, expected)
    # a score that equals the threshold is treated: 0.5 counts at 0.5
    below_everybody = net_benefit(scores, positive, np.array([0.15]))
    np.testing.assert_allclose(below_everybody, treat_all(0.5, np.array([0.15])))


@pytest.mark.parametrize("shares", [(0.35, 0.48, 0.17), (0.9, 0.05, 0.05)])
def test_treat_all_of_the_macro_average_knows_nothing_of_the_data(
    shares: tuple[float, ...],
) -> None:
    curves = decision_curves(drawn(shares=shares), NAMES, draws=10)
    odds = THRESHOLDS / (1 - THRESHOLDS)
    np.testing.assert_allclose(curves["macro"].treat_all, 1 / 3 - 2 / 3 * odds)
    each = np.mean([curves[n].treat_all for n in NAMES], axis=0)
    np.testing.assert_allclose(curves["macro"].treat_all, each, atol=1e-12)
    assert float(treat_all(1 / 3, np.array([1 / 3]))[0]) == pytest.approx(0.0)
    mean = np.mean([curves[n].model for n in NAMES], axis=0)
    np.testing.assert_allclose(curves["macro"].model, mean, atol=1e-12)


def test_the_band_redraws_patients() -> None:
    p = drawn()
    curve = decision_curves(p, NAMES, thresholds=np.array([0.2, 0.4]))["poor"]
    treated, positive = p.probabilities[:, 2] >= 0.4, p.labels == 2
    of_cases = treated * np.where(positive, 1.0, -0.4 / 0.6)
    expected = patient_bootstrap(of_cases, p.patients)
    np.testing.assert_allclose((curve.low[1], curve.high[1]), expected)
    assert (curve.low < curve.model).all() and (curve.model < curve.high).all()


def test_overconfident_probabilities_lose_benefit() -> None:
    """The same ranking, ten times as sure: worse than treating nobody at high thresholds."""
    rng = np.random.default_rng(5)
    risk = rng.random(4000)
    positive = rng.random(4000) < risk
    sure = 1 / (1 + ((1 - risk) / risk) ** 10)
    at = np.array([0.85])
    assert net_benefit(risk, positive, at)[0] > 0 > net_benefit(sure, positive, at)[0]


def test_wrong_input_is_refused() -> None:
    p = drawn(20)
    for at in ([0.0, 0.5], [0.5, 1.0], []):
        with pytest.raises(ValueError, match="between 0 and 1"):
            decision_curves(p, NAMES, thresholds=np.array(at))
    with pytest.raises(ValueError, match="softmax first"):
        net_benefit(np.array([2.0, -1.0]), np.array([True, False]), np.array([0.5]))
    with pytest.raises(ValueError, match="3 class names"):
        decision_curves(p, ("a", "b"))
    with pytest.raises(ValueError, match="labels from 0 to 2"):
        decision_curves(Predictions(p.probabilities, p.labels + 1, p.patients), NAMES)
