"""FROC image by image: numbers whose mean is the score, for paired contrasts."""

from collections.abc import Sequence

import numpy as np

from medkd_lib.evaluate.detection import Detections
from medkd_lib.evaluate.froc import RATES, seen_at
from medkd_lib.evaluate.hits import Criterion, ledger
from medkd_lib.evaluate.intervals import Floats


def froc_of_images(
    d: Detections, criterion: Criterion = "iou", threshold: float = 0.5, *,
    rates: Sequence[float] = RATES,
) -> Floats:  # fmt: skip
    r"""Return one number per image whose mean is the mean sensitivity of `froc`, ``(N,)``.

    $$v_n=\frac{M}{L}\sum_{l\in n}\ \frac1{|F|}\sum_{f\in F}\big[s_l\ge\tau(f)\big]$$

    with the score $s_l$ of a lesion's surest box, the lowest threshold $\tau(f)$ at which all
    images together have no more than f false alarms each, L lesions on M images that have any. An
    image without a lesion is NaN: its false alarms are in the thresholds, which redrawing patients
    leaves as they are.

    Args:
        d: found and marked.
        criterion: see `hits`.
        threshold: of ``iou``.
        rates: f.

    Raises:
        ValueError: no lesion at all.
    """
    book = ledger(d, criterion, threshold)
    if not len(book.found):
        raise ValueError(
            f"froc_of_images: expected a marked lesion somewhere in {len(d.truths)} images, found "
            "none"
        )
    seen = np.mean([seen_at(book, rate, len(d.patients)) for rate in rates], axis=0)
    sums = np.bincount(book.lesion_image, seen, minlength=len(d.patients))
    counts = np.bincount(book.lesion_image, minlength=len(d.patients))
    share = (counts > 0).sum() / counts.sum()
    return np.where(counts > 0, sums * share, np.nan)
