"""Outlines of answers, and what is found where nothing is."""

import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from medkd_lib.evaluate.false_positives import false_positives
from medkd_lib.evaluate.intervals import patient_bootstrap
from medkd_lib.show.section import ANSWERS, TRUTH
from medkd_lib.show.segmentation import false_positive_gallery, outlined

mpl.use("agg")
SPACING = (5.0, 5.0, 5.0)


def masks(n: int, *boxes: tuple[int, int]) -> torch.Tensor:
    """Make masks; each box is (section, first row)."""
    found = torch.zeros(n, 24, 32, dtype=torch.bool)
    for section, row in boxes:
        found[section, row : row + 4, 10:15] = True
    return found


def test_each_arm_has_a_panel_with_truth_and_answer_at_the_framed_place() -> None:
    images, truth = torch.zeros(2, 24, 32), masks(2, (0, 4), (1, 12))
    answers = {"CT only": masks(2, (0, 6)), "CMEDL": truth}
    figure = outlined(images, truth, answers, ["one", "two"], margin=2)
    panels = np.array(figure.axes).reshape(2, 3)
    assert [axis.get_title() for axis in panels[0]] == ["", "CT only", "CMEDL"]
    colours = [to_hex(line.get_edgecolor()[0]).upper() for line in panels[0][1].collections]
    assert colours == [TRUTH, ANSWERS[0][0]]
    (frame,) = [p for p in panels[0][0].patches if isinstance(p, Rectangle)]
    axis = panels[0][1]
    assert axis.get_xlim() == (frame.get_x(), frame.get_x() + frame.get_width())
    assert axis.get_ylim() == (frame.get_y() + frame.get_height(), frame.get_y())
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["truth", "answer"]


def test_an_arm_that_found_nothing_says_so() -> None:
    images, truth = torch.zeros(1, 24, 32), masks(1, (0, 4))
    figure = outlined(images, truth, {"a": masks(1), "b": truth}, ["one"])
    said = [[t.get_text() for t in axis.texts] for axis in figure.axes]
    assert said == [[], ["nothing found"], []]


def test_together_the_arms_share_a_panel_and_stand_in_the_legend() -> None:
    images, truth = torch.zeros(1, 24, 32), masks(1, (0, 4))
    figure = outlined(images, truth, {"a": truth, "b": truth}, ["one"], together=True)
    assert len(figure.axes) == 2 and len(figure.axes[1].collections) == 3
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["truth", "a", "b"]
    with pytest.raises(ValueError, match="outlined: "):
        outlined(images, truth[:, 1:], {"a": truth}, ["one"])


def test_the_gallery_shows_the_largest_first_and_the_share_over_all_sections() -> None:
    n = 8
    ids = [f"p{i // 4}/k{i % 4:03d}" for i in range(n)]
    truth = masks(n, (0, 4)).numpy()
    answer = masks(n, (0, 4), (2, 4), (5, 2)).numpy()
    answer[5, 2:12, 10:15] = True  # the larger one, in a case without tumour
    answer[7, 0, 0] = True  # a voxel that does not count
    table = false_positives(answer, truth, ids, SPACING, least_mm2=100)
    images = torch.arange(n)[:, None, None] / n * torch.ones(n, 24, 32)
    figure = false_positive_gallery("CT only", table, images, answer, ids, least_mm2=100)
    shown = [axis for axis in figure.axes if axis.images]
    assert [np.asarray(a.images[0].get_array())[0, 0] * n for a in shown] == [5, 2]
    assert [axis.get_xlabel() for axis in shown] == [
        "12.5 cm², a case without tumour", "5.0 cm², 10 mm from tumour"]  # fmt: skip
    low, high = patient_bootstrap(table.flagged.to_numpy(), list(table.case))
    title = figure.get_suptitle()
    assert "2 of 7 sections" in title and "1 cm² or more" in title
    assert f"29 %, 95 % interval {100 * low:.0f} to {100 * high:.0f} %" in title
    one = false_positive_gallery("CT only", table, images, answer, ids, least_mm2=100, count=1)
    assert sum(bool(axis.images) for axis in one.axes) == 1 and "2 of 7" in one.get_suptitle()


def test_an_arm_without_false_positives_gets_no_interval() -> None:
    truth = masks(2, (0, 4)).numpy()
    ids = ["p/k000", "p/k001"]
    table = false_positives(truth, truth, ids, SPACING, least_mm2=100)
    figure = false_positive_gallery(
        "oracle", table, torch.zeros(2, 24, 32), truth, ids, least_mm2=100
    )
    assert not any(axis.images for axis in figure.axes)
    assert "0 of 1" in figure.get_suptitle() and "interval" not in figure.get_suptitle()
    with pytest.raises(ValueError, match="found none in the table"):
        false_positive_gallery(
            "oracle", table[:0], torch.zeros(2, 24, 32), truth, ids, least_mm2=100
        )
