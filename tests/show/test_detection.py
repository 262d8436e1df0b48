"""Boxes as drawn: where they lie, in which line, and curves with their numbers."""

import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from medkd_lib.evaluate.detection import Detections
from medkd_lib.evaluate.froc import Froc, froc
from medkd_lib.show.detection import LINES, detection_gallery
from medkd_lib.show.froc import froc_figure
from tests.evaluate.test_detection import drawn

mpl.use("agg")
HIT, MISSED, FALSE = (2, 2, 10, 12), (20, 4, 24, 9), (14, 20, 20, 26)


def found(*scores: float) -> Detections:
    again = (3, 2, 11, 12)
    return Detections.of([[HIT, again, FALSE], []], [list(scores), []], [[HIT, MISSED], []], "ab")


def rectangles(axis: Axes) -> dict[str, list[tuple[float, ...]]]:
    drawn: dict[str, list[tuple[float, ...]]] = {}
    for p in axis.patches:
        assert isinstance(p, Rectangle)
        x, y = p.get_xy()
        box = (x + 0.5, y + 0.5, x + 0.5 + p.get_width(), y + 0.5 + p.get_height())
        drawn.setdefault(str(p.get_label()), []).append(box)
        assert to_hex(p.get_edgecolor()).upper() == LINES[str(p.get_label())][0]
        assert p.get_linestyle() == LINES[str(p.get_label())][1]
    return drawn


def test_marks_answers_and_what_is_right() -> None:
    figure = detection_gallery(torch.zeros(2, 32, 32), found(0.9, 0.8, 0.7), ["a", "b"], score=0.5)
    panels = np.array(figure.axes).reshape(2, 3)
    assert [axis.get_title(loc="center") for axis in panels[0]] == [
        "marked", "found", "right and wrong",
    ]  # fmt: skip
    assert rectangles(panels[0][0]) == {"marked": [HIT, MISSED]}
    assert len(rectangles(panels[0][1])["found"]) == 3
    assert rectangles(panels[0][2]) == {
        "hit": [HIT], "missed": [MISSED], "false alarm": [FALSE], "hit again": [(3, 2, 11, 12)],
    }  # fmt: skip
    assert [t.get_text() for t in panels[0][1].texts] == ["0.90", "0.80", "0.70"]
    assert not any(axis.patches for axis in panels[1])
    assert [t.get_text() for t in figure.legends[0].get_texts()] == list(LINES)
    figure.canvas.draw()


def test_a_lesion_that_only_unsure_boxes_hit_is_missed() -> None:
    figure = detection_gallery(torch.zeros(2, 32, 32), found(0.4, 0.3, 0.7), ["a", "b"], score=0.5)
    assert rectangles(figure.axes[2]) == {"missed": [HIT, MISSED], "false alarm": [FALSE]}


def test_lines_differ_in_more_than_colour_in_each_panel() -> None:
    together = [LINES[k][1] for k in ("hit", "missed", "false alarm", "hit again")]
    assert len(set(together)) == 4
    assert len(set(LINES.values())) == len(LINES)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="detection_gallery"):
        detection_gallery(torch.zeros(3, 32, 32), found(0.9, 0.8, 0.7), ["a"] * 3, score=0.5)


def test_a_froc_curve_with_its_band_and_number() -> None:
    arms = {"alone": froc(drawn(0), draws=50), "distilled": froc(drawn(1), draws=50)}
    figure = froc_figure(arms)
    (axis,) = figure.axes
    legend = axis.get_legend()
    assert legend is not None
    for line, band, words, (arm, curve) in zip(
        axis.lines, axis.collections, legend.get_texts(), arms.items(), strict=True
    ):
        np.testing.assert_array_equal(line.get_xdata(), curve.rates)
        np.testing.assert_array_equal(line.get_ydata(), curve.sensitivity)
        corners = np.asarray(band.get_paths()[0].vertices)
        assert corners[:, 1].min() == pytest.approx(curve.low.min())
        low, high = curve.interval
        assert words.get_text() == f"{arm}: {curve.score:.2f} ({low:.2f}–{high:.2f})"
    assert axis.lines[0].get_linestyle() != axis.lines[1].get_linestyle()
    assert axis.lines[0].get_marker() != axis.lines[1].get_marker()
    names = [t.get_text() for t in axis.get_xticklabels()]
    assert names == ["1/8", "1/4", "1/2", "1", "2", "4", "8"]
    assert not froc_figure(arms, bands=False).axes[0].collections


def test_curves_that_cannot_share_a_panel_are_refused() -> None:
    one: Froc = froc(drawn(0), draws=5)
    other = froc(drawn(0), rates=(1, 2), draws=5)
    with pytest.raises(ValueError, match="same rates"):
        froc_figure({"a": one, "b": other})
    with pytest.raises(ValueError, match="1 to 6 arms"):
        froc_figure({})
