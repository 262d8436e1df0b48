"""What lesson 07 goes on with where its exercises are open."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from medkd_lib.distill.foreground import foreground_distance
from medkd_lib.evaluate.intervals import Floats


def told_by_house(
    houses: Sequence[str], classes: Sequence[int], asked: Sequence[str]
) -> NDArray[np.int64]:
    """Return what a reader answers who looks at nothing but where a film was taken.

    The most frequent class among the training films of the same house; from a house that nobody
    trained on, the most frequent of all. Of equally frequent classes the lowest.

    Args:
        houses: of the training films.
        classes: likewise.
        asked: houses of the films to be answered.
    """
    whole = Counter(classes)
    each = {h: Counter(c for k, c in zip(houses, classes, strict=True) if k == h) for h in houses}
    found = [each.get(house, whole) for house in asked]
    return np.array([min(count, key=lambda c: (-count[c], c)) for count in found], np.int64)


def auc_within(scores: Floats, positive: NDArray[np.bool_], houses: NDArray[np.str_]) -> float:
    r"""Return the share of pairs from one house that are ranked rightly; NaN without a pair.

    $$\frac{\sum_{i,j}[h_i=h_j]\bigl([s_i>s_j]+\tfrac12[s_i=s_j]\bigr)}{\sum_{i,j}[h_i=h_j]}$$

    over all i that are of the class and j that are not. Whoever knows the house and nothing else
    has 1/2.

    Args:
        scores: s, ``(N,)``.
        positive: ``(N,)``, who is of the class.
        houses: h, ``(N,)``.
    """
    ahead = scores[positive][:, None] - scores[~positive]
    same = houses[positive][:, None] == houses[~positive]
    if not same.any():
        return float("nan")
    return float(np.where(ahead > 0, 1.0, np.where(ahead == 0, 0.5, 0.0))[same].mean())


def within(
    scores: Floats, positive: NDArray[np.bool_], houses: NDArray[np.str_]
) -> tuple[float, str]:
    """Return `auc_within`, and the letter of exercise 2."""
    return auc_within(scores, positive, houses), "b"


def found_at(
    scores: Floats, hit: NDArray[np.bool_], lesions: int, images: int, per_image: float
) -> float:
    r"""Return the highest share of lesions found at no more than so many false boxes an image.

    $$\max_{\tau:\ \#\{b:\ s_b\ge\tau,\ \text{false}\}\,\le\,f\,M}\
    \frac{\#\{b:\ s_b\ge\tau,\ \text{hit}\}}{L}$$

    Args:
        scores: s of every box, ``(B,)``.
        hit: ``(B,)``, whose box is the first on a lesion; all others are false.
        lesions: L.
        images: M.
        per_image: f.
    """
    best = 0
    for threshold in np.unique(scores):
        passed = scores >= threshold
        if (passed & ~hit).sum() <= per_image * images:
            best = max(best, int((passed & hit).sum()))
    return best / lesions


def hint_on_boxes(student: Tensor, teacher: Tensor, inside: Tensor) -> Tensor:
    """Return the mean squared difference on foreground and as much hard background.

    Args:
        student: ``(N, C, h, w)``.
        teacher: same shape.
        inside: ``(N, h, w)`` bool, cells that a box touches; in every image there is one.
    """
    return foreground_distance(student, teacher, inside, "l2", ratio=1.0, least=0).mean()
