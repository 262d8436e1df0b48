"""One section in one axis: on a fixed scale, outlined where the mask is."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from medkd_lib.show.section import (
    ANSWERS,
    TRUTH,
    Outline,
    answer_outlines,
    draw_section,
    legend_lines,
    same_stack,
    window_around,
)

mpl.use("agg")


def box(top: int, left: int, side: int = 3, shape: tuple[int, int] = (12, 20)) -> torch.Tensor:
    mask = torch.zeros(shape, dtype=torch.bool)
    mask[top : top + side, left : left + side] = True
    return mask


def test_a_section_has_the_given_scale_and_its_outline_lies_on_the_mask() -> None:
    figure, axis = plt.subplots()
    shown = draw_section(axis, torch.zeros(12, 20), [Outline(box(0, 5))], aspect=2.0)
    assert shown.get_clim() == (-1, 1) and axis.get_aspect() == 2
    (line,) = axis.collections
    corners = line.get_paths()[0].get_extents()
    # half a pixel beyond the outermost centres, closed at the picture's edge
    assert (corners.x0, corners.x1, corners.y0, corners.y1) == (4.5, 7.5, -0.5, 2.5)
    assert axis.get_xlim() == (-0.5, 19.5) and axis.get_ylim() == (11.5, -0.5)
    plt.close(figure)


def test_an_empty_mask_has_no_line_and_one_of_another_shape_is_refused() -> None:
    figure, axis = plt.subplots()
    draw_section(axis, torch.zeros(12, 20), [Outline(torch.zeros(12, 20))])
    assert not axis.collections
    with pytest.raises(ValueError, match=r"shape \(12, 20\), found \(4, 4\)"):
        draw_section(axis, torch.zeros(12, 20), [Outline(torch.ones(4, 4))])
    plt.close(figure)


def test_answers_never_look_like_the_truth_nor_like_each_other() -> None:
    lines = answer_outlines({name: box(0, 0) for name in "abcd"})
    assert TRUTH not in {line.colour for line in lines.values()}
    assert len({line.style for line in lines.values()}) == len(ANSWERS)
    assert [line.get_label() for line in legend_lines(lines)] == [*"abcd"]
    with pytest.raises(ValueError, match="at most 4 in one picture, found 5"):
        answer_outlines({name: box(0, 0) for name in "abcde"})


def test_stacks_of_different_shapes_are_named() -> None:
    assert same_stack("both", {"a": torch.zeros(2, 3, 4), "b": np.zeros((2, 3, 4))}) == (2, 3, 4)
    with pytest.raises(ValueError, match=r"both: .*'b': \(2, 4, 3\)"):
        same_stack("both", {"a": torch.zeros(2, 3, 4), "b": torch.zeros(2, 4, 3)})


def test_a_window_holds_all_masks_keeps_its_shape_and_stays_in_the_image() -> None:
    left, right, bottom, top = window_around([box(1, 2), box(5, 4)], 1, 20 / 12)
    assert left <= 1.5 and right >= 6.5 and top <= 0.5 and bottom >= 7.5
    assert (right - left) / (bottom - top) == pytest.approx(20 / 12)
    assert left >= -0.5 and top >= -0.5 and right <= 19.5 and bottom <= 11.5
    empty = torch.zeros(12, 20, dtype=torch.bool)
    assert window_around([empty], 1, 20 / 12) == (-0.5, 19.5, 11.5, -0.5)
