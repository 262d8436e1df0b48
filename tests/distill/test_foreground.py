"""Cells of boxes, hard background and the distance over both, by hand."""

import pytest
import torch
from torch import Tensor

from medkd_lib.distill.feature_distance import feature_distance
from medkd_lib.distill.foreground import cells_of_boxes, foreground_distance, hard_background


def cells(*boxes: tuple[float, ...], size: tuple[int, int] = (8, 8)) -> list[list[int]]:
    rows = torch.tensor([boxes], dtype=torch.float32).reshape(1, -1, 4)
    there = torch.ones(rows.shape[:2], dtype=torch.bool)
    return cells_of_boxes(rows, there, size, (4, 4))[0].int().tolist()


def test_a_cell_counts_as_soon_as_a_box_touches_it() -> None:
    # cells of two pixels; from pixel 1 to pixel 4 are the first two columns, the second row alone
    assert cells((1, 2, 4, 4)) == [[0, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    # one pixel is one cell; an edge on an edge touches nothing
    assert cells((7, 7, 8, 8))[3] == [0, 0, 0, 1] and sum(map(sum, cells((7, 7, 8, 8)))) == 1
    # two boxes do not make a cross of each other's rows and columns
    assert cells((0, 0, 2, 2), (6, 6, 8, 8)) == [
        [1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1],
    ]  # fmt: skip


def test_images_that_are_not_square_and_boxes_beyond_them() -> None:
    wide = cells((-5, 2, 3, 99), size=(4, 16))  # cells of one row and four columns
    assert wide == [[0, 0, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]]
    assert cells((20, 20, 30, 30)) == [[0] * 4] * 4


def test_rows_that_fill_up_and_boxes_without_area_touch_nothing() -> None:
    boxes = torch.tensor([[[0.0, 0, 8, 8], [3, 3, 3, 3]]])
    there = torch.tensor([[False, True]])
    assert not cells_of_boxes(boxes, there, (8, 8), (2, 2)).any()


def test_a_thousand_boxes_are_their_union() -> None:
    draw = torch.Generator().manual_seed(0)
    corners = torch.rand(2, 1000, 2, generator=draw) * 30
    boxes = torch.cat([corners, corners + 1 + torch.rand(2, 1000, 2, generator=draw)], dim=2)
    boxes[1, 500:] = 0
    there = torch.ones(2, 1000, dtype=torch.bool)
    there[1, 500:] = False
    found = cells_of_boxes(boxes, there, (32, 32), (16, 16))
    expected = torch.zeros(2, 16, 16, dtype=torch.bool)
    for n in range(2):
        for box, is_there in zip(boxes[n].tolist(), there[n].tolist(), strict=True):
            for i in range(16):
                for j in range(16) if is_there else ():
                    across = box[0] < 2 * j + 2 and box[2] > 2 * j
                    expected[n, i, j] |= across and box[1] < 2 * i + 2 and box[3] > 2 * i
    assert torch.equal(found, expected)


DIFFICULTY = torch.tensor([[[9.0, 1, 5], [2, 5, 8]], [[9.0, 1, 5], [2, 5, 8]]])


def test_the_hardest_background_cells_as_many_as_foreground() -> None:
    foreground = torch.zeros(2, 2, 3, dtype=torch.bool)
    foreground[0, 0, 0] = foreground[0, 1, 2] = True  # 9 and 8 are taken
    found = hard_background(DIFFICULTY, foreground, ratio=1.0, least=1)
    assert found[0].int().tolist() == [[0, 0, 1], [0, 1, 0]]  # both fives
    assert found[1].int().tolist() == [[1, 0, 0], [0, 0, 0]]  # no object: one all the same
    # of two equal ones the first; a ratio of 0.6 of two cells is one
    fewer = hard_background(DIFFICULTY, foreground, ratio=0.6, least=0)
    assert fewer[0].int().tolist() == [[0, 0, 1], [0, 0, 0]] and not fewer[1].any()


def test_there_is_never_more_background_than_there_is() -> None:
    foreground = torch.ones(2, 2, 3, dtype=torch.bool)
    foreground[0, 1, 1] = False
    found = hard_background(DIFFICULTY, foreground, ratio=5.0, least=9)
    assert torch.equal(found, ~foreground)


def maps(seed: int, channels: int = 3) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(2, channels, 4, 4, generator=draw, dtype=torch.float64)


@pytest.mark.parametrize("kind", ["l2", "cosine"])
def test_everywhere_it_is_the_plain_distance(kind: str) -> None:
    every = torch.ones(2, 4, 4, dtype=torch.bool)
    found = foreground_distance(maps(0), maps(1), every, kind)  # type: ignore[arg-type]
    plain = feature_distance(maps(0), maps(1), kind, normalise=False, reduction="none")  # type: ignore[arg-type]
    torch.testing.assert_close(found, plain)


def test_by_hand_one_object_and_one_hard_cell() -> None:
    student, teacher = torch.zeros(1, 2, 2, 2), torch.zeros(1, 2, 2, 2)
    teacher[0, :, 0, 0] = torch.tensor([1.0, 3.0])  # (1 + 9) / 2 = 5 inside
    teacher[0, :, 0, 1] = 2.0  # 4 outside
    teacher[0, :, 1, 0] = 1.0  # 1 outside, too easy
    inside = torch.tensor([[[True, False], [False, False]]])
    assert float(foreground_distance(student, teacher, inside, least=0)) == pytest.approx(4.5)
    assert float(foreground_distance(student, teacher, inside, ratio=0.0, least=0)) == 5
    nothing = torch.zeros(1, 2, 2, dtype=torch.bool)
    assert float(foreground_distance(student, teacher, nothing, least=2)) == pytest.approx(4.5)
    assert float(foreground_distance(student, teacher, nothing, least=0)) == 0


def test_what_is_neither_object_nor_hard_gets_no_gradient() -> None:
    student, teacher = maps(0).requires_grad_(), maps(1).requires_grad_()
    inside = torch.zeros(2, 4, 4, dtype=torch.bool)
    inside[0, 1, 2] = inside[1, 3, 0] = True
    foreground_distance(student, teacher, inside, least=1).sum().backward()
    assert teacher.grad is None and student.grad is not None
    heard = student.grad.abs().sum(dim=1) > 0
    each = (student - teacher).detach().square().mean(dim=1)
    assert torch.equal(heard, inside | hard_background(each, inside, least=1))
    assert heard.sum(dim=(1, 2)).tolist() == [2, 2]


def test_what_does_not_fit_is_refused() -> None:
    inside = torch.zeros(2, 4, 4, dtype=torch.bool)
    with pytest.raises(ValueError, match="of one shape"):
        foreground_distance(maps(0), maps(1, 4), inside)
    with pytest.raises(ValueError, match="l2 or cosine"):
        foreground_distance(maps(0), maps(1), inside, "mmd")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="0 or more"):
        hard_background(DIFFICULTY, DIFFICULTY > 5, ratio=-1.0)
    with pytest.raises(ValueError, match="as the foreground's"):
        hard_background(DIFFICULTY, inside)
