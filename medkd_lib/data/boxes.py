r"""Bounding boxes in one convention, and the way from and to the others.

Ours: ``(x1, y1, x2, y2)`` in **pixel edges**, half open. Pixel ``i`` covers :math:`[i, i + 1)`, so

.. math:: \text{width} = x_2 - x_1 \ \text{pixels}, \qquad \text{area} = (x_2 - x_1)(y_2 - y_1),

and a single pixel at column 3, row 5 is ``(3, 5, 4, 6)``. In three dimensions
``(x1, y1, z1, x2, y2, z2)``.

=================  ==============================================  ===============================
convention         numbers                                         that pixel (image 10 × 10)
=================  ==============================================  ===============================
ours, torchvision  edges ``x1, y1, x2, y2``                        ``3, 5, 4, 6``
detectors
Pascal VOC         corner pixels, counted from 1, both inside      ``4, 6, 4, 6``
COCO               edges ``x, y, width, height``                   ``3, 5, 1, 1``
YOLO               centre and size as shares of the image          ``0.35, 0.55, 0.1, 0.1``
=================  ==============================================  ===============================

``torchvision.ops.masks_to_boxes`` returns corner *pixels* counted from 0, both inside: the single
pixel becomes ``(3, 5, 3, 5)``, a box of zero area in the detectors of the same library. Ours is
that plus one at the lower right.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from medkd_lib.data.problems import bad

Floats = NDArray[np.float64]
Axes = Literal["yx", "xy", "xyz", "zyx"]

# From edges to corner pixels counted from 1: the left edge of pixel 1 is 0, its right edge 1.
VOC_SHIFT = np.array([1.0, 1.0, 0.0, 0.0])


def boxes_from_mask(
    mask: NDArray[Any],
    *,
    connectivity: Literal["faces", "full"] = "full",
    min_area: int = 1,
    axes: Axes | None = None,
) -> Floats:
    """Return one box per connected component of a binary mask, in the order of first voxels.

    Args:
        mask: bool, or holding 0 and 1 only: pick one label first (``labels == 2``).
        connectivity: ``faces`` joins pixels that share an edge (voxels: a face), ``full`` also
            those that share a corner.
        min_area: components of fewer pixels (voxels) are left out.
        axes: what the array's axes are; default ``yx`` in 2-D (a picture: row, column) and
            ``xyz`` in 3-D (a :class:`~medkd_lib.data.volume.Volume`); ``zyx`` for stacks of slices.

    Returns:
        ``(N, 4)`` or ``(N, 6)`` float64, pixel edges.

    Raises:
        DataError: kind ``not_binary``.
        ValueError: ``axes`` does not fit the array.
    """
    order = axes or {2: "yx", 3: "xyz"}.get(mask.ndim, "")
    if len(order) != mask.ndim:
        raise ValueError(
            f"axes: expected 2 or 3, one per axis of the mask, found {order!r} for shape "
            f"{mask.shape}; name each axis, for example 'yx'"
        )
    if mask.dtype != np.bool_ and not np.isin(mask, (0, 1)).all():
        raise bad(
            "not_binary", "mask", expected="0 and 1 only",
            found=f"values {np.unique(mask)[:6].tolist()}",
            next_step="choose a label: boxes_from_mask(mask == 2)",
        )  # fmt: skip
    structure = ndimage.generate_binary_structure(
        mask.ndim, 1 if connectivity == "faces" else mask.ndim
    )
    components, count = ndimage.label(mask, structure)
    area = np.bincount(components.ravel(), minlength=count + 1)[1:]
    rows = []
    for found, size in zip(ndimage.find_objects(components), area, strict=True):
        if size >= min_area:
            span = dict(zip(order, found, strict=True))
            names = sorted(order)  # x, y, z
            rows.append([span[a].start for a in names] + [span[a].stop for a in names])
    return np.array(rows, dtype=np.float64).reshape(-1, 2 * mask.ndim)


def from_voc(boxes: ArrayLike) -> Floats:
    """Pascal VOC (corner pixels from 1, both inside) → ours."""
    return _rows(boxes) - VOC_SHIFT


def to_voc(boxes: ArrayLike) -> Floats:
    """Ours → Pascal VOC (corner pixels from 1, both inside)."""
    return _rows(boxes) + VOC_SHIFT


def from_coco(boxes: ArrayLike) -> Floats:
    """COCO (left, top, width, height) → ours."""
    rows = _rows(boxes)
    return np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:]], axis=1)


def to_coco(boxes: ArrayLike) -> Floats:
    """Ours → COCO (left, top, width, height)."""
    rows = _rows(boxes)
    return np.concatenate([rows[:, :2], rows[:, 2:] - rows[:, :2]], axis=1)


def from_yolo(boxes: ArrayLike, *, width: int, height: int) -> Floats:
    """YOLO (centre x, centre y, width, height as shares of the image) → ours."""
    rows = _rows(boxes) * [width, height, width, height]
    return np.concatenate([rows[:, :2] - rows[:, 2:] / 2, rows[:, :2] + rows[:, 2:] / 2], axis=1)


def to_yolo(boxes: ArrayLike, *, width: int, height: int) -> Floats:
    """Ours → YOLO (centre x, centre y, width, height as shares of the image)."""
    rows = _rows(boxes)
    centre, size = (rows[:, :2] + rows[:, 2:]) / 2, rows[:, 2:] - rows[:, :2]
    scaled: Floats = np.concatenate([centre, size], axis=1) / [width, height, width, height]
    return scaled


def clip_boxes(boxes: ArrayLike, *, width: int, height: int) -> Floats:
    """Return our boxes cut to the image; one that lies wholly outside gets no area."""
    clipped: Floats = np.clip(_rows(boxes), 0, [width, height, width, height])
    return clipped


def areas(boxes: ArrayLike) -> Floats:
    """Return the area of each of our boxes in pixels; 0 if the corners are swapped or meet."""
    rows = _rows(boxes)
    return np.prod(np.clip(rows[:, 2:] - rows[:, :2], 0, None), axis=1)


def _rows(boxes: ArrayLike) -> Floats:
    rows = np.asarray(boxes, dtype=np.float64)
    if rows.size == 0:
        return rows.reshape(0, 4)
    if rows.ndim != 2 or rows.shape[1] != 4:
        raise ValueError(f"boxes: expected shape (N, 4), found {rows.shape}; use [[...]] for one")
    return rows
