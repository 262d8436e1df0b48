"""The fixed graph over the cells of several feature maps, with its places in millimetres."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Edges = Literal["containment", "no_cross_scale", "random", "complete"]
Coordinates = Literal["true", "shuffled"]
NEIGHBOURS = 8

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class GridGraph:
    """Nodes and directed edges: V cells, scale by scale, each scale row by row.

    Attributes:
        positions_mm: ``(V, 2)``, centre of the cell, x (along a row) then y.
        log_size: ``(V,)``, log2 of the cell's side in mm.
        scale_of: ``(V,)`` int64, number of the scale.
        mask: ``(V, V)`` bool; ``mask[i, j]`` says that node i reads node j. The diagonal is set.
        grids: cells per side of each scale.
        field_mm: side of the image in mm.
    """

    positions_mm: Tensor
    log_size: Tensor
    scale_of: Tensor
    mask: Tensor
    grids: tuple[int, ...]
    field_mm: float

    def edges(self) -> tuple[Tensor, Tensor]:
        """Return the reading and the read node of every edge, each ``(E,)``, row by row."""
        reader, read = self.mask.nonzero(as_tuple=True)
        return reader, read

    def node_at(self, scale: int, x_mm: float, y_mm: float) -> int:
        """Return the node whose cell holds a place of the image, for a click on a figure.

        The cells are the true ones, whatever coordinates the graph tells its attention.

        Raises:
            ValueError: the place lies outside the field.
        """
        if not (0 <= x_mm < self.field_mm and 0 <= y_mm < self.field_mm):
            raise ValueError(
                f"place: expected x and y in [0, {self.field_mm}) mm, found ({x_mm}, {y_mm})"
            )
        side = self.grids[scale]
        column, row = (int(p * side / self.field_mm) for p in (x_mm, y_mm))
        return sum(n * n for n in self.grids[:scale]) + row * side + column


def grid_graph(
    grids: Sequence[int],
    field_mm: float,
    edges: Edges = "containment",
    coordinates: Coordinates = "true",
    seed: int = 0,
) -> GridGraph:
    r"""Return the graph over square grids that cover the same field, coarse to fine.

    ``containment``: every node reads itself and its eight nearest within its scale (at the border
    too, where they reach further in), and parent and child read each other between neighbouring
    scales: a child is a cell whose centre lies in the parent (on its border: in the next cell).
    Among equally near cells the first in reading order is taken. With itself counted,

    | grids | nodes | edges |
    |---|---|---|
    | 3, 7, 7 | 107 | 1 159 |
    | 3, 7, 14 | 254 | 2 776 |
    | 7, 7, 14 | 294 | 3 136 |
    | 7, 14, 14 | 441 | 4 753 |

    The rest are controls. ``no_cross_scale`` drops the edges between scales; ``random`` lets every
    node read itself and as many others as before, drawn from all scales; ``complete`` is global
    attention. ``shuffled`` coordinates exchange the places of the nodes within each scale *after*
    the edges are drawn: the graph stays, what it is told of distances is wrong.

    Args:
        grids: cells per side of each scale, not decreasing.
        field_mm: side of the image in mm.
        edges: who reads whom.
        coordinates: ``true`` or ``shuffled``.
        seed: of ``random`` and ``shuffled``.

    Raises:
        ValueError: grids that shrink or are empty, a field that is not positive, unknown switches.
    """
    sides = tuple(grids)
    _check(sides, field_mm, edges, coordinates)
    random = np.random.default_rng(seed)
    scale_of = np.repeat(np.arange(len(sides)), [n * n for n in sides])
    cell_mm = field_mm / np.asarray(sides, dtype=np.float64)
    positions = np.concatenate(
        [(_cells(n) + 0.5) * mm for n, mm in zip(sides, cell_mm, strict=True)]
    )
    mask = _edges(sides, edges, random)
    if coordinates == "shuffled":
        for scale in range(len(sides)):
            here = np.flatnonzero(scale_of == scale)
            positions[here] = positions[random.permutation(here)]
    return GridGraph(
        torch.from_numpy(positions.astype(np.float32)),
        torch.from_numpy(np.log2(cell_mm)[scale_of].astype(np.float32)),
        torch.from_numpy(scale_of.astype(np.int64)),
        torch.from_numpy(mask),
        sides,
        field_mm,
    )


def _edges(sides: tuple[int, ...], edges: Edges, random: np.random.Generator) -> Mask:
    nodes = sum(n * n for n in sides)
    if edges == "complete":
        return np.ones((nodes, nodes), dtype=bool)
    mask = np.zeros((nodes, nodes), dtype=bool)
    starts = np.cumsum([0, *(n * n for n in sides)])
    for start, side in zip(starts, sides, strict=False):
        here = slice(start, start + side * side)
        mask[here, here] = _nearest(side)
    if edges == "no_cross_scale":
        return mask
    for scale, (coarse, fine) in enumerate(pairwise(sides)):
        child = np.arange(fine * fine)
        # the parent's column holds the child's centre: ⌊(k + ½) coarse / fine⌋, in whole numbers
        column, row = ((2 * _cells(fine) + 1) * coarse // (2 * fine)).T
        parent = row * coarse + column
        mask[starts[scale] + parent, starts[scale + 1] + child] = True
        mask[starts[scale + 1] + child, starts[scale] + parent] = True
    return _rewired(mask, random) if edges == "random" else mask


def _cells(side: int) -> NDArray[np.int64]:
    """Return ``(side², 2)``: column and row of every cell, row by row."""
    row, column = np.divmod(np.arange(side * side), side)
    return np.stack([column, row], axis=1)


def _nearest(side: int) -> Mask:
    """Return who reads whom within one scale: itself and the eight nearest."""
    cells = _cells(side)
    # Whole numbers: equal distances are equal, and the stable sort decides them in reading order.
    squared = ((cells[:, None] - cells[None]) ** 2).sum(-1)
    nearest = np.argsort(squared, axis=1, kind="stable")[:, : NEIGHBOURS + 1]
    mask = np.zeros((len(cells), len(cells)), dtype=bool)
    np.put_along_axis(mask, nearest, True, axis=1)
    return mask


def _rewired(mask: Mask, random: np.random.Generator) -> Mask:
    """Return a mask whose rows hold as many edges, the diagonal among them, in random places."""
    order = random.random(mask.shape)
    np.fill_diagonal(order, -1.0)
    rank = order.argsort(axis=1).argsort(axis=1)
    return rank < mask.sum(axis=1, keepdims=True)


def _check(sides: tuple[int, ...], field_mm: float, edges: str, coordinates: str) -> None:
    if not sides or min(sides) < 1 or list(sides) != sorted(sides):
        raise ValueError(
            f"grids: expected cells per side ≥ 1, from the coarsest scale to the finest, "
            f"found {sides}"
        )
    if field_mm <= 0:
        raise ValueError(f"field_mm: expected the side of the image > 0 mm, found {field_mm}")
    for name, value, known in (
        ("edges", edges, get_args(Edges)),
        ("coordinates", coordinates, get_args(Coordinates)),
    ):
        if value not in known:
            raise ValueError(f"{name}: expected one of {', '.join(known)}, found {value!r}")
