"""Decision curves as drawn: every class and the average, honest limits, comparable arms."""

import matplotlib as mpl
import numpy as np
import pytest

from medkd_lib.evaluate.classify import Predictions
from medkd_lib.evaluate.decision import DecisionCurve, decision_curves
from medkd_lib.show.decision import decision_figure

mpl.use("agg")
NAMES = ("well", "poor")


def curves(seed: int = 0, labels_seed: int = 7) -> dict[str, DecisionCurve]:
    labels = np.random.default_rng(labels_seed).integers(2, size=60)
    z = np.random.default_rng(seed).normal(0, 1, (60, 2))
    z[np.arange(60), labels] += 1
    p = Predictions.from_logits(z, labels, tuple(str(i) for i in range(60)))
    return decision_curves(p, NAMES, draws=50)


def test_a_panel_per_class_and_the_average_with_both_references() -> None:
    arms = {"alone": curves(0), "distilled": curves(1)}
    figure = decision_figure(arms)
    assert [a.get_title(loc="left") for a in figure.axes] == ["well", "poor", "macro average"]
    for axis, panel in zip(figure.axes, (*NAMES, "macro"), strict=True):
        alone, distilled, everybody, nobody = axis.lines
        np.testing.assert_array_equal(alone.get_ydata(), arms["alone"][panel].model)
        np.testing.assert_array_equal(distilled.get_ydata(), arms["distilled"][panel].model)
        np.testing.assert_array_equal(everybody.get_ydata(), arms["alone"][panel].treat_all)
        assert set(np.asarray(nobody.get_ydata(), float)) == {0.0}
        assert alone.get_linestyle() != distilled.get_linestyle()
        assert len(axis.collections) == 2
        low, high = axis.get_ylim()
        assert low == -0.05 and high >= max(c.high.max() for c in arms["alone"].values())
    names = [t.get_text() for t in figure.legends[0].get_texts()]
    assert names == ["alone", "distilled", "treat all", "treat none"]
    assert all(not a.collections for a in decision_figure(arms, bands=False).axes)


def test_arms_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(ValueError, match="other patients"):
        decision_figure({"a": curves(), "b": curves(labels_seed=8)})
    with pytest.raises(ValueError, match="in every arm"):
        decision_figure({"a": curves(), "b": {"well": curves()["well"]}})
    for arms in ({}, {str(i): curves() for i in range(7)}):
        with pytest.raises(ValueError, match="1 to 6 arms"):
            decision_figure(arms)
