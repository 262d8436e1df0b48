"""The figures of lesson 01 draw all they are given: each bar, dot, line and number."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from medkd_lib.show.preprocessing import curve, fake_labels, grey_values, leakage, shares, strip
from medkd_lib.show.volumes import OUTLINES

mpl.use("agg")
pytestmark = pytest.mark.filterwarnings("error")


def legend(axis: Axes) -> list[str]:
    shown = axis.get_legend()
    assert shown is not None
    return [t.get_text() for t in shown.get_texts()]


def title(axis: Axes) -> str:
    return axis.get_title(loc="left")


def test_grey_values_show_a_panel_per_stage_and_a_line_per_image() -> None:
    rng = np.random.default_rng(0)
    raw = {f"image {n}": rng.normal(100 * n, 10, 4000) for n in range(6)}
    figure = grey_values(
        {"raw": raw, "z-score": {k: (v - v.mean()) / v.std() for k, v in raw.items()}}
    )
    assert [title(a) for a in figure.axes] == ["raw", "z-score"]
    assert legend(figure.axes[1]) == list(raw)
    odd = grey_values(dict.fromkeys(("raw", "again", "and again"), raw))
    assert legend(odd.axes[2]) == list(raw) and not odd.axes[3].axison
    lines = figure.axes[0].patches
    assert len(lines) == 6 and len({to_hex(p.get_edgecolor()) for p in lines}) == 6
    peaks = [np.asarray(p.get_path().vertices) for p in lines]
    assert [float(v[np.argmax(v[:, 1]), 0]) for v in peaks] == pytest.approx(
        [100 * n for n in range(6)], abs=15)  # fmt: skip
    assert figure.axes[0].get_xlabel() == "grey value"


def test_a_long_tail_does_not_flatten_the_rest() -> None:
    values = np.concatenate([np.linspace(0, 100, 10_000), [1e6]])
    low, high = grey_values({"raw": {"ct": values}}).axes[0].get_xlim()
    assert low > -10 and high < 110
    low, high = grey_values({"raw": {"ct": values}}, quantile=1.0).axes[0].get_xlim()
    assert high > 1e6


def shade(image: AxesImage, label: int) -> str:
    """The colour in which a label is drawn."""
    return to_hex(tuple(image.to_rgba(np.array([[label]]))[0, 0]))


def map_of(pixels: NDArray[np.int64]) -> NDArray[np.int64]:
    labels = np.zeros((40, 40), np.int64)
    labels[10:20, 10:30] = pixels
    return labels


def test_label_maps_stand_side_by_side_in_the_colours_of_the_outlines() -> None:
    drawn = map_of(np.repeat([[1, 3]], 10, axis=1).repeat(10, axis=0))
    wrong = drawn.copy()
    wrong[10:20, 19:21] = 2
    figure = fake_labels(drawn, {"rounded": wrong}, {1: "core", 2: "oedema", 3: "enhancing"})
    assert [title(a) for a in figure.axes] == ["as drawn", "rounded"]
    first, second = (a.images[0] for a in figure.axes)
    assert set(np.unique(np.asarray(first.get_array()))) == {0, 1, 3}
    assert (np.asarray(second.get_array()) == 2).sum() == 20
    for image in (first, second):
        assert [shade(image, n) for n in range(4)] == [
            "#000000", *(c.lower() for c in OUTLINES[:3])]  # fmt: skip
    assert np.asarray(first.get_array()).shape == (14, 27), "cut out with a margin"
    (shown,) = figure.legends
    assert [t.get_text() for t in shown.get_texts()] == ["core", "oedema", "enhancing"]
    handles = [h.get_color() for h in shown.legend_handles]  # type: ignore[union-attr]
    assert handles == list(OUTLINES[:3]), "also the label that nobody drew"


def test_many_labels_and_none_are_drawn_too() -> None:
    many = map_of(np.arange(200).reshape(10, 20) % 9 + 1)
    image = fake_labels(many, {}, {9: "ninth"}).axes[0].images[0]
    assert shade(image, 9) == OUTLINES[2].lower(), "the colours begin anew"
    assert shade(image, 0) == "#000000"
    figure = fake_labels(np.zeros((8, 8), np.int64), {}, {1: "core"})
    assert np.asarray(figure.axes[0].images[0].get_array()).shape == (8, 8)
    figure.canvas.draw()


def bars(axis: Axes) -> list[tuple[float, float, float]]:
    """Row, left end and width of every bar."""
    return [
        (p.get_y() + p.get_height() / 2, p.get_x(), p.get_width())
        for p in axis.patches
        if isinstance(p, Rectangle)
    ]


def test_bars_are_as_long_as_the_shares_and_say_the_counts() -> None:
    figure = shares(
        {"train": {"gli": 6, "men": 3, "met": 1}, "test": {"gli": 1, "men": 1, "met": 2}}
    )
    (axis,) = figure.axes
    assert np.ravel(bars(axis)) == pytest.approx(np.ravel([
        (0, 0.0, 0.6), (0, 0.6, 0.3), (0, 0.9, 0.1), (1, 0.0, 0.25), (1, 0.25, 0.25), (1, 0.5, 0.5),
    ]))  # fmt: skip
    assert [t.get_text() for t in axis.texts] == ["6", "3", "1", "1", "1", "2"]
    assert [t.get_position()[0] for t in axis.texts][:2] == pytest.approx([0.3, 0.75])
    assert [t.get_text() for t in axis.get_yticklabels()] == ["train (10)", "test (4)"]
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["gli", "men", "met"]
    assert axis.get_ylim()[0] > axis.get_ylim()[1], "the first part stands at the top"


def test_a_class_that_only_a_later_part_has_is_shown_and_an_empty_part_stays_empty() -> None:
    figure = shares({"train": {"a": 3, "b": 1}, "val": {"a": 0, "b": 0}, "test": {"a": 1, "c": 3}})
    (axis,) = figure.axes
    assert [width for row, _, width in bars(axis) if row == 1] == [0, 0, 0]
    assert [width for row, _, width in bars(axis) if row == 2] == [0.25, 0, 0.75]
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["a", "b", "c"]
    assert [t.get_text() for t in axis.get_yticklabels()] == ["train (4)", "val (0)", "test (4)"]
    five = shares({"all": dict.fromkeys("abcde", 2)}).axes[0]
    assert len(bars(five)) == 5 and len({p.get_facecolor() for p in five.patches}) == 5


def test_each_run_is_a_dot_beside_its_mean_over_the_line_of_chance() -> None:
    rows = [
        {"labels": kind, "split": split, "seed": seed, "chance": chance,
         "accuracy": base + 0.02 * seed}
        for kind, chance in (("type", 0.4), ("coin", 0.5))
        for split, base in (("slice", 0.9), ("patient", 0.3)) for seed in range(3)
    ]  # fmt: skip
    figure = leakage(pd.DataFrame(rows))
    assert [title(a) for a in figure.axes] == ["type", "coin"]
    for axis, chance in zip(figure.axes, (0.4, 0.5), strict=True):
        dots = [np.asarray(line.get_data()) for line in axis.lines if line.get_marker() == "o"]
        assert np.allclose([d[1] for d in dots], [[0.9, 0.92, 0.94], [0.3, 0.32, 0.34]])
        assert [round(d[0].mean()) for d in dots] == [0, 1] and np.ptp(dots[0][0]) > 0.1
        means = [line for line in axis.lines if line.get_linewidth() == 3]
        assert np.allclose(
            [np.asarray(line.get_ydata(), float) for line in means], [[0.92] * 2, [0.32] * 2]
        )
        assert [t.get_text() for t in axis.texts] == ["0.92", "0.32", "always the larger class"]
        (dashed,) = [line for line in axis.lines if line.get_linestyle() == "--"]
        assert np.allclose(dashed.get_ydata(), chance)
        assert [t.get_text() for t in axis.get_xticklabels()] == [
            "slices\ndivided", "patients\ndivided"]  # fmt: skip


def test_a_strip_has_a_row_of_dots_and_a_mean_per_group() -> None:
    groups = {f"group {n}": [0.1 * n, 0.1 * n + 0.1] for n in range(5)}
    (axis,) = strip(groups, "Dice", (0, 1)).axes
    dots = [line for line in axis.lines if line.get_marker() == "o"]
    assert [list(np.asarray(d.get_xdata())) for d in dots] == list(groups.values())
    assert all(np.abs(np.asarray(d.get_ydata()) - row).max() < 0.2 for row, d in enumerate(dots))
    assert [t.get_text() for t in axis.texts] == ["0.05", "0.15", "0.25", "0.35", "0.45"]
    assert [t.get_text() for t in axis.get_yticklabels()] == list(groups)
    assert axis.get_xlim() == (0, 1) and axis.get_xlabel() == "Dice"
    again = strip(groups, "Dice", (0, 1)).axes[0].lines[0]
    np.testing.assert_array_equal(again.get_ydata(), dots[0].get_ydata())


def test_every_line_of_a_curve_is_drawn_and_named() -> None:
    lines = {f"line {n}": [n, n + 1.0, n + 2.0] for n in range(6)}
    (axis,) = curve([0, 3, 6], lines, xlabel="mm", ylabel="value").axes
    assert [list(np.asarray(line.get_ydata())) for line in axis.lines] == list(lines.values())
    assert len({line.get_color() for line in axis.lines}) == 6
    assert legend(axis) == list(lines)
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("mm", "value")
