"""The row without pixels: closed forms, and that no pixel has a part in it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from medkd_lib.course.experiments.box_cells import guessed
from medkd_lib.course.experiments.box_geometry import guessed_boxes, usual_boxes
from medkd_lib.data.detection_set import DetectionSet
from medkd_lib.evaluate.froc_cases import froc_of_images
from tests.course.test_box_study import cohort


def marked(*boxes: list[list[float]]) -> DetectionSet:
    """Black images with these boxes."""
    n = len(boxes)
    names = tuple(f"a:{k}" for k in range(n))
    rows: tuple[Tensor, ...] = tuple(torch.tensor(b).reshape(-1, 4) for b in boxes)
    return DetectionSet(
        torch.zeros(n, 1, 40, 40, dtype=torch.uint8), rows,
        tuple(torch.ones(len(b), dtype=torch.long) for b in rows), names, names, names,
        (None,) * n, "marked",
    )  # fmt: skip


TRAIN = marked([[0, 2, 10, 20]], [], [[4, 2, 20, 20], [8, 8, 30, 26]], [])


def test_each_guess_is_for_boxes_that_none_before_it_was_for() -> None:
    # the first box's centre, (5, 11), lies in the first two; the second's, (12, 11), in the third
    boxes, scores = usual_boxes(TRAIN)
    np.testing.assert_allclose(boxes, [[0, 2, 10, 20], [4, 2, 20, 20]])
    np.testing.assert_allclose(scores, [2 / 4, 1 / 4])
    assert len(usual_boxes(TRAIN, number=1)[0]) == 1


def test_the_same_is_found_in_every_image() -> None:
    one = marked([[4, 4, 20, 22]], [])
    found = guessed_boxes(one, marked([[4, 4, 20, 22]], [], []))
    assert all(b.tolist() == [[4, 4, 20, 22]] for b in found.boxes)
    assert {s.tolist()[0] for s in found.scores} == {0.5}
    # Two false boxes on three images: within the rates 1, 2, 4 and 8 alone.
    np.testing.assert_allclose(froc_of_images(found), [4 / 7, np.nan, np.nan])
    missed = guessed_boxes(one, marked([[30, 30, 38, 38]], []))
    assert froc_of_images(missed)[0] == 0


def test_no_pixel_has_a_part_in_it() -> None:
    seen = cohort()
    dark = {
        name: replace(part, images=torch.zeros_like(part.images))
        for name, part in seen.train.items()
    }
    test = replace(seen.test, images=torch.zeros_like(seen.test.images))
    blind = replace(seen, train=dark, test=test)
    mine, theirs = guessed(seen), guessed(blind)
    np.testing.assert_array_equal(mine.values["froc"], theirs.values["froc"])
    assert mine.extras == theirs.extras and set(mine.extras) == {"map_50", "map_coco", "froc_val"}
    assert mine.cases == list(seen.test.ids)


def test_a_guess_needs_a_box() -> None:
    with pytest.raises(ValueError, match="somewhere in 2 training images, found none"):
        usual_boxes(marked([], []))
