"""Sensitivity of small, middle and large lesions, at one threshold for all."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medkd_lib.evaluate.detection import Detections
from medkd_lib.evaluate.froc import seen_at
from medkd_lib.evaluate.hits import Criterion, ledger
from medkd_lib.evaluate.intervals import Floats, Interval, redrawn_patients
from medkd_lib.evaluate.strata import Stratum, terciles


@dataclass(frozen=True)
class BySize:
    """Sensitivity of lesions of one size at one rate of false positives.

    Attributes:
        sensitivity: of these lesions; NaN if there is none.
        interval: 95 %, over redrawn patients.
        lesions: how many.
        smallest, largest: area of their boxes in square pixels.
    """

    sensitivity: float
    interval: Interval
    lesions: int
    smallest: float
    largest: float


def sensitivity_by_size(
    d: Detections, rate: float = 1.0, criterion: Criterion = "iou", threshold: float = 0.5, *,
    draws: int = 2000, seed: int = 0,
) -> dict[Stratum, BySize]:  # fmt: skip
    """Return the sensitivity of small, middle and large lesions, by terciles of their area.

    All at one threshold, the lowest at which there are no more than so many false positives per
    image; it stays as it is while patients are redrawn.

    Args:
        d: found and marked.
        rate: of false positives per image.
        criterion: see `hits`.
        threshold: of ``iou``.
        draws: bootstrap samples of patients.
        seed: of the drawing.

    Raises:
        ValueError: as `froc`.
    """
    if not rate > 0:
        raise ValueError(f"rate: expected a positive number, found {rate}")
    book = ledger(d, criterion, threshold)
    if not len(book.found):
        raise ValueError(f"sensitivity_by_size: found no marked lesion in {len(d.truths)} images")
    seen = seen_at(book, rate, len(d.patients))
    names = terciles(book.size)
    weights = redrawn_patients(d.patients, draws=draws, seed=seed)[:, book.lesion_image]
    strata: tuple[Stratum, ...] = ("small", "middle", "large")
    return {name: _of_size(book.size, seen, weights, names == name) for name in strata}


def _of_size(
    size: Floats, seen: NDArray[np.bool_], weights: Floats, chosen: NDArray[np.bool_]
) -> BySize:
    if not chosen.any():
        return BySize(float("nan"), (float("nan"),) * 2, 0, float("nan"), float("nan"))
    w = weights[:, chosen]
    total = w.sum(axis=1)
    shares = (w * seen[chosen]).sum(axis=1)[total > 0] / total[total > 0]
    low, high = np.percentile(shares, [2.5, 97.5])
    own = size[chosen]
    return BySize(
        float(seen[chosen].mean()), (float(low), float(high)), int(chosen.sum()),
        float(own.min()), float(own.max()),
    )  # fmt: skip
