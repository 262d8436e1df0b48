"""A family of contrasts: one panel per setting, one row per question, verdicts marked."""

import matplotlib as mpl
import numpy as np
import pandas as pd

from medkd_lib.show.families import forest_by_setting
from medkd_lib.show.style import METHOD, OKABE_ITO

mpl.use("agg")


def test_a_family_has_one_panel_per_setting_and_marks_by_verdict() -> None:
    contrasts = pd.DataFrame(
        [
            ("clear", "kd", 0.05, 0.01, 0.09, "better"),
            ("clear", "other", 0.3, 0.2, 0.4, "better"),
            ("subtle", "gl", -0.04, -0.08, -0.01, "worse"),
            ("subtle", "kd", 0.0, -0.02, 0.02, "undecided"),
        ],
        columns=["setting", "contrast", "difference", "low", "high", "verdict"],
    )
    settings = {"clear": "phantom, clear", "subtle": "phantom, subtle"}
    figure = forest_by_setting(
        contrasts, {"kd": "KD − alone", "gl": "GL − alone"}, settings, "Gain?", (-0.2, 0.2), "acc"
    )
    clear, subtle = figure.axes
    assert [clear.get_title(loc="left"), subtle.get_title(loc="left")] == list(settings.values())
    assert [t.get_text() for t in clear.get_yticklabels()] == ["KD − alone", "GL − alone"]
    _, bar, dot = clear.lines
    assert np.asarray(bar.get_xdata(), float).tolist() == [0.01, 0.09]
    assert bar.get_color() == dot.get_color() == METHOD
    # in the order of the questions, whatever the table's
    rows = [float(np.asarray(line.get_ydata(), float)[0]) for line in subtle.lines[1::2]]
    assert rows == [1, 0]
    worse, undecided = subtle.lines[1].get_color(), subtle.lines[3].get_color()
    assert (worse, undecided) == (OKABE_ITO["vermillion"], OKABE_ITO["grey"])
    # not by colour alone
    markers = [line.get_marker() for line in (dot, *subtle.lines[2::2])]
    assert markers == ["^", "v", "o"] and subtle.lines[4].get_markerfacecolor() == "white"
    assert [t.get_text() for t in clear.texts] == ["not run"] and not subtle.texts
    assert clear.texts[0].get_position()[1] == 1  # beside its question
    assert clear.get_xlim() == subtle.get_xlim() == (-0.2, 0.2)


def test_a_long_setting_is_wrapped_above_its_panel() -> None:
    contrasts = pd.DataFrame(
        [("a", "kd", 0.05, 0.01, 0.09, "better")],
        columns=["setting", "contrast", "difference", "low", "high", "verdict"],
    )
    figure = forest_by_setting(
        contrasts, {"kd": "?"}, {"a": "real sarcomas, MR teaches CT"}, "Gain?", (-0.2, 0.2), "acc"
    )
    lines = figure.axes[0].get_title(loc="left").split("\n")
    assert " ".join(lines) == "real sarcomas, MR teaches CT" and len(lines) == 2
