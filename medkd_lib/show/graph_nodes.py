"""A region graph as it is drawn: nodes where their regions lie, and their strongest edges."""

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, Normalize
from numpy.typing import NDArray

from medkd_lib.models.region_graph import RegionGraph
from medkd_lib.show.box import BoxPlane
from medkd_lib.show.style import OKABE_ITO

# Colour and marker of a kind of region.
KINDS = {
    "liver": (OKABE_ITO["yellow"], "o"),
    "tumour": (OKABE_ITO["orange"], "D"),
    "vessel": (OKABE_ITO["sky"], "s"),
    "other organ": ("#BBBBBB", "h"),
}
# Light lines would vanish on white: the scale begins where it is seen.
EDGE_COLOURS = ListedColormap(mpl.colormaps["YlGnBu"](np.linspace(0.3, 1.0, 256)))
# Nodes nearer than this in the projection would hide each other.
LEAST_MM = 19.0


@dataclass(frozen=True)
class Node:
    """What is written into a node, and which of `KINDS` it is."""

    short: str
    kind: str


def node_of(name: str) -> Node:
    """Return how a region of the abdomen is drawn.

    ``liver segment IV`` is IV, ``tumour 2`` is T2, of several words the first letters are left,
    of one word the first two.

    Args:
        name: as in ``Blocks.region_names``.
    """
    words = name.split()
    if words[0] == "liver":
        return Node(words[-1] if len(words) > 1 else "Li", "liver")
    if words[0] == "tumour":
        return Node("T" + "".join(words[1:]), "tumour")
    vessel = {"vein", "veins", "vena", "aorta", "artery"} & set(words)
    short = "".join(w[0].upper() for w in words) if len(words) > 1 else name[:2].capitalize()
    return Node(short, "vessel" if vessel else "other organ")


@dataclass(frozen=True)
class ShownGraph:
    """The nodes that are there: their numbers, places ``(n, 2)`` in mm, and cosines."""

    rows: NDArray[np.intp]
    places: NDArray[np.float64]
    cosines: NDArray[np.float64]

    @classmethod
    def of(cls, graph: RegionGraph, plane: BoxPlane = "coronal") -> "ShownGraph":
        """Return the nodes of one patient's graph, seen from the front or, axial, from the feet."""
        rows = np.flatnonzero(graph.present[0].cpu().numpy())
        # W to the right; D upwards, or H downwards: the front is up.
        centroids = graph.centroids_mm[0].detach().cpu().double().numpy()[rows]
        cosines = graph.similarity()[0].detach().cpu().double().numpy()[np.ix_(rows, rows)]
        up = centroids[:, 0] if plane == "coronal" else -centroids[:, 1]
        return cls(rows, apart(np.stack([centroids[:, 2], up], axis=1)), cosines)

    def edges(self, strongest: int) -> list[tuple[int, int]]:
        """Return pairs of which one counts the other among its most similar nodes."""
        others = self.cosines - 3 * np.eye(len(self.cosines))  # a node is no neighbour of itself
        near = np.argsort(-others, axis=1, kind="stable")[:, : min(strongest, len(others) - 1)]
        pairs = {(min(i, int(j)), max(i, int(j))) for i, row in enumerate(near) for j in row}
        # The strongest are drawn last, on top.
        return sorted(pairs, key=lambda pair: float(self.cosines[pair]))


def apart(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return places that are `LEAST_MM` apart, or nearly: pairs push each other away."""
    moved = places.copy()
    for _ in range(200):
        way = moved[:, None] - moved[None]
        # Two regions at one place are pushed along some direction, always the same.
        tie = np.sign(np.subtract.outer(np.arange(len(moved)), np.arange(len(moved))))
        way[..., 0] += 1e-3 * tie
        length = np.linalg.norm(way, axis=-1) + np.eye(len(moved)) * LEAST_MM
        short = np.clip(LEAST_MM - length, 0, None)
        if short.max() < 0.5:
            break
        moved += 0.5 * (way * (short / np.maximum(length, 1e-9))[..., None]).sum(axis=1)
    return moved


def draw_graph(
    axis: Axes, graph: ShownGraph, pairs: list[tuple[int, int]], nodes: Sequence[Node],
    scale: Normalize, *, size: float = 27.0, plane: BoxPlane = "coronal",
) -> None:  # fmt: skip
    """Draw edges, wider and darker the nearer their cosine is to the scale's end, and nodes."""
    for i, j in pairs:
        height = float(np.asarray(scale(graph.cosines[i, j])))
        axis.plot(
            *graph.places[[i, j]].T, color=EDGE_COLOURS(height), lw=1.2 + 5.0 * height,
            solid_capstyle="round", zorder=2,
        )  # fmt: skip
    for row, (x, y) in zip(graph.rows, graph.places, strict=True):
        colour, marker = KINDS[nodes[row].kind]
        axis.plot(x, y, marker, ms=size, color=colour, mec="black", mew=1.2, zorder=3)
        axis.text(x, y, nodes[row].short, ha="center", va="center", fontsize=0.45 * size, zorder=4,
                  fontweight="bold")  # fmt: skip
    axis.set_aspect("equal")
    axis.grid(False)
    up = "feet ← mm → head" if plane == "coronal" else "back ← mm → front"
    axis.set(xlabel="patient's right ← mm → left", ylabel=up)
