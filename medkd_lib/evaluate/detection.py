"""Boxes found against boxes marked: average precision, by a kept library."""

from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from medkd_lib.data.boxes import areas, to_coco
from medkd_lib.evaluate.intervals import Floats


@dataclass(frozen=True)
class Detections:
    """What was found in images, and what is there; an entry per image.

    Boxes ``(m, 4)`` are pixel edges x1, y1, x2, y2; an image may have none of either. Boxes that
    were found may have any shape, an empty one hits nothing; marked ones must have an area, for
    nobody could find one without.

    Attributes:
        boxes: found.
        scores: of each found box ``(m,)``, larger is surer.
        truths: marked boxes.
        patients: of each image.
        classes: of each found box ``(m,)``, from 1 on; None: all 1.
        truth_classes: of each marked box; None: all 1.
    """

    boxes: tuple[Floats, ...]
    scores: tuple[Floats, ...]
    truths: tuple[Floats, ...]
    patients: tuple[str, ...]
    classes: tuple[NDArray[np.int64], ...]
    truth_classes: tuple[NDArray[np.int64], ...]

    @classmethod
    def of(
        cls, boxes: Sequence[ArrayLike], scores: Sequence[ArrayLike], truths: Sequence[ArrayLike],
        patients: Sequence[str], classes: Sequence[ArrayLike] | None = None,
        truth_classes: Sequence[ArrayLike] | None = None,
    ) -> "Detections":  # fmt: skip
        """Return them checked and sorted, the surest of each image first.

        Raises:
            ValueError: lengths that do not fit, scores or boxes that are no numbers, a marked box
                without area.
        """
        found, marks = ([_rows(b) for b in boxes], [_rows(b) for b in truths])
        sure = [np.asarray(s, np.float64).reshape(-1) for s in scores]
        kinds = _kinds(classes, found)
        there = _kinds(truth_classes, marks)
        lengths = {
            "boxes": len(found),
            "scores": len(sure),
            "truths": len(marks),
            "patients": len(patients),
            "classes": len(kinds),
            "truth_classes": len(there),
        }
        if len(set(lengths.values())) != 1:
            raise ValueError(f"Detections: expected as many images everywhere, found {lengths}")
        for n, (b, s, k, t, y) in enumerate(zip(found, sure, kinds, marks, there, strict=True)):
            if not len(b) == len(s) == len(k) or len(t) != len(y):
                raise ValueError(
                    f"Detections: image {n}: expected a score and a class per box, found "
                    f"{len(b)} boxes, {len(s)} scores, {len(k)} classes; {len(t)} truths, {len(y)}"
                )
            if not (np.isfinite(b).all() and np.isfinite(s).all() and np.isfinite(t).all()):
                raise ValueError(f"Detections: image {n}: expected finite boxes and scores")
            if (flat := np.flatnonzero(~(areas(t) > 0))).size:
                raise ValueError(
                    f"Detections: image {n}: expected marked boxes with an area, found "
                    f"{t[flat[0]].tolist()}; leave such marks out"
                )
        order = [np.argsort(-s, kind="stable") for s in sure]
        return cls(
            tuple(b[o] for b, o in zip(found, order, strict=True)),
            tuple(s[o] for s, o in zip(sure, order, strict=True)),
            tuple(marks), tuple(patients),
            tuple(k[o] for k, o in zip(kinds, order, strict=True)), tuple(there),
        )  # fmt: skip


@dataclass(frozen=True)
class Precision:
    """Average precision, mean over the classes that are marked anywhere.

    Attributes:
        at_50: at IoU >= 0.5.
        coco: mean over IoU >= 0.5, 0.55, … 0.95.
    """

    at_50: float
    coco: float


def average_precision(d: Detections) -> Precision:
    r"""Return mAP@0.5 and mAP@[.5:.95] as the COCO benchmark has them.

    Found boxes of a class, the surest first over all images, each take the free marked box that
    they overlap most, if by the threshold; precision at 101 recalls is the best at that recall or
    beyond,

    $$\mathrm{AP}=\frac1{101}\sum_{r\in\{0,.01,\dots,1\}}\ \max_{r'\ge r}\mathrm{precision}(r')$$

    Of every image the 100 surest boxes of a class count. A class that is marked nowhere has no AP
    and is left out, boxes found of it cost nothing; NaN if nothing is marked at all.

    Source: the rules of Lin et al. 2014 (arXiv 1405.0312), computed by pycocotools, their authors'
    own code. MONAI's ``COCOMetric`` counts recall in single precision, misses some of the 101 by
    rounding, and its numbers are up to some 10⁻⁴ others.
    """
    if not any(len(kinds) for kinds in d.truth_classes):
        return Precision(float("nan"), float("nan"))
    if not any(len(kinds) for kinds in d.classes):
        return Precision(0.0, 0.0)
    with redirect_stdout(StringIO()):  # the library tells its progress
        run = COCOeval(_coco(d.truths, d.truth_classes), iouType="bbox")
        run.cocoDt = _coco(d.boxes, d.classes, d.scores)
        run.params.imgIds = list(range(1, len(d.truths) + 1))
        run.params.catIds = sorted({int(k) for kinds in d.truth_classes for k in kinds})
        run.evaluate()
        run.accumulate()
    # thresholds, recalls, classes, areas (the first is any), numbers of boxes (the last is 100)
    precision = run.eval["precision"][:, :, :, 0, -1]
    return Precision(float(precision[0].mean()), float(precision.mean()))


def _coco(
    boxes: Sequence[Floats], classes: Sequence[NDArray[np.int64]],
    scores: Sequence[Floats] | None = None,
) -> COCO:  # fmt: skip
    """Return boxes of images 1, 2, … as the library keeps them, with scores if they were found."""
    rows: list[dict[str, Any]] = []
    for n, (own, kinds) in enumerate(zip(boxes, classes, strict=True)):
        sizes = to_coco(own)
        sizes[:, 2:] = np.clip(sizes[:, 2:], 0, None)  # swapped corners hold nothing
        for k, (box, kind) in enumerate(zip(sizes.tolist(), kinds.tolist(), strict=True)):
            rows.append(
                {
                    "id": len(rows) + 1, "image_id": n + 1, "category_id": kind, "bbox": box,
                    "area": box[2] * box[3], "iscrowd": 0,
                    **({} if scores is None else {"score": float(scores[n][k])}),
                }
            )  # fmt: skip
    coco = COCO()
    coco.dataset = {
        "images": [{"id": n + 1} for n in range(len(boxes))], "annotations": rows,
        "categories": [{"id": k} for k in {row["category_id"] for row in rows}],
    }  # fmt: skip
    coco.createIndex()
    return coco


def _rows(boxes: ArrayLike) -> Floats:
    return np.asarray(boxes, np.float64).reshape(-1, 4)


def _kinds(classes: Sequence[ArrayLike] | None, boxes: Sequence[Floats]) -> list[NDArray[np.int64]]:
    if classes is None:
        return [np.ones(len(b), np.int64) for b in boxes]
    return [np.asarray(c, np.int64).reshape(-1) for c in classes]
