"""The figure of the missing detach: both measures, a line per way, none under the legend."""

import matplotlib as mpl
import numpy as np
import pytest

from medkd_lib.show.silence import silence

mpl.use("agg")
SPREADS = {"detached": [0.3, 0.2], "not detached": [0.3, 0.05]}
SHARES = {"detached": [0.5, 0.5], "not detached": [0.5, 0.0]}


def test_each_way_has_a_line_in_either_panel() -> None:
    figure = silence(SPREADS, SHARES)
    left, right = figure.axes
    for axis, measure in ((left, SPREADS), (right, SHARES)):
        drawn = {
            str(line.get_label()): np.asarray(line.get_ydata()).tolist() for line in axis.lines
        }
        assert drawn == measure and axis.get_legend() is None
    assert [line.get_linestyle() for line in left.lines] == ["-", "--"]
    assert left.get_yscale() == "log" and right.get_yscale() == "linear"
    (legend,) = figure.legends
    assert [t.get_text() for t in legend.get_texts()] == list(SPREADS)


def test_measures_of_different_ways_are_refused() -> None:
    with pytest.raises(ValueError, match="both measures of the same ways"):
        silence(SPREADS, {"detached": [0.5]})
