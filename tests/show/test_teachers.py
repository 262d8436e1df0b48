"""Figures of networks side by side: the numbers reach the artists, the places are right."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.colors import to_rgba
from matplotlib.patches import Rectangle
from matplotlib.quiver import Quiver

from medkd_lib.show.graph import detail, flow_arrows, pyramid, reading
from medkd_lib.show.students import Priced
from medkd_lib.show.teachers import (
    confusions,
    cost_beside,
    disagreement_matrix,
    examples,
    grey,
    looks,
)

mpl.use("agg")
FIELD_MM = 224.0


def slices(count: int = 2, side: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    """Make slices with a background of exact zeros, and a mask of two nested labels."""
    images = torch.zeros(count, 4, side, side)
    images[:, :, 2:-2, 2:-2] = torch.randn(count, 4, side - 4, side - 4)
    masks = torch.zeros(count, side, side, dtype=torch.uint8)
    masks[:, 5:11, 5:11] = 2
    masks[:, 7:9, 7:9] = 3
    return images.half(), masks


def test_background_is_black_and_tissue_is_not() -> None:
    image = torch.full((4, 8, 8), -1.0)  # darker than the background's zero
    image[:, 4:] = 2.0
    image[:, 0] = 0.0
    drawn = grey(image)
    assert (drawn[0] == 0).all() and (drawn[4:] == 1).all()
    assert drawn[1:4].max() == 0 and drawn.min() >= 0  # the darkest tissue
    assert grey(torch.zeros(1, 4, 4)).max() == 0
    assert grey(torch.arange(16.0).reshape(1, 4, 4)).max() == 1  # a film: no background


def test_examples_have_a_row_each_and_a_column_per_channel() -> None:
    images, masks = slices()
    figure = examples(images, masks, ["none", "core"], ["t1n", "t1c", "t2w", "t2f"])
    assert len(figure.axes) == 8
    assert [figure.axes[i].get_ylabel() for i in (0, 4)] == ["none", "core"]
    assert [a.get_title() for a in figure.axes[:4]] == ["t1n", "t1c", "t2w", "t2f"]
    assert len(figure.axes[0].collections) == 2  # one line for each label
    # outlines do not widen the picture
    assert figure.axes[0].get_xlim() == pytest.approx((-0.5, 15.5))
    bare = examples(images, None, ["none", "core"], ["t1n", "t1c", "t2w", "t2f"])
    assert not bare.axes[0].collections


def test_disagreement_in_per_cent_and_no_number_on_the_diagonal() -> None:
    shares = pd.DataFrame([[0.0, 0.25], [0.25, 0.0]], index=["a", "b"], columns=["a", "b"])
    texts = [t.get_text() for t in disagreement_matrix(shares).axes[0].texts]
    assert texts == ["–", "25 %", "25 %", "–"]


def test_confusions_show_counts_and_colour_shares() -> None:
    table = pd.DataFrame([[3, 1], [0, 0]], index=["none", "core"], columns=["none", "core"])
    figure = confusions({"VGG": table, "ViT": table, "hybrid": table, "again": table})
    assert [t.get_text() for t in figure.axes[0].texts] == ["3", "1", "0", "0"]
    shares = np.asarray(figure.axes[0].images[0].get_array())
    np.testing.assert_allclose(shares, np.array([[0.75, 0.25], [0.0, 0.0]]))
    assert len(figure.axes) == 6 and not figure.axes[5].axison


def test_looks_draws_the_map_over_the_whole_image() -> None:
    images, masks = slices()
    maps = {"rollout": torch.rand(2, 7, 7), "cam": torch.zeros(2, 7, 7)}
    figure = looks(images, masks, maps, ["one", "two"])
    assert [a.get_title() for a in figure.axes[:3]] == ["image", "rollout", "cam"]
    below, above = figure.axes[1].images
    assert below.get_extent() == above.get_extent()
    np.testing.assert_allclose(np.asarray(above.get_array()), maps["rollout"][0].numpy())


def test_costs_stand_beside_the_measure() -> None:
    networks = [
        Priced("student", 700_000, 6_000, 0.7, (0.6, 0.8)),
        Priced("A4", 56_000_000, 280_000, 0.95, (0.85, 1.05), teacher=True),
    ]
    figure = cost_beside(networks, "balanced accuracy")
    bars = [[p.get_width() for p in a.patches] for a in figure.axes[:2]]  # type: ignore[attr-defined]
    assert bars == [[6.0, 280.0], [0.7, 56.0]]
    spans = [tuple(line.get_xdata()) for line in figure.axes[2].lines[::2]]  # type: ignore[arg-type]
    assert spans == [(0.6, 0.8), (0.85, 1.0)]  # no share lies beyond 1


def test_the_pyramid_covers_one_field_in_mm() -> None:
    figure = pyramid([torch.rand(4, n, n) for n in (28, 56)], (3, 7), FIELD_MM)
    assert [a.get_xlim() for a in figure.axes] == [(0, FIELD_MM)] * 2
    assert "28 × 28 pixels of 8 mm\n3 × 3 cells of 75 mm" in figure.axes[0].get_title(loc="left")
    assert len(figure.axes[1].lines) == 2 * 8


def test_a_spectrum_peaks_at_the_frequency_of_the_stripes() -> None:
    x = (np.arange(112) + 0.5) * 2.0  # mm
    stripes = np.tile(0.5 + 0.4 * np.sin(2 * np.pi * x / 8), (112, 1))  # 8 mm: 1.25 cycles per cm
    figure = detail({"stripes": stripes}, FIELD_MM, (112, 112), [112])
    line = figure.axes[-1].lines[0]
    frequency, power = (np.asarray(v) for v in (line.get_xdata(), line.get_ydata()))
    high = frequency > 0.5
    assert frequency[high][power[high].argmax()] == pytest.approx(1.25, abs=0.05)
    assert figure.axes[-1].lines[1].get_xdata()[0] == pytest.approx(2.5)  # type: ignore[index]
    assert figure.axes[0].get_xlim() == pytest.approx((112 - 44.8, 112 + 44.8))


def test_arrows_point_where_the_flow_points_and_titles_tell_its_size() -> None:
    flow = torch.zeros(2, 7, 7)
    flow[0] = 0.5  # to the right
    figure = flow_arrows(slices()[0][0], slices()[1][0], [flow], FIELD_MM, 32.0)
    (arrows,) = [c for c in figure.axes[0].collections if isinstance(c, Quiver)]
    np.testing.assert_allclose(np.asarray(arrows.U, float), 32.0)  # drawn as long as a cell
    np.testing.assert_allclose(np.asarray(arrows.V, float), 0.0)
    assert "mean |Δ| 0.50 cells\n= 16.0 mm, drawn × 2" in figure.axes[0].get_title(loc="left")
    still = flow_arrows(slices()[0][0], None, [torch.zeros(2, 3, 3)], FIELD_MM, 32.0)
    assert "0.00 cells" in still.axes[0].get_title(loc="left")


def test_reading_draws_each_weight_in_its_cell_and_frames_the_reader() -> None:
    weights = np.zeros(1 + 4)
    weights[[0, 2]] = 0.25, 0.75  # the one coarse cell, and the upper right fine one
    figure = reading(slices()[0][0], None, weights, (1, 2), 2, FIELD_MM)
    coarse, fine = ([p for p in a.patches if isinstance(p, Rectangle)] for a in figure.axes)
    assert [p.get_width() for p in coarse] == [FIELD_MM]
    assert [p.get_xy() for p in fine] == [(112, 0), (112, 0)]
    opacity = [to_rgba(p.get_facecolor())[3] for p in (fine[0], coarse[0])]
    assert opacity == pytest.approx([0.75, 0.25])  # the strongest, and a third of it
    assert fine[1].get_linewidth() > fine[0].get_linewidth()
    assert "75 % of the attention" in figure.axes[1].get_title(loc="left")
