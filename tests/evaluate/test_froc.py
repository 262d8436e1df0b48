"""Hits and FROC by hand, against MONAI, and their bands against a loop over patients."""

import math

import numpy as np
import pytest
from monai.metrics import compute_froc_curve_data

from medkd_lib.evaluate.detection import Detections
from medkd_lib.evaluate.froc import RATES, froc, operating_point, sensitivities
from medkd_lib.evaluate.hits import hits, ledger, overlaps
from medkd_lib.evaluate.intervals import redrawn_patients
from medkd_lib.evaluate.lesion_size import sensitivity_by_size
from tests.evaluate.test_detection import drawn

MARK = np.array([[10.0, 10, 20, 20]])


def boxes(*rows: tuple[float, ...]) -> np.ndarray:
    return np.array(rows, float).reshape(-1, 4)


def test_overlaps_by_hand() -> None:
    found = overlaps(
        boxes((10, 10, 20, 20), (15, 10, 25, 20), (0, 0, 5, 5), (12, 12, 12, 15)), MARK
    )
    np.testing.assert_allclose(found[:, 0], [1, 1 / 3, 0, 0])
    assert overlaps(boxes((20, 20, 10, 10)), MARK)[0, 0] == 0  # swapped
    assert overlaps(boxes(), MARK).shape == (0, 1)


def test_two_criteria() -> None:
    # half of the mark: IoU 0.5, and its centre at (12.5, 15) lies in it
    half = boxes((10, 10, 15, 20))
    assert hits(half, MARK, "iou", 0.5)[0, 0] and not hits(half, MARK, "iou", 0.51)[0, 0]
    assert hits(half, MARK, "centre")[0, 0]
    # large around it: the centre hits, the overlap is a quarter
    large = boxes((5, 5, 25, 25))
    assert hits(large, MARK, "centre")[0, 0] and not hits(large, MARK, "iou", 0.3)[0, 0]
    # a centre on the right edge is outside, on the left edge inside
    edges = boxes((15, 10, 25, 20), (5, 10, 15, 20))
    assert hits(edges, MARK, "centre")[:, 0].tolist() == [False, True]
    assert hits(MARK, MARK, "iou", 1.0)[0, 0]
    with pytest.raises(ValueError, match="criterion"):
        hits(MARK, MARK, "rim")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="threshold"):
        hits(MARK, MARK, "iou", 0.0)


def scene() -> Detections:
    """Two patients with two images each: three lesions, one of them found twice."""
    return Detections.of(
        [
            boxes((0, 0, 10, 10), (1, 0, 11, 10), (50, 50, 60, 60)),  # hit, again, false alarm
            boxes((20, 20, 30, 30)),  # hit
            boxes((70, 0, 80, 10)),  # false alarm
            boxes(),
        ],
        [[0.9, 0.8, 0.6], [0.5], [0.7], []],
        [boxes((0, 0, 10, 10)), boxes((20, 20, 30, 30), (60, 60, 64, 64)), boxes(), boxes()],
        ["a", "a", "b", "b"],
    )


def test_a_lesion_counts_once() -> None:
    book = ledger(scene())
    assert book.score.tolist() == [0.9, 0.6, 0.5, 0.7]
    assert book.hit.tolist() == [True, False, True, False]
    assert book.found.tolist() == [0.9, 0.5, -math.inf]
    assert book.size.tolist() == [100, 100, 16] and book.lesion_image.tolist() == [0, 1, 1]


def test_a_curve_by_hand() -> None:
    # thresholds: .9 → 1/3 at 0; .7 → 1/3 at 1/4; .6 → 1/3 at 1/2; .5 → 2/3 at 1/2
    found = froc(scene(), rates=(0.1, 0.25, 0.49, 0.5, 8), draws=50)
    np.testing.assert_allclose(found.sensitivity, [1 / 3, 1 / 3, 1 / 3, 2 / 3, 2 / 3])
    assert found.score == pytest.approx(np.mean([1 / 3, 1 / 3, 1 / 3, 2 / 3, 2 / 3]))
    assert (found.lesions, found.images) == (3, 4)


def test_boxes_of_one_score_pass_together() -> None:
    d = Detections.of(
        [boxes((0, 0, 10, 10), (50, 50, 60, 60))], [[0.5, 0.5]], [boxes((0, 0, 10, 10))], ["a"]
    )
    found = froc(d, rates=(0.5, 1.0), draws=10)
    assert found.sensitivity.tolist() == [0, 1]


def test_classes_do_not_hit_one_another() -> None:
    d = Detections.of([MARK], [[0.9]], [MARK], ["a"], [[1]], [[2]])
    book = ledger(d)
    assert not book.hit.any() and np.isneginf(book.found).all()


