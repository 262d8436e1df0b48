"""Boxes of many images as tensors of one length, and back; see `medkd_lib.data.boxes`."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from medkd_lib.data.batches import Batch
from medkd_lib.data.boxes import areas

# Names in a batch: boxes (N, M, 4) in pixel edges, and their classes (N, M) from 1 on. An image
# with fewer than M boxes is filled up with rows of class 0, which mean nothing.
BOXES, CLASSES = "boxes", "box_classes"


def padded_boxes(
    boxes: Sequence[ArrayLike], classes: Sequence[ArrayLike] | None = None, most: int | None = None
) -> Batch:
    """Return the boxes of images under the names that a batch has for them.

    Args:
        boxes: of each image ``(m, 4)`` in pixel edges x1, y1, x2, y2; none is ``[]``.
        classes: of each image ``(m,)``, from 1 on; None: all boxes are of class 1.
        most: M; None: as many as the fullest image has, one at least.

    Returns:
        ``boxes`` float32 and ``box_classes`` int64.

    Raises:
        ValueError: a box without area, a class below 1, lengths that do not fit, more boxes in an
            image than ``most``.
    """
    rows = [np.asarray(b, np.float64).reshape(-1, 4) for b in boxes]
    kinds = (
        [np.ones(len(r), np.int64) for r in rows]
        if classes is None
        else [np.asarray(c, np.int64).reshape(-1) for c in classes]
    )
    if [len(r) for r in rows] != [len(k) for k in kinds]:
        raise ValueError(
            f"classes: expected one per box, {[len(r) for r in rows][:8]}, found "
            f"{[len(k) for k in kinds][:8]}"
        )
    fullest = max((len(r) for r in rows), default=0)
    length = max(1, fullest) if most is None else most
    if fullest > length:
        raise ValueError(f"most: expected {fullest} or more, the fullest image's, found {most}")
    padded = torch.zeros(len(rows), length, 4)
    named = torch.zeros(len(rows), length, dtype=torch.int64)
    for n, (own, kind) in enumerate(zip(rows, kinds, strict=True)):
        if (flat := np.flatnonzero(~(areas(own) > 0))).size:
            raise ValueError(
                f"boxes: expected x1 < x2 and y1 < y2, found {own[flat[0]].tolist()} in image {n}; "
                "a single pixel is (x, y, x + 1, y + 1)"
            )
        if (kind < 1).any():
            raise ValueError(f"classes: expected 1 or more, found {kind.min()} in image {n}")
        padded[n, : len(own)] = torch.from_numpy(own)
        named[n, : len(own)] = torch.from_numpy(kind)
    return {BOXES: padded, CLASSES: named}


def marked(batch: Batch, size: tuple[int, int]) -> list[tuple[Tensor, Tensor]]:
    """Return each image's boxes ``(m, 4)`` and classes ``(m,)``, cut to the image.

    A box that reaches beyond the image means what of it is inside: a network cannot see the rest.

    Args:
        batch: with ``boxes`` and ``box_classes``.
        size: height and width of the images.

    Raises:
        ValueError: a box of which nothing is inside, or without area.
    """
    there = batch[CLASSES] > 0
    inside = cut_to(batch[BOXES], size)
    empty = there & ~(inside[..., 2:] > inside[..., :2]).all(dim=-1)
    if bool(empty.any()):
        n, m = (int(k) for k in empty.nonzero()[0])
        raise ValueError(
            f"boxes: expected an area within the image of {size[0]} x {size[1]}, found "
            f"{batch[BOXES][n, m].tolist()} in image {n} of the batch; leave such boxes out, or "
            "crop images and boxes together (`box_views`)"
        )
    return [(b[t], c[t]) for b, c, t in zip(inside, batch[CLASSES], there, strict=True)]


def cut_to(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Return boxes ``(…, 4)`` cut to an image of so many rows and columns."""
    height, width = size
    return boxes.clamp(min=0).minimum(boxes.new_tensor([width, height, width, height]))
