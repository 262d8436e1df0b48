"""Boxes of many images in one tensor, cut to the image, and moved with what they mark."""

import numpy as np
import pytest
import torch

from medkd_lib.data.box_batches import BOXES, CLASSES, marked, padded_boxes
from medkd_lib.data.box_views import box_views


def test_boxes_come_back_as_they_went_in() -> None:
    boxes = [[(1, 2, 5, 9), (0, 0, 1, 1)], [], [(3, 3, 4, 8)]]
    batch = padded_boxes(boxes, [[1, 2], [], [2]], most=4)
    assert batch[BOXES].shape == (3, 4, 4) and batch[CLASSES].dtype == torch.int64
    found = marked(batch, (10, 10))
    assert [b.tolist() for b, _ in found] == [[list(map(float, b)) for b in own] for own in boxes]
    assert [c.tolist() for _, c in found] == [[1, 2], [], [2]]
    assert padded_boxes([[], []])[BOXES].shape == (2, 1, 4)
    assert padded_boxes([[(0, 0, 1, 1)]])[CLASSES].tolist() == [[1]]


def test_a_box_means_what_of_it_is_inside() -> None:
    batch = padded_boxes([[(-3, -3, 2, 2), (8, 1, 99, 5)]])
    ((boxes, _),) = marked(batch, (6, 10))
    assert boxes.tolist() == [[0, 0, 2, 2], [8, 1, 10, 5]]


@pytest.mark.parametrize("box", [(10, 0, 12, 4), (-4, 0, 0, 4), (0, 6, 4, 9)])
def test_a_box_beside_the_image_is_refused(box: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"within the image of 6 x 10.*image 1"):
        marked(padded_boxes([[], [box]]), (6, 10))


def test_what_is_no_box_is_refused() -> None:
    for box in ((3, 3, 3, 5), (5, 3, 4, 4)):
        with pytest.raises(ValueError, match=r"x1 < x2.*image 1"):
            padded_boxes([[(0, 0, 1, 1)], [box]])
    with pytest.raises(ValueError, match="1 or more, found 0"):
        padded_boxes([[(0, 0, 1, 1)]], [[0]])
    with pytest.raises(ValueError, match="one per box"):
        padded_boxes([[(0, 0, 1, 1)]], [[1, 1]])
    with pytest.raises(ValueError, match="expected 2 or more"):
        padded_boxes([[(0, 0, 1, 1), (0, 0, 2, 2)]], most=1)


def test_a_thousand_boxes_of_an_image() -> None:
    rows = np.arange(4000.0).reshape(1000, 4) % 7
    rows[:, 2:] = rows[:, :2] + 1
    ((boxes, classes),) = marked(padded_boxes([rows]), (10, 10))
    np.testing.assert_array_equal(boxes.numpy(), rows)
    assert len(classes) == 1000


def test_boxes_move_with_what_they_mark() -> None:
    """The only bright pixels of an image are those inside of its box, before and after."""
    draw = np.random.default_rng(0)
    boxes = []
    images = torch.full((40, 1, 20, 24), -1.0)
    for n in range(40):
        x, y = draw.integers(2, 14), draw.integers(2, 10)
        w, h = draw.integers(2, 7, 2)
        boxes.append([(x, y, x + w, y + h)])
        images[n, 0, y : y + h, x : x + w] = 1.0
    batch = {"images": images, **padded_boxes(boxes, most=2)}
    torch.manual_seed(0)
    view = box_views(batch, shift=6, flip=0.5, visible=0.0)
    assert not torch.equal(view["images"], images)
    for image, rows, kinds in zip(view["images"], view[BOXES], view[CLASSES], strict=True):
        x1, y1, x2, y2 = (int(v) for v in rows[0])
        assert int(kinds[0]) == 1 and int(kinds[1]) == 0
        lit = torch.full_like(image, -1.0)
        lit[0, y1:y2, x1:x2] = 1.0
        assert torch.equal(image, lit)


def test_marks_of_what_has_left_are_taken_away() -> None:
    batch = {"images": torch.zeros(50, 1, 8, 8), **padded_boxes([[(0, 0, 4, 1)]] * 50)}
    torch.manual_seed(0)
    view = box_views(batch, shift=3, visible=0.5)
    kept = view[CLASSES][:, 0] > 0
    area = (view[BOXES][:, 0, 2:] - view[BOXES][:, 0, :2]).prod(dim=1)
    assert kept.any() and not kept.all()
    assert (area[kept] >= 2).all() and (area[~kept] < 2).all()
    marked(view, (8, 8))  # nothing that is left is refused