@pytest.mark.parametrize("seed", range(3))
def test_monais_curve_has_the_same_points(seed: int) -> None:
    d = drawn(seed, classes=1)
    book = ledger(d, threshold=0.3)
    rates, share = compute_froc_curve_data(
        book.score[~book.hit], book.found[np.isfinite(book.found)], len(book.found),
        len(d.patients),
    )  # fmt: skip
    keep = rates > 0
    mine = froc(d, threshold=0.3, rates=rates[keep].tolist(), draws=2).sensitivity
    # MONAI lists a point for every score; the curve is the highest at a rate
    best = [share[rates <= r * (1 + 1e-12)].max() for r in rates[keep]]
    np.testing.assert_allclose(mine, best)


def test_the_band_is_that_of_redrawn_patients() -> None:
    d = drawn(5, images=16, classes=1)
    found = froc(d, rates=(0.5, 2), draws=60, seed=3)
    rows = []
    for w in redrawn_patients(d.patients, draws=60, seed=3):
        chosen = np.repeat(np.arange(16), w.astype(int))
        again = Detections.of(
            [d.boxes[i] for i in chosen], [d.scores[i] for i in chosen],
            [d.truths[i] for i in chosen], ["p"] * len(chosen),
        )  # fmt: skip
        rows.append(froc(again, rates=(0.5, 2), draws=1).sensitivity)
    low, high = np.percentile(rows, [2.5, 97.5], axis=0)
    np.testing.assert_allclose(found.low, low)
    np.testing.assert_allclose(found.high, high)
    ends = np.percentile(np.mean(rows, axis=1), [2.5, 97.5])
    np.testing.assert_allclose(found.interval, ends)


def test_more_false_alarms_never_find_less() -> None:
    found = froc(drawn(6), draws=20)
    assert found.rates.tolist() == list(RATES)
    assert (np.diff(found.sensitivity) >= 0).all()
    assert (found.low <= found.sensitivity).all() and (found.sensitivity <= found.high).all()


def test_nothing_found_and_nothing_marked() -> None:
    nothing = Detections.of([boxes()] * 2, [[]] * 2, [MARK, boxes()], ["a", "b"])
    found = froc(nothing, draws=20)
    assert found.sensitivity.tolist() == [0] * 7 and found.score == 0
    with pytest.raises(ValueError, match="expected a marked lesion"):
        froc(Detections.of([MARK], [[0.9]], [boxes()], ["a"]))
    with pytest.raises(ValueError, match="positive"):
        froc(nothing, rates=(0, 1))
    assert np.isnan(sensitivities(ledger(nothing), np.array([[0.0, 1]]), np.ones(1))).all()


def test_odd_boxes() -> None:
    pixel = boxes((3, 3, 4, 4))
    many = boxes(*((x, y, x + 1, y + 1) for x in range(40) for y in range(25)))
    for marks in (pixel, many, boxes((-9, -9, 2, 2))):
        d = Detections.of([marks], [np.linspace(1, 0.5, len(marks))], [marks], ["a"])
        assert froc(d, draws=2).score == 1
    # a found box without area is a false alarm
    flat = Detections.of([boxes((3, 3, 3, 9))], [[0.9]], [pixel], ["a"])
    assert not ledger(flat).hit.any() and len(ledger(flat).score) == 1


def test_the_operating_point() -> None:
    book = ledger(scene())  # false alarms at .7 and .6 in four images
    assert operating_point(book, 0.2, 4) == 0.9  # none is allowed
    assert operating_point(book, 0.25, 4) == 0.7
    assert operating_point(book, 0.5, 4) == 0.5
    assert np.isinf(
        operating_point(ledger(Detections.of([MARK + 40], [[0.9]], [MARK], ["a"])), 0.5, 1)
    )


def test_sensitivity_by_size() -> None:
    marks = [boxes((0, 0, s, s)) for s in (3, 4, 5, 10, 11, 12, 30, 31, 32)]
    seen = [m if s else boxes() for m, s in zip(marks, (0, 0, 1, 1, 0, 1, 1, 1, 1), strict=True)]
    d = Detections.of(seen, [[0.5] * len(b) for b in seen], marks, [f"p{n}" for n in range(9)])
    found = sensitivity_by_size(d, draws=400)
    assert [found[n].sensitivity for n in found] == pytest.approx([1 / 3, 2 / 3, 1])
    assert [(found[n].smallest, found[n].largest) for n in found] == [
        (9, 25), (100, 144), (900, 1024),
    ]  # fmt: skip
    low, high = found["middle"].interval
    assert low < 2 / 3 < high and found["large"].interval == (1, 1)
    with pytest.raises(ValueError, match="rate"):
        sensitivity_by_size(d, 0.0)


def test_sizes_that_nobody_has() -> None:
    d = Detections.of([MARK], [[0.5]], [MARK], ["a"])
    found = sensitivity_by_size(d, draws=10)
    assert sum(f.lesions for f in found.values()) == 1
    assert any(math.isnan(f.sensitivity) for f in found.values())
