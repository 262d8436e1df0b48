"""Figures about likeness: values, their smoothed course, and similarity beside quality."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.lines import Line2D

from medkd_lib.show.likeness import cka_maps, similar_or_better, similarity

mpl.use("agg")


def heights(line: Line2D) -> list[float]:
    return [float(y) for y in np.asarray(line.get_ydata(), float)]


def test_similarity_shows_values_and_the_mean_of_three_neighbours() -> None:
    figure = similarity({"true": ([1, 2, 3], [0.0, 0.3, 0.9])}, "cosine", (0.5, "no image"))
    raw, smooth, line = figure.axes[0].lines
    assert heights(raw) == [0, 0.3, 0.9] and heights(line) == [0.5, 0.5]
    assert heights(smooth) == pytest.approx([0.15, 0.4, 0.6])
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["true", "no image"]


def test_cka_maps_share_one_scale_and_write_every_value() -> None:
    first = pd.DataFrame([[0.12, -0.04], [1.0, 0.5]], ["s1", "s2"], ["t1", "t2"])
    figure = cka_maps({"before": first, "after": first + 0.1})
    before, after = figure.axes[:2]
    assert [t.get_text() for t in before.texts] == [".12", "-0.0", "1.0", ".50"]
    assert before.images[0].get_clim() == after.images[0].get_clim() == (0, 1)
    shown = np.asarray(after.images[0].get_array())
    assert shown.ravel().tolist() == pytest.approx((first + 0.1).to_numpy().ravel().tolist())
    assert [t.get_text() for t in before.get_xticklabels()] == ["t1", "t2"]


def test_runs_without_a_similarity_are_left_out_and_each_arm_has_its_mean() -> None:
    runs = pd.DataFrame({
        "arm": ["gl", "gl", "kd", "cakd"], "token_cosine": [0.5, 0.7, np.nan, 0.9],
        "balanced_accuracy": [0.6, 0.8, 0.9, 0.4],
    })  # fmt: skip
    arms = {"kd": "KD", "gl": "GL", "cakd": "as published"}
    figure = similar_or_better(runs, arms, "token_cosine", "balanced_accuracy", (0.75, "alone"))
    (ax,) = figure.axes
    drawn = [np.asarray(c.get_offsets()).tolist() for c in ax.collections]
    assert drawn[0] == [[0.5, 0.6], [0.7, 0.8]] and drawn[1] == [pytest.approx([0.6, 0.7])]
    assert drawn[2] == drawn[3] == [[0.9, 0.4]]
    assert heights(ax.lines[0]) == [0.75, 0.75]
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["GL", "as published", "alone"]
