"""One region graph of many organs, and all its edges as a table of colours."""

from collections.abc import Sequence

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from medkd_lib.models.region_graph import RegionGraph
from medkd_lib.show.graph_nodes import EDGE_COLOURS, Node, ShownGraph, draw_graph, node_of
from medkd_lib.show.style import course_style


def organ_graph(graph: RegionGraph, names: Sequence[str], *, strongest: int = 2) -> Figure:
    """Draw the graph as seen from the feet, and beside it the cosine of every pair.

    Nodes carry numbers, since forty names would hide what lies behind them; the table has both.

    Args:
        graph: of one patient, R nodes; absent ones are left out.
        names: of the R regions.
        strongest: edges drawn of each node at least.

    Raises:
        ValueError: graphs of several patients, other numbers of names, or less than two nodes.
    """
    if tuple(graph.present.shape) != (1, len(names)):
        raise ValueError(
            f"organ_graph: expected the graph of one patient with {len(names)} nodes, found "
            f"{tuple(graph.present.shape)}"
        )
    shown = ShownGraph.of(graph, "axial")
    if len(shown.rows) < 2:
        raise ValueError(
            f"organ_graph: expected two regions or more, found {len(shown.rows)}; one node has no "
            "edge to draw"
        )
    numbered = [Node(str(n + 1), node_of(name).kind) for n, name in enumerate(names)]
    pairs = shown.edges(strongest)
    apart = shown.cosines[~np.eye(len(shown.rows), dtype=bool)]
    # The lowest of all pairs, so that both panels have one scale.
    scale = Normalize(min(float(apart.min()), 0.98), 1.0)
    with course_style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(17.0, 9.4), width_ratios=[1, 1.15])
        draw_graph(left, shown, pairs, numbered, scale, size=21.0, plane="axial")
        left.margins(0.08)
        left.set_title(f"{len(shown.rows)} regions, {len(pairs)} strongest edges", fontsize=17)
        right.imshow(shown.cosines, cmap=EDGE_COLOURS, norm=scale)
        ticks = [f"{names[row]}  {row + 1}" for row in shown.rows]
        right.set_yticks(range(len(ticks)), ticks, fontsize=10)
        right.set_xticks(range(len(ticks)), [str(r + 1) for r in shown.rows], fontsize=8)
        right.grid(False)
        figure.colorbar(
            mpl.cm.ScalarMappable(scale, EDGE_COLOURS), ax=right, shrink=0.7
        ).set_label("cosine of node features")  # fmt: skip
    return figure
