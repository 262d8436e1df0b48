"""Figures say what they should: data in the artists, alt text, static twins."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure

from medkd_lib.distill.logits import hinton_kd_gradient
from medkd_lib.evaluate.classify import Predictions
from medkd_lib.show.classify import (
    forest,
    loss_curves,
    montage,
    recorded_arms,
    reliability_diagram,
    softened,
)
from medkd_lib.show.gallery import Gallery
from medkd_lib.show.style import STYLE, course_style
from medkd_lib.show.toy import gradient_against_temperature, pulls

mpl.use("agg")
ALT = "a line that rises from left to right"


def line() -> Figure:
    figure = Figure()
    figure.add_subplot().plot([0, 1])
    return figure


def test_a_figure_is_saved_and_listed_with_its_alt_text(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path)
    gallery.show(line(), name="rise", alt=ALT)
    assert (tmp_path / "figures" / "rise.png").read_bytes().startswith(b"\x89PNG")
    assert gallery.alts == {"figures/rise.png": ALT}


@pytest.mark.parametrize("alt", ["", "rise", "a figure"])
def test_an_alt_text_that_says_nothing_is_refused(tmp_path: Path, alt: str) -> None:
    with pytest.raises(ValueError, match="alt text"):
        Gallery(tmp_path).show(line(), name="rise", alt=alt)


def test_a_slider_always_has_its_static_twin(tmp_path: Path) -> None:
    drawn: list[float] = []

    def draw(temperature: float) -> Figure:
        drawn.append(temperature)
        return line()

    gallery = Gallery(tmp_path)
    presets = [{"temperature": t} for t in (1.0, 4.0, 20.0)]
    gallery.explore(draw, {"temperature": (1, 20, 1)}, presets, name="t", alt=ALT)
    assert drawn == [1.0, 4.0, 20.0]
    assert [a.rpartition("Here: ")[2] for a in gallery.alts.values()] == [
        "temperature 1.", "temperature 4.", "temperature 20."]  # fmt: skip


def test_the_style_leaves_the_users_settings_alone() -> None:
    before = mpl.rcParams["font.size"]
    with course_style():
        assert mpl.rcParams["font.size"] == STYLE["font.size"]
    assert mpl.rcParams["font.size"] == before


def test_softened_bars_are_probabilities() -> None:
    figure = softened({"film": np.array([2.0, 0.0])}, ["a", "b"], [1.0, 4.0])
    heights = [p.get_height() for p in figure.axes[0].patches]  # type: ignore[attr-defined]
    np.testing.assert_allclose(heights, [0.8808, 0.1192, 0.6225, 0.3775], atol=1e-4)


def test_pulls_are_the_negative_gradients() -> None:
    student, teacher = np.array([[1.0, 0.0, -1.0]]), np.array([[-2.0, 6.0, 3.0]])
    figure = pulls(student, teacher, 1, ["a", "b", "c"], 4.0, 0.9, hinton_kd_gradient)
    bars = [p.get_height() for p in figure.axes[1].patches]  # type: ignore[attr-defined]
    soft = -0.9 * hinton_kd_gradient(student, teacher, 4.0)[0]
    np.testing.assert_allclose(bars[3:], soft)
    assert bars[1] > 0 > bars[0]  # the label pulls its own class up and the others down


def test_the_gradient_figure_draws_both_curves() -> None:
    figure = gradient_against_temperature(lambda t, scaled: 1.0 if scaled else t**-2)
    kept, dropped = figure.axes[0].lines[:2]
    assert np.ptp(np.asarray(kept.get_ydata())) == 0
    assert np.asarray(dropped.get_ydata())[-1] == pytest.approx(50**-2)


def test_recorded_arms_draw_every_run_and_the_readers_star() -> None:
    runs = pd.DataFrame({"arm": ["a"] * 3 + ["b"] * 3, "accuracy": [0.5, 0.6, 0.7, 0.1, 0.2, 0.3]})
    figure = recorded_arms(runs, {"a": "A", "b": "B"}, "accuracy", mine={"b": 0.25}, chance=1 / 3)
    drawn = [tuple(np.ravel(line.get_xdata())) for line in figure.axes[0].lines]
    assert (0.5, 0.6, 0.7) in drawn and (0.1, 0.2, 0.3) in drawn
    stars = [line for line in figure.axes[0].lines if line.get_marker() == "*"]
    assert [float(np.ravel(s.get_xdata())[0]) for s in stars] == [0.25]


def test_chance_far_from_all_runs_is_an_arrow_and_squeezes_nothing() -> None:
    runs = pd.DataFrame({"arm": ["a"] * 3, "accuracy": [0.80, 0.82, 0.84]})
    (far,) = recorded_arms(runs, {"a": "A"}, "accuracy", chance=1 / 3).axes
    assert [t.get_text() for t in far.texts] == [" ← chance, 0.33"]
    assert far.get_xlim()[0] > 0.7
    (near,) = recorded_arms(runs, {"a": "A"}, "accuracy", chance=0.78).axes
    assert [t.get_text() for t in near.texts] == [" chance"]
    dotted = [line for line in near.lines if line.get_linestyle() == ":"]
    assert [float(np.ravel(line.get_xdata())[0]) for line in dotted] == [0.78]


def test_forest_shows_the_declared_contrasts_only() -> None:
    table = pd.DataFrame({
        "contrast": ["x", "y"], "difference": [0.1, -0.1], "low": [0.05, -0.2],
        "high": [0.15, 0.1], "verdict": ["better", "undecided"],
    })  # fmt: skip
    figure = forest(table, {"x": "is x better?"})
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["is x better?"]
    assert figure.axes[0].lines[-1].get_marker() == "^"  # better, for those who see no green


def test_the_other_figures_are_drawn() -> None:
    images = torch.zeros(5, 1, 8, 8, dtype=torch.uint8)
    assert len(montage(images, [*"abcde"], 3).axes) == 6
    curves = loss_curves({"run": {"ce": [1.0, 0.5], "kd": [2.0, 1.0]}}, {"run": [1, 2]})
    assert [a.get_title(loc="left") for a in curves.axes] == ["ce", "kd"]
    p = Predictions(np.array([[0.9, 0.1], [0.4, 0.6]]), np.array([0, 0]), ("a", "b"))
    assert "ECE" in reliability_diagram({"net": p}).axes[0].get_title(loc="left")
