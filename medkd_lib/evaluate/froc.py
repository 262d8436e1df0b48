"""FROC: how many lesions are found at how many false alarms per image, with intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medkd_lib.evaluate.detection import Detections
from medkd_lib.evaluate.hits import Criterion, Ledger, ledger
from medkd_lib.evaluate.intervals import Floats, Interval, redrawn_patients

# False positives per image at which sensitivity is read and averaged.
RATES = (1 / 8, 1 / 4, 1 / 2, 1.0, 2.0, 4.0, 8.0)


@dataclass(frozen=True)
class Froc:
    """A curve with pointwise 95 % bands over redrawn patients.

    Attributes:
        rates: false positives per image, ``(T,)``.
        sensitivity: the highest reached at no more than that, ``(T,)``.
        low, high: the band.
        score: mean sensitivity over the rates.
        interval: of that mean.
        lesions, images: how many there are.
    """

    rates: Floats
    sensitivity: Floats
    low: Floats
    high: Floats
    score: float
    interval: Interval
    lesions: int
    images: int


def froc(
    d: Detections, criterion: Criterion = "iou", threshold: float = 0.5, *,
    rates: Sequence[float] = RATES, draws: int = 2000, seed: int = 0,
) -> Froc:  # fmt: skip
    r"""Return the sensitivity at some rates of false positives per image.

    $$S(f)=\max_{\tau:\ \mathrm{FP}(\tau)\le f}\ \frac{\#\{\text{lesions hit at score}\ge\tau\}}
    {\#\text{lesions}},\qquad \mathrm{FP}(\tau)=\frac{\#\{\text{false boxes of score}\ge\tau\}}
    {\#\text{images}}$$

    The highest sensitivity of a threshold that there is; nothing is interpolated. Boxes of one
    score pass together.

    Args:
        d: found and marked.
        criterion: see `hits`.
        threshold: of ``iou``.
        rates: f, at which it is read.
        draws: bootstrap samples of patients; one without a lesion is left out.
        seed: of the drawing.

    Raises:
        ValueError: no lesion at all, rates that are not positive, or as `hits`.

    Source: Bunch et al. 1978 for the curve; the seven rates and their mean as in the LUNA16
    challenge (Setio et al. 2017, arXiv 1612.08012), which interpolates. What arXiv 2605.01563
    reports for detection is unknown to us.
    """
    at = np.asarray(rates, np.float64)
    if at.ndim != 1 or not len(at) or not (at > 0).all():
        raise ValueError(f"rates: expected a row of positive numbers, found {list(rates)}")
    book = ledger(d, criterion, threshold)
    if not len(book.found):
        raise ValueError(
            f"froc: expected a marked lesion somewhere in {len(d.truths)} images, found none; "
            "without lesions count false alarms per image"
        )
    once = np.ones((1, len(d.patients)))
    weights = np.concatenate([once, redrawn_patients(d.patients, draws=draws, seed=seed)])
    curves = sensitivities(book, weights, at)
    there = curves[1:][np.isfinite(curves[1:, 0])]
    low, high = np.percentile(there, [2.5, 97.5], axis=0) if len(there) else (curves[0],) * 2
    means = there.mean(axis=1) if len(there) else curves[:1].mean(axis=1)
    ends = np.percentile(means, [2.5, 97.5])
    return Froc(
        at, curves[0], np.asarray(low), np.asarray(high), float(curves[0].mean()),
        (float(ends[0]), float(ends[1])), len(book.found), len(d.patients),
    )  # fmt: skip


def sensitivities(book: Ledger, weights: Floats, rates: Floats) -> Floats:
    """Return the curve for each row of image weights, ``(R, T)``; NaN where no lesion weighs.

    Args:
        book: of `ledger`.
        weights: ``(R, images)``, how often each image counts.
        rates: ``(T,)``.
    """
    order = np.argsort(-book.score, kind="stable")
    # The last box of each score: those of one score pass together.
    ends = np.flatnonzero(np.diff(book.score[order], append=-np.inf))
    out = np.full((len(weights), len(rates)), np.nan)
    for row, w in enumerate(weights):
        lesions = w[book.lesion_image].sum()
        if not lesions:
            continue
        each = w[book.box_image[order]]
        hit = np.where(book.hit[order], each, 0.0).cumsum()[ends]
        false = np.where(book.hit[order], 0.0, each).cumsum()[ends] / w.sum()
        # how many thresholds stay within the rate
        allowed = np.searchsorted(false, rates * (1 + 1e-12), side="right")
        out[row] = np.append(0.0, hit)[allowed] / lesions
    return out


def seen_at(book: Ledger, rate: float, images: int) -> NDArray[np.bool_]:
    """Return which lesions are found at a rate of false positives per image, ``(L,)``."""
    # One that nothing hit has -inf: never found, though a threshold may be as low.
    return np.isfinite(book.found) & (book.found >= operating_point(book, rate, images))


def operating_point(book: Ledger, rate: float, images: int) -> float:
    """Return the lowest score at which false positives per image stay within a rate.

    Infinity if the surest boxes are more false alarms than that.
    """
    false = np.sort(book.score[~book.hit])[::-1]
    within = int(np.floor(rate * images * (1 + 1e-12)))
    if within >= len(false):
        return -np.inf if not len(book.score) else float(book.score.min())
    above = book.score[book.score > false[within]]
    return float(above.min()) if len(above) else np.inf
