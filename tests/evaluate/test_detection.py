"""Average precision against MONAI's, and on cases by hand."""

import math
from dataclasses import astuple
from typing import Any

import numpy as np
import pytest
from monai.apps.detection.metrics.coco import COCOMetric
from monai.apps.detection.metrics.matching import matching_batch
from monai.data.box_utils import box_iou

from medkd_lib.evaluate.detection import Detections, Precision, average_precision


def drawn(seed: int, images: int = 12, classes: int = 2, ties: bool = False) -> Detections:
    """Marked boxes; most are found a little beside, some twice, and there are false alarms."""
    rng = np.random.default_rng(seed)
    boxes, scores, truths, kinds, there = [], [], [], [], []
    for _ in range(images):
        low = rng.uniform(0, 80, (rng.integers(0, 6), 2))
        marks = np.concatenate([low, low + rng.uniform(4, 30, low.shape)], axis=1)
        own = rng.integers(1, classes + 1, len(marks))
        chosen = rng.integers(0, max(1, len(marks)), rng.integers(0, 9) if len(marks) else 0)
        near = marks[chosen] + rng.normal(0, 1.5, (len(chosen), 4))
        false = rng.uniform(0, 60, (rng.integers(0, 4), 2))
        boxes.append(np.concatenate([near, np.concatenate([false, false + 15], axis=1)]))
        sure = rng.random(len(boxes[-1]))
        scores.append(np.round(sure, 1) if ties else sure)
        truths.append(marks)
        kinds.append(np.concatenate([own[chosen], rng.integers(1, classes + 1, len(false))]))
        there.append(own)
    names = [f"p{n // 2}" for n in range(images)]
    return Detections.of(boxes, scores, truths, names, kinds, there)


def of_monai(d: Detections) -> Precision:
    marked = sorted({int(k) for kinds in d.truth_classes for k in kinds})
    metric = COCOMetric(list(map(str, marked)), iou_list=[0.5], iou_range=(0.5, 0.95, 0.05))
    kept = [np.isin(k, marked) for k in d.classes]
    of: Any = box_iou
    results = matching_batch(
        of, metric.get_iou_thresholds(), [b[k] for b, k in zip(d.boxes, kept, strict=True)],
        [np.searchsorted(marked, c[k]) for c, k in zip(d.classes, kept, strict=True)],
        [s[k] for s, k in zip(d.scores, kept, strict=True)], d.truths,
        [np.searchsorted(marked, c) for c in d.truth_classes],
    )  # fmt: skip
    numbers, _ = metric(results)
    return Precision(
        numbers["AP_IoU_0.50_MaxDet_100"], numbers["mAP_IoU_0.50_0.95_0.05_MaxDet_100"]
    )


@pytest.mark.parametrize("ties", [False, True], ids=["untied", "tied"])
@pytest.mark.parametrize("seed", range(4))
def test_monai_agrees_but_for_its_single_precision(seed: int, ties: bool) -> None:
    d = drawn(seed, ties=ties)
    mine, theirs = average_precision(d), of_monai(d)
    assert 0.05 < mine.coco < mine.at_50 < 1
    assert mine.at_50 == pytest.approx(theirs.at_50, abs=5e-4)
    assert mine.coco == pytest.approx(theirs.coco, abs=5e-4)


def test_a_class_that_is_marked_nowhere_is_left_out() -> None:
    d = drawn(0, classes=3)
    gone = [k != 2 for k in d.truth_classes]
    without = Detections.of(
        d.boxes, d.scores, [t[g] for t, g in zip(d.truths, gone, strict=True)], d.patients,
        d.classes, [k[g] for k, g in zip(d.truth_classes, gone, strict=True)],
    )  # fmt: skip
    mine, theirs = average_precision(without), of_monai(without)
    assert mine.coco == pytest.approx(theirs.coco, abs=5e-4)
    assert any((k == 2).any() for k in without.classes)


ONE = pytest.approx((1, 1))


def one(boxes: object, scores: object, truths: object) -> Detections:
    return Detections.of([boxes], [scores], [truths], ["p"])  # type: ignore[list-item]


def test_by_hand() -> None:
    two = [(0, 0, 10, 10), (20, 20, 30, 30)]
    assert astuple(average_precision(one(two, [0.9, 0.8], two))) == ONE
    # half of the lesions, without a false alarm: 51 of 101 recalls
    assert average_precision(one(two[:1], [0.9], two)).at_50 == pytest.approx(51 / 101)
    # a false alarm first: precision 1/2 everywhere
    first = average_precision(one([(50, 50, 60, 60), two[0]], [0.9, 0.8], two[:1]))
    assert first.at_50 == pytest.approx(0.5)
    # IoU 8 / 10: hit at .5, .55, … .8, which are 7 of 10 thresholds
    near = average_precision(one([(0, 0, 10, 8)], [0.9], two[:1]))
    assert (near.at_50, near.coco) == pytest.approx((1, 0.7))


def test_images_without_anything() -> None:
    nothing = one([], [], [])
    assert math.isnan(average_precision(nothing).coco)
    assert math.isnan(average_precision(one([(0, 0, 4, 4)], [0.9], [])).at_50)
    assert average_precision(one([], [], [(0, 0, 4, 4)])) == Precision(0.0, 0.0)


def test_odd_boxes_have_a_precision() -> None:
    pixel = [(3, 4, 4, 5)]
    assert astuple(average_precision(one(pixel, [0.5], pixel))) == ONE
    beyond = [(-20, -20, 5, 5)]
    assert astuple(average_precision(one(beyond, [0.5], beyond))) == ONE
    for wrong in ([(3, 3, 3, 9)], [(5, 5, 2, 2)], [(900, 0, 901, 1)]):
        assert average_precision(one(wrong, [0.5], pixel)) == Precision(0.0, 0.0)


def test_a_thousand_boxes_and_the_hundred_that_count() -> None:
    many = np.array([(x, y, x + 1, y + 1) for x in range(40) for y in range(25)], float)
    found = average_precision(one(many, np.linspace(1, 0, 1000), many))
    # recalls 0, 0.01, … 0.1 of 101
    assert found.at_50 == pytest.approx(11 / 101)


def test_the_surest_box_comes_first() -> None:
    d = one([(0, 0, 1, 1), (0, 0, 2, 2)], [0.1, 0.7], [])
    assert d.scores[0].tolist() == [0.7, 0.1] and d.boxes[0][0, 2] == 2


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="as many images everywhere"):
        Detections.of([[]], [[]], [[], []], ["p", "q"])
    with pytest.raises(ValueError, match="image 0: expected a score"):
        one([(0, 0, 1, 1)], [], [])
    with pytest.raises(ValueError, match="finite"):
        one([(0, 0, 1, math.nan)], [0.5], [])
    with pytest.raises(ValueError, match="marked boxes with an area"):
        one([], [], [(3, 3, 3, 9)])
