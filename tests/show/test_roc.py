"""ROC curves as drawn: every class, both averages, bands and areas of every arm."""

import matplotlib as mpl
import numpy as np
import pytest

from medkd_lib.evaluate.classify import Predictions
from medkd_lib.evaluate.roc import RocCurve, roc_curves
from medkd_lib.show.roc import roc_figure

mpl.use("agg")
NAMES = ("well", "moderate", "poor")


def curves(signal: float = 1.0, classes: int = 3) -> dict[str, RocCurve]:
    rng = np.random.default_rng(0)
    labels = np.arange(60) % classes
    z = rng.normal(0, 1, (60, classes)) + signal * np.eye(classes)[labels]
    p = Predictions.from_logits(z, labels, tuple(map(str, range(60))))
    names = NAMES if classes == 3 else [f"class {c}" for c in range(classes)]
    return roc_curves(p, names, draws=50)


def test_a_panel_per_class_then_macro_beside_micro() -> None:
    arms = {"alone": curves(0.5), "distilled": curves(2.0)}
    figure = roc_figure(arms)
    titles = [a.get_title(loc="left") for a in figure.axes]
    assert titles[:3] == list(NAMES)
    assert titles[3].startswith("macro") and titles[4].startswith("micro")
    for axis, name in zip(figure.axes, (*NAMES, "macro", "micro"), strict=True):
        chance, *lines = axis.lines
        np.testing.assert_array_equal(chance.get_xdata(), chance.get_ydata())
        assert lines[0].get_linestyle() != lines[1].get_linestyle()
        areas = axis.get_legend()
        assert areas is not None
        for line, band, words, key, arm in zip(
            lines, axis.collections, areas.get_texts(), areas.get_lines(), arms, strict=True
        ):
            curve = arms[arm][name]
            np.testing.assert_array_equal(line.get_ydata(), [0, *curve.true_positive_rate])
            np.testing.assert_array_equal(line.get_xdata(), [0, *curve.false_positive_rate])
            corners = np.asarray(band.get_paths()[0].vertices)
            assert corners[:, 1].min() == curve.low.min()
            assert f"{curve.auc.value:.2f} ({curve.auc.interval[0]:.2f}" in words.get_text()
            assert key.get_color() == line.get_color()
    legend = [t.get_text() for t in figure.legends[0].get_texts()]
    assert legend == ["alone", "distilled", "chance"]
    assert all(not a.collections for a in roc_figure(arms, bands=False).axes)


def test_many_classes_take_two_rows() -> None:
    figure = roc_figure({"alone": curves(classes=5)})
    rows = {a.get_subplotspec().rowspan.start for a in figure.axes}  # type: ignore[union-attr]
    assert rows == {0, 1} and sum(a.axison for a in figure.axes) == 7


def test_arms_that_cannot_share_panels_are_refused() -> None:
    with pytest.raises(ValueError, match="in every arm"):
        roc_figure({"a": curves(), "b": {"well": curves()["well"]}})
    for arms in ({}, {str(i): curves() for i in range(5)}):
        with pytest.raises(ValueError, match="1 to 4 arms"):
            roc_figure(arms)
