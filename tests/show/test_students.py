"""Figures about students: what is drawn is what was measured."""

import matplotlib as mpl
import numpy as np
from matplotlib.lines import Line2D

from medkd_lib.show.students import (
    Priced,
    Term,
    accuracy_against_cost,
    noise_sweep,
    training_terms,
)

mpl.use("agg")


def heights(line: Line2D) -> list[float]:
    return [float(y) for y in np.asarray(line.get_ydata(), float)]


def places(line: Line2D) -> list[float]:
    return [float(x) for x in np.asarray(line.get_xdata(), float)]


TERMS = {"a": Term("loss A", 1.0, "answers zero"), "absent": Term("nobody's"), "b": Term("loss B")}


def test_each_term_has_a_panel_with_the_trainings_that_have_it() -> None:
    histories = {"kd": {"a": [3.0, 2.0]}, "cakd": {"a": [2.0, 1.5], "b": [5.0, 4.0]}}
    figure = training_terms(histories, {"kd": [1, 2], "cakd": [1, 2]}, TERMS, columns=3)
    panels = {ax.get_title(loc="left"): ax for ax in figure.axes if ax.axison}
    assert list(panels) == ["loss A", "loss B"]
    drawn = [heights(line) for line in panels["loss A"].lines]
    assert drawn == [[3, 2], [2, 1.5], [1, 1]]  # the last one is dotted
    assert [text.get_text() for text in panels["loss A"].texts] == ["answers zero"]
    assert panels["loss A"].get_ylim()[1] > 3
    (only,) = panels["loss B"].lines
    assert heights(only) == [5, 4]
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["kd", "cakd"]


def test_a_training_keeps_its_colour_in_every_panel() -> None:
    histories = {"kd": {"a": [1.0]}, "cakd": {"a": [1.0], "b": [2.0]}}
    figure = training_terms(histories, {"kd": [1], "cakd": [1]}, {"a": Term("A"), "b": Term("B")})
    of_cakd = figure.axes[0].lines[1], figure.axes[1].lines[0]
    assert of_cakd[0].get_color() == of_cakd[1].get_color() != figure.axes[0].lines[0].get_color()
    assert of_cakd[0].get_linestyle() == of_cakd[1].get_linestyle()


def test_chance_is_drawn_only_where_a_curve_comes_near_it() -> None:
    far = noise_sweep([0, 1], {"kd": [0.9, 0.8]}, chance=0.33, marked=0.5)
    near = noise_sweep([0, 1], {"kd": [0.9, 0.4]}, chance=0.33)
    assert heights(far.axes[0].lines[0]) == [0.9, 0.8]
    assert [t.get_text() for t in far.axes[0].texts] == [" recorded"]
    assert [t.get_text() for t in near.axes[0].texts] == ["chance"]


def test_networks_of_equal_cost_share_a_panel_that_tells_the_cost() -> None:
    networks = [
        Priced("teacher", 14_000_000, 190_000, 0.85, (0.8, 0.9), teacher=True),
        Priced("student alone", 700_000, 6_000, 0.77, (0.7, 0.82)),
        Priced("kd", 700_000, 6_000, 0.75, (0.69, 0.8)),
    ]
    figure = accuracy_against_cost(networks, "accuracy")
    cheap, dear = figure.axes
    bars, dots = cheap.lines[::2], cheap.lines[1::2]
    assert [heights(dot)[0] for dot in dots] == [0.77, 0.75]
    assert [tuple(heights(bar)) for bar in bars] == [(0.7, 0.82), (0.69, 0.8)]
    assert [places(dot)[0] for dot in dots] == [0, 1]
    assert [t.get_text() for t in cheap.get_xticklabels()] == ["student\nalone", "kd"]
    assert cheap.get_xlabel() == "0.70 million\nmultiply-accumulates\n6,000 weights"
    assert heights(dear.lines[1]) == [0.85]
    assert dear.get_xlabel() == "14.00 million (× 20)\nmultiply-accumulates\n190,000 weights"
    assert cheap.get_ylim() == dear.get_ylim()
    colours = [dot.get_color() for dot in (*dots, dear.lines[1])]
    markers = [dot.get_marker() for dot in (*dots, dear.lines[1])]
    assert len(set(colours)) == len(set(markers)) == 3


def test_equal_arithmetic_with_other_weights_is_another_price() -> None:
    networks = [Priced("a", 100, 10, 0.5, (0.4, 0.6)), Priced("b", 100, 20, 0.6, (0.5, 0.7))]
    assert len(accuracy_against_cost(networks, "accuracy").axes) == 2


def test_no_interval_of_a_share_is_drawn_beyond_one() -> None:
    networks = [Priced("a", 100, 10, 0.98, (0.9, 1.04)), Priced("b", 100, 10, 0.1, (-0.1, 0.2))]
    (ax,) = accuracy_against_cost(networks, "accuracy").axes
    assert [heights(bar) for bar in ax.lines[::2]] == [[0.9, 1.0], [0.0, 0.2]]
