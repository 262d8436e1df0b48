"""A dose series as drawn: levels from full dose down, intervals of both panels."""

import matplotlib as mpl
import numpy as np
import pytest

from medkd_lib.evaluate.auc import Auc
from medkd_lib.evaluate.dose_series import DoseLevel
from medkd_lib.show.dose_series import dose_figure

mpl.use("agg")


def auc(value: float) -> Auc:
    return Auc(value, (value - 0.1, value + 0.05), 100)


def levels(first: float) -> tuple[DoseLevel, ...]:
    lost = (0.0, -0.02, -0.2)
    return tuple(
        DoseLevel(share, auc(first + less), auc(less))
        for share, less in zip((1.0, 0.25, 0.02), lost, strict=True)
    )


def test_levels_left_and_paired_differences_right() -> None:
    arms = {"alone": levels(0.8), "distilled": levels(0.9)}
    left, right = dose_figure(arms).axes
    ticks = [t.get_text() for t in left.get_xticklabels()]
    assert ticks == [t.get_text() for t in right.get_xticklabels()] == ["100 %", "25 %", "2 %"]
    looks = set()
    for place, series in enumerate(arms.values()):
        line, paired = left.lines[place], right.lines[place]
        np.testing.assert_allclose(
            np.asarray(line.get_ydata(), float), [s.auc.value for s in series]
        )
        np.testing.assert_allclose(np.asarray(paired.get_ydata(), float), [-0.02, -0.2])
        np.testing.assert_allclose(
            np.asarray(paired.get_xdata(), float), np.asarray(line.get_xdata(), float)[1:]
        )
        assert abs(np.asarray(line.get_xdata(), float) - np.arange(3)).max() < 0.25
        bars = [np.asarray(path.vertices)[:, 1] for path in left.collections[place].get_paths()]
        expected = [s.auc.interval for s in series]
        np.testing.assert_allclose(bars, np.array(expected))
        bars = [np.asarray(path.vertices)[:, 1] for path in right.collections[place].get_paths()]
        expected = [s.from_full.interval for s in series[1:]]
        np.testing.assert_allclose(bars, np.array(expected))
        looks.add((line.get_color(), str(line.get_linestyle()), line.get_marker()))
    assert len(looks) == 2 and all(len({look[i] for look in looks}) == 2 for i in range(3))
    assert np.ravel(left.lines[2].get_ydata())[0] == 0.5  # chance
    assert np.ravel(right.lines[2].get_ydata())[0] == 0


def test_arms_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(ValueError, match="same doses"):
        dose_figure({"a": levels(0.8), "b": levels(0.8)[:2]})
    for arms in ({}, {str(i): levels(0.8) for i in range(7)}):
        with pytest.raises(ValueError, match="1 to 6 arms"):
            dose_figure(arms)
