"""Scores patient by patient: each dot where it was measured, the missed in sight."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from medkd_lib.show.segmentation_scores import by_stratum, scores_by_case

mpl.use("agg")
NAN = float("nan")


def table(dice: list[float], hd95: list[float], outcome: list[str]) -> pd.DataFrame:
    index = pd.Index([f"p{i}" for i in range(len(dice))], name="case")
    columns = {"dice": dice, "surface_dice": dice, "hd95_mm": hd95, "outcome": outcome}
    return pd.DataFrame(columns, index=index)


TABLES = {
    "CT only": table([0.5, 0.0, 0.0, NAN], [20.0, 400.0, 60.0, NAN],
                     ["both", "missed", "both", "neither"]),
    "CMEDL": table([0.7, 0.6, 0.4, NAN], [10.0, 15.0, 30.0, NAN], ["both"] * 3 + ["neither"]),
}  # fmt: skip


def marked(axis: Axes, marker: str) -> list[list[float]]:
    lines = [line for line in axis.lines if line.get_marker() == marker]
    return [np.asarray(line.get_ydata(), float).tolist() for line in lines]


def test_every_case_is_a_dot_and_joined_with_itself() -> None:
    dice, surface, _ = scores_by_case(TABLES).axes
    assert [a.get_title(loc="left") for a in (dice, surface)] == ["Dice", "surface Dice"]
    assert marked(dice, "o") == [[0.5], [0.7, 0.6, 0.4]]
    joined = [np.asarray(line.get_ydata(), float).tolist() for line in dice.lines[:3]]
    assert joined == [[0.5, 0.7], [0.0, 0.6], [0.0, 0.4]]
    medians = [y for line in dice.lines if line.get_linewidth() == 2.5 for y in line.get_ydata()]  # type: ignore[union-attr]
    assert medians == pytest.approx([0.0, 0.0, 0.6, 0.6])  # the missed count


def test_missed_tumours_are_crosses_and_an_empty_answer_is_above_all_distances() -> None:
    dice, _, distance = scores_by_case(TABLES).axes
    assert marked(dice, "X") == [[0.0, 0.0]]
    ((empty, elsewhere),) = marked(distance, "X")
    assert elsewhere == 60 and 60 < empty < 400  # not the 400 mm of the image's diagonal
    assert "no answer" in [t.get_text() for t in distance.texts]
    assert max(distance.get_yticks()) <= 60
    assert marked(distance, "o") == [[20.0], [10.0, 15.0, 30.0]]


def test_without_an_empty_answer_there_is_no_line_for_one() -> None:
    distance = scores_by_case({"CMEDL": TABLES["CMEDL"]}).axes[2]
    assert not distance.texts and not marked(distance, "X")
    assert distance.get_ylim()[1] == pytest.approx(1.08 * 30)


def test_arms_of_other_cases_and_tables_without_tumours_are_refused() -> None:
    with pytest.raises(ValueError, match="the same cases"):
        scores_by_case({"a": TABLES["CMEDL"], "b": TABLES["CMEDL"][:2]})
    with pytest.raises(ValueError, match="found none"):
        scores_by_case({"a": TABLES["CMEDL"][3:]})


def test_strata_have_the_mean_over_patients_in_the_given_order() -> None:
    # two cases of patient a in the same stratum are one dot
    patients = ["a", "a", "b", "c", "d"]
    group = ["near", "near", "near", "far", ""]
    differences = {"CMEDL − CT only": np.array([0.1, 0.3, 0.6, -0.2, 9.0])}
    figure = by_stratum(differences, patients, {"distance": (group, ["near", "far"])})
    (axis,) = figure.axes
    assert [t.get_text() for t in axis.get_yticklabels()] == ["near\nn = 2", "far\nn = 1"]
    dots = [np.asarray(line.get_xdata()) for line in axis.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(dots[0], [0.2, 0.6])
    np.testing.assert_allclose(dots[1], [-0.2])
    means = [np.ravel(line.get_xdata())[0] for line in axis.lines if line.get_marker() == "D"]
    assert means == pytest.approx([0.4, -0.2])
    spans = [line for line in axis.lines if line.get_linewidth() == 5]
    assert len(spans) == 1  # one patient has no interval
    assert len(axis.get_xticks()) <= 6  # more would overprint
    low, high = axis.get_ylim()
    assert low > high  # the first group on top
    with pytest.raises(ValueError, match="distance: expected 5 cases, found 1"):
        by_stratum(differences, patients, {"distance": (["near"], ["near"])})
