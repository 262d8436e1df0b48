"""Image by image, FROC adds up to the curve's own mean sensitivity."""

import numpy as np
import pytest

from medkd_lib.evaluate.detection import Detections
from medkd_lib.evaluate.froc import froc
from medkd_lib.evaluate.froc_cases import froc_of_images
from medkd_lib.evaluate.hits import hits
from medkd_lib.evaluate.lesion_size import sensitivity_by_size


def found(images: int = 40, seed: int = 0) -> Detections:
    rng = np.random.default_rng(seed)
    boxes, scores, truths = [], [], []
    for _ in range(images):
        corner = rng.uniform(0, 80, (rng.integers(0, 3), 2))
        marked = np.concatenate([corner, corner + 10], axis=1)
        hit = marked[rng.random(len(marked)) < 0.7] + rng.normal(0, 1, 4)
        noise = rng.uniform(0, 80, (rng.integers(0, 4), 2))
        boxes.append(np.concatenate([hit, np.concatenate([noise, noise + 8], axis=1)]))
        scores.append(rng.random(len(boxes[-1])).round(2))  # with ties
        truths.append(marked)
    return Detections.of(boxes, scores, truths, [str(k // 2) for k in range(images)])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("criterion", ["iou", "centre"])
def test_the_mean_over_images_with_lesions_is_the_score(criterion: str, seed: int) -> None:
    d = found(seed=seed)
    values = froc_of_images(d, criterion)  # type: ignore[arg-type]
    assert np.isnan(values).tolist() == [not len(t) for t in d.truths]
    expected = froc(d, criterion, draws=2).score  # type: ignore[arg-type]
    assert np.nanmean(values) == pytest.approx(expected)


def test_by_hand() -> None:
    """Two images, one lesion each; the false alarm is surer than the second lesion's box."""
    marked, away = [[0, 0, 10, 10]], [[50, 50, 60, 60]]
    d = Detections.of([marked, [*away, *marked]], [[0.9], [0.8, 0.7]], [marked, marked], ["a", "b"])
    # below a half false alarm per image 0.8 must not pass: the first lesion alone is found
    values = froc_of_images(d, rates=(0.25, 0.5))
    np.testing.assert_allclose(values, [1.0, 0.5])


def test_nothing_found_and_nothing_marked() -> None:
    nothing = Detections.of([[], []], [[], []], [[[0, 0, 5, 5]], []], ["a", "b"])
    np.testing.assert_array_equal(froc_of_images(nothing), [0.0, np.nan])
    found_none = Detections.of(
        [[]] * 3, [[]] * 3, [[[0, 0, 5 + k, 5]] for k in range(3)], list("abc")
    )
    assert all(one.sensitivity == 0 for one in sensitivity_by_size(found_none, draws=5).values())
    with pytest.raises(ValueError, match="expected a marked lesion"):
        froc_of_images(Detections.of([[]], [[]], [[]], ["a"]))


def test_a_box_without_an_area_hits_nothing() -> None:
    flat, truth = np.array([[5.0, 5.0, 5.0, 5.0]]), np.array([[0.0, 0.0, 10.0, 10.0]])
    assert not hits(flat, truth, "centre").any() and not hits(flat, truth).any()
    assert hits(flat + np.array([0, 0, 1, 1]), truth, "centre").all()
