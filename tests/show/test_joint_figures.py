"""Figures of lesson 06: what is drawn is what was given."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.patches import Rectangle

from medkd_lib.show.domains import domain_grid
from medkd_lib.show.embedding import embedding_figure
from medkd_lib.show.fusion_shares import fusion_shares
from medkd_lib.show.level_looks import _activity, _errors, level_looks
from medkd_lib.show.source_cost import source_cost
from medkd_lib.show.transfer_matrix import SIGNED, transfer_matrix


def texts(figure: plt.Figure) -> list[str]:
    return [t.get_text() for axis in figure.axes for t in axis.texts]


def test_every_picture_is_drawn_once_per_colouring() -> None:
    points = {"PCA": np.arange(12.0).reshape(6, 2), "t-SNE": np.ones((6, 2))}
    labels = {"domain": list("aabbcc"), "class": list("xyxyxy")}
    numbers = {"domain": "probe 0.9", "class": "probe 0.5"}
    figure = embedding_figure(points, labels, numbers, title="here")
    assert [a.get_title(loc="left") for a in figure.axes] == ["PCA", "t-SNE", "", ""]
    assert [len(a.collections) for a in figure.axes] == [3, 3, 2, 2]
    drawn = figure.axes[0].collections[1].get_offsets()
    assert np.array_equal(drawn, points["PCA"][2:4])
    legend = figure.axes[3].get_legend()
    assert legend is not None and legend.get_title().get_text() == "probe 0.5"
    with pytest.raises(ValueError, match="a number for each"):
        embedding_figure(points, labels, {"domain": "probe 0.9"})
    with pytest.raises(ValueError, match=r"lengths \[5, 6\]"):
        embedding_figure(points, {"domain": list("aabbc")}, {"domain": "0.9"})
    plt.close("all")


def test_shares_are_written_where_they_lie() -> None:
    figure = fusion_shares([[0.5, 0.5], [0.25, 0.75]], ["target", "source"])
    assert sorted(texts(figure)) == ["0.25", "0.50", "0.50", "0.75"]
    bars = [(p.get_x(), p.get_width()) for p in figure.axes[0].patches if isinstance(p, Rectangle)]
    assert bars == [(0, 0.5), (0, 0.25), (0.5, 0.5), (0.25, 0.75)]
    with pytest.raises(ValueError, match="expected 3 numbers"):
        fusion_shares([[0.5, 0.5]], ["a", "b", "c"])
    plt.close("all")


def test_an_interval_with_zero_is_hatched() -> None:
    gains = {("a", "x"): (0.04, (0.01, 0.07)), ("b", "x"): (-0.02, (-0.05, 0.01))}
    figure = transfer_matrix(gains, ["a", "b"], ["x"], measure="Dice")
    assert texts(figure) == ["+0.040\n[+0.010, +0.070]", "-0.020\n[-0.050, +0.010]"]
    gain, loss = figure.axes[0].patches
    assert (gain.get_hatch(), loss.get_hatch()) == ("", "///")
    assert gain.get_facecolor() == pytest.approx(SIGNED(1.0))
    assert loss.get_facecolor() == pytest.approx(SIGNED(0.25))
    plt.close("all")


def test_activity_and_errors_are_what_they_say() -> None:
    hot = torch.zeros(3, 4, 4)
    hot[:, 1, 2] = torch.tensor([0.0, 3.0, 4.0])
    seen = _activity(hot, (4, 4))
    assert seen.max() == seen[1, 2] == 1 and seen.min() == 0
    assert not _activity(torch.ones(3, 2, 2), (4, 4)).any()
    answer, truth = np.array([0, 1, 1, 0], bool), np.array([0, 1, 0, 1], bool)
    assert _errors(answer, truth).tolist() == [0, 1, 2, 3]


def test_a_row_per_image_and_two_panels_per_network() -> None:
    images, truths = torch.zeros(2, 8, 8), torch.zeros(2, 8, 8)
    truths[:, 2:5, 2:5] = 1
    maps = {"alone": torch.rand(2, 4, 2, 2), "joint": torch.rand(2, 6, 4, 4)}
    figure = level_looks(images, truths, maps, dict.fromkeys(maps, truths > 0), level="level 2")
    assert len(figure.axes) == 10
    assert figure.axes[1].get_title(loc="left") == "alone:\nlevel 2"
    plt.close("all")


def test_each_dataset_has_a_row_and_the_targets_greys_behind_it() -> None:
    images, masks = torch.rand(2, 8, 8) * 2 - 1, torch.zeros(2, 8, 8)
    masks[:, 2:5, 2:5] = 1
    sections = {"a": (images, masks), "b": (images, masks)}
    greys = {"as read": {"a": torch.randn(500), "b": torch.randn(500) + 4}}
    figure = domain_grid(sections, greys, "a")
    assert len(figure.axes) == 6
    assert [a.get_title(loc="left") for a in figure.axes] == ["", "", "as read", "", "", ""]
    # both histograms of a panel stand on the same edges
    limits = [a.get_xlim() for a in (figure.axes[2], figure.axes[5])]
    assert limits[0] == pytest.approx(limits[1])
    plt.close("all")


def test_a_cost_has_its_line_and_says_its_slope() -> None:
    figure = source_cost((1, 2, 3), (10.0, 12.0, 14.0), (8.0, 8.0, 8.0), (5.0, 6.0, 7.0))
    left, right = figure.axes
    words = [t.get_text() for a in (left, right) for t in a.get_legend().get_texts()]  # type: ignore[union-attr]
    assert words == [
        "teachers asked: +2.0 per source", "answers kept: +0.0 per source",
        "weights and maps: +1.0 per source",
    ]  # fmt: skip
    assert left.get_ylim()[0] == 0
    plt.close("all")
