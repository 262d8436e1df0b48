"""Declared contrasts as figures: every family once per group of settings that answered it."""

import matplotlib as mpl
import pandas as pd

from medkd_lib.course import forests as module
from medkd_lib.course.forests import forests
from medkd_lib.course.grid import ContrastPlan, Grid, Setting
from medkd_lib.course.recorded import Recorded

mpl.use("agg")


def recorded() -> Recorded:
    names = [f"s{n}" for n in range(module.ABREAST + 1)]
    settings = [
        Setting(id=n, title=f"setting {n}", dataset="d", evidence="phantom", difficulty="clear",
                patients=10)
        for n in names
    ]  # fmt: skip
    asked = [("gain", "a", "A?"), ("gain", "b", "B?"), ("side effects", "c", "C?")]
    grid = Grid(
        lesson="04", experiment="cmedl", declared="today", seeds=[0, 1, 2, 3, 4], settings=settings,
        arms=["alone", "cmedl"], primary="dice", correction="holm",
        contrasts=[
            ContrastPlan(id=name, family=family, arm="cmedl", rival="alone", question=question)
            for family, name, question in asked
        ],
    )  # fmt: skip
    runs = pd.DataFrame({"setting": names, "arm": "alone", "seed": 0, "dice": 0.5})
    rows = [(n, "a", 0.1, 0.0, 0.2, "undecided") for n in names]
    rows.append((names[0], "c", -0.3, -0.4, -0.2, "worse"))
    columns = ["setting", "contrast", "difference", "low", "high", "verdict"]
    return Recorded(grid, runs, pd.DataFrame(), pd.DataFrame(rows, columns=columns))


def test_a_family_is_drawn_where_it_was_answered() -> None:
    found = {name: (figure, alt) for name, figure, alt in forests(recorded(), "Dice")}
    assert list(found) == ["forest_gain_0", "forest_gain_1", "forest_side_effects_0"]
    assert len(found["forest_gain_0"][0].axes) == module.ABREAST
    assert len(found["forest_gain_1"][0].axes) == 1
    (axis,) = found["forest_side_effects_0"][0].axes
    assert [t.get_text() for t in axis.get_yticklabels()] == ["C?"]
    low, high = axis.get_xlim()
    assert low < -0.4 and high > 0
    assert "gain" in found["forest_gain_1"][1] and "setting s5" in found["forest_gain_1"][1]
