"""Maps compared where objects are, and where the student errs most beside them."""

from typing import Literal

import torch
from torch import Tensor

from medkd_lib.distill.precision import in_float32, unit


def cells_of_boxes(
    boxes: Tensor, there: Tensor, size: tuple[int, int], grid: tuple[int, int]
) -> Tensor:
    """Return the cells of a map that a box touches, ``(N, h, w)`` bool.

    However little of a cell it is: a box of one pixel has a cell on every map, or small lesions
    would be foreground on the finest one alone. A box without area touches nothing.

    Args:
        boxes: ``(N, M, 4)``, pixel edges x1, y1, x2, y2.
        there: ``(N, M)`` bool, False for rows that mean nothing.
        size: height and width of the images in pixels.
        grid: h and w of the map.
    """
    x1, y1, x2, y2 = boxes.unbind(dim=-1)
    real = there & (x2 > x1) & (y2 > y1)
    rows = _touched(y1, y2, size[0], grid[0]) & real[..., None]
    columns = _touched(x1, x2, size[1], grid[1])
    # a cell is touched if its row and its column are, by the same box
    return (rows[..., :, None] & columns[..., None, :]).any(dim=1)


def hard_background(
    difficulty: Tensor, foreground: Tensor, ratio: float = 1.0, least: int = 8
) -> Tensor:
    r"""Return the most difficult background cells of each image, ``(N, h, w)`` bool.

    As many as foreground cells, times a ratio, in an image with few or none some all the same:

    $$k_n = \min\bigl(\max(\mathrm{round}(r\,|F_n|),\,k_0),\ |\bar F_n|\bigr)$$

    Args:
        difficulty: ``(N, h, w)``, a constant; of equal values the first ones count.
        foreground: ``(N, h, w)`` bool, F.
        ratio: r, 0 or more.
        least: $k_0$, 0 or more.

    Raises:
        ValueError: shapes differ, or a negative ratio or least number.
    """
    if difficulty.shape != foreground.shape or difficulty.ndim != 3:
        raise ValueError(
            f"difficulty: expected (N, h, w) as the foreground's {tuple(foreground.shape)}, found "
            f"{tuple(difficulty.shape)}"
        )
    if ratio < 0 or least < 0:
        raise ValueError(f"ratio, least: expected 0 or more, found {ratio} and {least}")
    inside = foreground.flatten(1)
    hardest = difficulty.detach().masked_fill(foreground, -torch.inf).flatten(1)
    order = hardest.argsort(dim=1, descending=True, stable=True)
    rank = order.argsort(dim=1)
    count = (ratio * inside.sum(dim=1)).round().clamp(min=least)
    # k never reaches into the foreground, which is ranked last
    chosen = (rank < count[:, None]) & ~inside
    return chosen.view_as(foreground)


@in_float32
def foreground_distance(
    student_map: Tensor,
    teacher_map: Tensor,
    foreground: Tensor,
    kind: Literal["l2", "cosine"] = "l2",
    *,
    ratio: float = 1.0,
    least: int = 8,
) -> Tensor:
    r"""Return the distance of two maps on foreground and hard background, image by image.

    $$\mathcal L_n=\frac1{|F_n\cup B_n|}\sum_{p\in F_n\cup B_n}d_{np},\qquad
    d_{np}=\tfrac1C\lVert s_{np}-t_{np}\rVert^2\ \text{or}\ 1-\cos(s_{np},t_{np})$$

    with B the background cells where d itself is largest (`hard_background`). In a mean over all
    cells a lesion of a hundredth of the image has a hundredth of the say, and a student is paid
    for repeating what a teacher says of air.

    Args:
        student_map: ``(N, C, h, w)``.
        teacher_map: same shape, a constant.
        foreground: ``(N, h, w)`` bool, F; an image may have none.
        kind: d.
        ratio: hard background cells per foreground cell.
        least: of them in every image.

    Returns:
        ``(N,)``; 0 for an image without a cell to compare (no foreground, and ``least`` 0).

    Raises:
        ValueError: shapes differ, an unknown kind, or as `hard_background`.

    Source: ours. That features of a detector should be compared on foreground and on hard
    background is our choice for the joint-teacher method (arXiv 2605.01563), which says nothing of
    it where we could read. Hard examples chosen by their loss: Shrivastava et al. 2016
    (arXiv 1604.03540).
    """
    if student_map.ndim != 4 or student_map.shape != teacher_map.shape:
        raise ValueError(
            "foreground_distance: expected student and teacher maps of one shape (N, C, h, w), "
            f"found {tuple(student_map.shape)} and {tuple(teacher_map.shape)}"
        )
    teacher = teacher_map.detach()
    if kind == "l2":
        each = (student_map - teacher).square().mean(dim=1)
    elif kind == "cosine":
        # ½ |ŝ - t̂|², which is 1 - cos, and 0 where both are zero
        apart = unit(student_map.movedim(1, -1)) - unit(teacher.movedim(1, -1))
        each = apart.square().sum(dim=-1) / 2
    else:
        raise ValueError(f"kind: expected l2 or cosine, found {kind!r}")
    where = foreground | hard_background(each, foreground, ratio, least)
    # mean over the cells of F and B
    return (each * where).sum(dim=(1, 2)) / where.sum(dim=(1, 2)).clamp(min=1)


def _touched(low: Tensor, high: Tensor, side: int, cells: int) -> Tensor:
    """Return which of so many intervals along an axis a span overlaps, ``(N, M, cells)``."""
    edges = torch.arange(cells + 1, device=low.device) * (side / cells)
    return (low[..., None] < edges[1:]) & (high[..., None] > edges[:-1])
