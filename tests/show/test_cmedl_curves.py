"""Losses of a concurrent training: each term in its part's panel, an arm in one colour."""

import matplotlib as mpl
import numpy as np
import pytest

from medkd_lib.show.cmedl_curves import cmedl_curves

mpl.use("agg")
ROWS = [
    {"step": s, "cycle": 1.0 / s, "adversarial": 0.5, "judge_target": 0.4, "judge_source": 0.6,
     "teacher": 2.0, "alone_segmentation": 1.0, "cmedl_segmentation": 0.9, "cmedl_hint": 4.0 - s}
    for s in (1, 2, 3)
]  # fmt: skip


def test_each_term_is_in_the_panel_of_its_part() -> None:
    figure = cmedl_curves(ROWS, {"cmedl": "CMEDL", "judge_target": "of MR"})
    panels = {a.get_title(loc="left"): a for a in figure.axes if a.axison}
    labels = {
        title: [str(line.get_label()) for line in axis.lines if line.get_linewidth() == 2.2]
        for title, axis in panels.items()
    }
    assert labels == {
        "translator": ["cycle", "adversarial"],
        "discriminators": ["of MR", "judge source"],
        "teacher, both kinds of images": ["teacher"],
        "students, segmentation": ["alone", "CMEDL"],
        "students, distance to the hint": ["CMEDL"],
    }
    (hint,) = panels["students, distance to the hint"].lines
    np.testing.assert_array_equal(hint.get_xdata(), [1, 2, 3])
    np.testing.assert_array_equal(hint.get_ydata(), [3, 2, 1])
    segmentation = panels["students, segmentation"].lines[1]
    assert hint.get_color() == segmentation.get_color()
    assert hint.get_linestyle() == segmentation.get_linestyle()
    assert panels["translator"].get_yscale() == "log"
    dotted = panels["discriminators"].lines[-1]
    assert np.ravel(dotted.get_ydata())[0] == 0.5


def test_a_term_that_begins_late_is_drawn_from_there() -> None:
    rows = [{"step": 1, "teacher": 2.0}, {"step": 2, "teacher": 1.0, "cmedl_hint": 3.0}]
    figure = cmedl_curves(rows)
    hint = figure.axes[1].lines[0]
    np.testing.assert_array_equal(hint.get_xdata(), [2])
    assert sum(a.axison for a in figure.axes) == 2


def test_rows_without_steps_are_refused() -> None:
    with pytest.raises(ValueError, match="found 0 rows"):
        cmedl_curves([])
    with pytest.raises(ValueError, match="1 without"):
        cmedl_curves([{"teacher": 1.0}])
