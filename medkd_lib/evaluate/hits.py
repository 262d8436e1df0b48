"""Which found box hits which lesion, and what of it counts."""

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from medkd_lib.data.boxes import areas
from medkd_lib.evaluate.detection import Detections
from medkd_lib.evaluate.intervals import Floats

Criterion = Literal["iou", "centre"]


def overlaps(boxes: Floats, truths: Floats) -> Floats:
    r"""Return the IoU $|b\cap t|/|b\cup t|$ of every pair, ``(found, marked)``; 0 without area.

    Args:
        boxes: ``(m, 4)``, pixel edges.
        truths: ``(k, 4)``.
    """
    b, t = boxes[:, None], truths[None]
    low, high = np.maximum(b[..., :2], t[..., :2]), np.minimum(b[..., 2:], t[..., 2:])
    common = np.clip(high - low, 0, None).prod(axis=-1)
    union = areas(boxes)[:, None] + areas(truths)[None] - common
    return np.asarray(common / np.where(union > 0, union, 1.0))


def hits(
    boxes: Floats, truths: Floats, criterion: Criterion = "iou", threshold: float = 0.5
) -> NDArray[np.bool_]:
    r"""Return which found box hits which marked one, ``(found, marked)``.

    ``iou``: $|b\cap t|/|b\cup t|\ge\theta$. ``centre``: b has an area and its centre lies in t; for
    small lesions, where a pixel more or less on every side halves the IoU, and nobody looks at the
    rim. It does not ask how large b is: show IoU beside it.

    Args:
        boxes: ``(m, 4)``, pixel edges.
        truths: ``(k, 4)``.
        criterion: see above.
        threshold: θ within (0, 1], of ``iou``.

    Raises:
        ValueError: an unknown criterion, or a threshold outside (0, 1].
    """
    if criterion not in get_args(Criterion):
        raise ValueError(f"criterion: expected one of {get_args(Criterion)}, found {criterion!r}")
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold: expected within (0, 1], found {threshold}")
    if criterion == "centre":
        b, t = boxes[:, None], truths[None]
        centre = (b[..., :2] + b[..., 2:]) / 2
        inside = ((centre >= t[..., :2]) & (centre < t[..., 2:])).all(axis=-1)
        return np.asarray(inside & (areas(boxes) > 0)[:, None])
    # a box on its own mark hits it at 1, whatever rounding did
    return overlaps(boxes, truths) >= threshold * (1 - 1e-12)


class Verdicts(NamedTuple):
    """What became of the found boxes and the lesions of one image.

    Attributes:
        hit: ``(m,)`` bool, a lesion's first box.
        again: ``(m,)`` bool, boxes that only hit lesions that are hit already; all others are false
            alarms.
        found: ``(k,)``, of every lesion the score of its box; -inf: none.
    """

    hit: NDArray[np.bool_]
    again: NDArray[np.bool_]
    found: Floats


def verdicts(
    d: Detections, image: int, criterion: Criterion = "iou", threshold: float = 0.5
) -> Verdicts:
    """Return who hit what in an image, class by class, the surest box first.

    A box hits the lesion of its class, not yet hit, that the criterion allows; of several the one
    that it overlaps most, of equal ones the first. A box that could only hit lesions that are hit
    already is neither a hit nor a false alarm: its reader looks at that lesion anyway.

    Args:
        d: found and marked.
        image: its number.
        criterion: see `hits`.
        threshold: of ``iou``.
    """
    boxes, truths = d.boxes[image], d.truths[image]
    same = d.classes[image][:, None] == d.truth_classes[image]
    allowed = hits(boxes, truths, criterion, threshold) & same
    overlap = overlaps(boxes, truths)
    found = np.full(len(truths), -np.inf)
    hit = np.zeros(len(boxes), bool)
    for b, sure in enumerate(d.scores[image]):
        free = allowed[b] & np.isneginf(found)
        if free.any():
            found[np.where(free, overlap[b], -1.0).argmax()] = sure
            hit[b] = True
    return Verdicts(hit, allowed.any(axis=1) & ~hit, found)


@dataclass(frozen=True)
class Ledger:
    """Every found box that counts in one row and every lesion in one: who was hit, how surely.

    Attributes:
        score: of every found box but those that hit a lesion again, ``(B,)``.
        hit: ``(B,)`` bool; the others are false alarms.
        box_image: ``(B,)``, number of its image.
        found: ``(L,)``, of every lesion the score of its surest box; -inf: none.
        size: ``(L,)``, area of the lesion's box in square pixels.
        lesion_image: ``(L,)``.
    """

    score: Floats
    hit: NDArray[np.bool_]
    box_image: NDArray[np.int64]
    found: Floats
    size: Floats
    lesion_image: NDArray[np.int64]


def ledger(d: Detections, criterion: Criterion = "iou", threshold: float = 0.5) -> Ledger:
    """Return the `verdicts` of all images in one.

    Args:
        d: found and marked.
        criterion: see `hits`.
        threshold: of ``iou``.

    Raises:
        ValueError: no image, or as `hits`.
    """
    if not d.boxes:
        raise ValueError("ledger: expected one image or more, found none")
    each = [verdicts(d, n, criterion, threshold) for n in range(len(d.boxes))]
    counts = [~v.again for v in each]
    return Ledger(
        np.concatenate([s[c] for s, c in zip(d.scores, counts, strict=True)]),
        np.concatenate([v.hit[c] for v, c in zip(each, counts, strict=True)]),
        np.repeat(np.arange(len(each)), [int(c.sum()) for c in counts]),
        np.concatenate([v.found for v in each]),
        np.concatenate([areas(t) for t in d.truths]),
        np.repeat(np.arange(len(each)), [len(t) for t in d.truths]),
    )
