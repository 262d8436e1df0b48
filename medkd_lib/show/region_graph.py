"""Two region graphs side by side, and the coupling that says which node is which."""

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray
from torch import Tensor

from medkd_lib.models.region_graph import RegionGraph
from medkd_lib.show.graph_nodes import (
    EDGE_COLOURS,
    KINDS,
    LEAST_MM,
    Node,
    ShownGraph,
    draw_graph,
    node_of,
)
from medkd_lib.show.style import OKABE_ITO, course_style


def region_graphs(
    student: RegionGraph, teacher: RegionGraph, names: Sequence[str], plan: Tensor, *,
    strongest: int = 2,
) -> Figure:  # fmt: skip
    r"""Draw the student's graph, the teacher's, and the coupling π between them.

    A node stands at its region's centroid as seen from the front, patient's right on the left;
    nodes that would hide each other are moved apart. Edges are cosines of node features: the
    ``strongest`` of each node, wider and darker the nearer to 1, on one scale for both graphs.
    Absent nodes are not drawn. A row of the coupling says where a node of the student goes, as
    shares; frames mark the node of the same region.

    Args:
        student: graph of one patient, R nodes.
        teacher: of the same patient and regions.
        names: of the R regions, see `node_of`.
        plan: π, ``(1, R, R)`` or ``(R, R)``, from `medkd_lib.distill.coupling.gromov_plan`.
        strongest: edges drawn of each node at least.

    Raises:
        ValueError: graphs of several patients, other numbers of nodes, a plan of another shape,
            or a patient with less than two nodes.
    """
    coupling = plan.detach().cpu().double().numpy()
    coupling = coupling[0] if coupling.ndim == 3 and len(coupling) == 1 else coupling
    shapes = [tuple(g.present.shape) for g in (student, teacher)]
    if shapes != [(1, len(names))] * 2 or coupling.shape != (len(names), len(names)):
        raise ValueError(
            f"region_graphs: expected graphs of one patient with {len(names)} nodes and a plan of "
            f"as many rows and columns, found {shapes} and {coupling.shape}"
        )
    graphs = {"student": ShownGraph.of(student), "teacher": ShownGraph.of(teacher)}
    if min(len(g.rows) for g in graphs.values()) < 2:
        raise ValueError(
            "region_graphs: expected two regions or more in both graphs, found "
            f"{[len(g.rows) for g in graphs.values()]}; one node has no edge to draw"
        )
    nodes = [node_of(name) for name in names]
    pairs = {who: g.edges(strongest) for who, g in graphs.items()}
    lowest = min(g.cosines[i, j] for who, g in graphs.items() for i, j in pairs[who])
    scale = Normalize(min(float(lowest), 0.98), 1.0)
    with course_style():
        figure, axes = plt.subplots(1, 3, figsize=(16.6, 6.2), width_ratios=[1, 1, 0.95])
        for axis, (who, graph) in zip(axes, graphs.items(), strict=False):
            draw_graph(axis, graph, pairs[who], nodes, scale)
            axis.set_title(who, fontsize=17)
        # One field for both, also where one graph lacks a region at its edge.
        field = np.concatenate([g.places for g in graphs.values()])
        (left, low), (right, high) = field.min(axis=0) - LEAST_MM, field.max(axis=0) + LEAST_MM
        for axis in axes[:2]:
            axis.set(xlim=(left, right), ylim=(low, high))
        bar = figure.colorbar(
            mpl.cm.ScalarMappable(scale, EDGE_COLOURS), ax=axes[:2], location="bottom",
            shrink=0.5, pad=0.02, aspect=35,
        )  # fmt: skip
        bar.set_label("cosine of node features (edges)", fontsize=13)
        _coupling(axes[2], coupling, graphs["student"].rows, graphs["teacher"].rows, nodes)
        drawn = {nodes[r].kind for g in graphs.values() for r in g.rows}
        figure.legend(
            handles=[
                Line2D([], [], ls="", marker=m, color=c, mec="black", ms=13, label=kind)
                for kind, (c, m) in KINDS.items() if kind in drawn
            ],
            loc="outside lower left", ncols=len(drawn), fontsize=14,
        )  # fmt: skip
    return figure


def _coupling(
    axis: Axes, plan: NDArray[Any], rows: NDArray[np.intp], columns: NDArray[np.intp],
    nodes: Sequence[Node],
) -> None:  # fmt: skip
    there = plan[np.ix_(rows, columns)]
    shares = there / np.maximum(there.sum(axis=1, keepdims=True), 1e-12)
    shown = axis.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for r, c in np.argwhere(rows[:, None] == columns):
        axis.add_patch(
            plt.Rectangle((c - 0.5, r - 0.5), 1, 1, fill=False, ec=OKABE_ITO["vermillion"], lw=1.5)
        )
    same = float(there[rows[:, None] == columns].sum() / max(there.sum(), 1e-12))
    axis.set_xticks(range(len(columns)), [nodes[c].short for c in columns], rotation=90)
    axis.set_yticks(range(len(rows)), [nodes[r].short for r in rows])
    axis.set(xlabel="node of the teacher", ylabel="node of the student")
    axis.set_title(f"coupling π: {same:.0%} to the same region", fontsize=15)
    axis.grid(False)
    axis.figure.colorbar(shown, ax=axis, shrink=0.7).set_label("share of the student's node")
