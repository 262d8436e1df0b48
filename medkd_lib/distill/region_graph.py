"""Region graph distillation: nodes, edges and Gromov–Wasserstein, each with its weight."""

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from medkd_lib.distill.graph_terms import cosine_distance, edge_term, node_cost, node_term
from medkd_lib.distill.gromov_wasserstein import Solver, gromov_wasserstein


class Graph(NamedTuple):
    """What the losses see of a batch of graphs.

    Attributes:
        nodes: ``(B, R, C)``.
        similarity: cosines of the nodes, ``(B, R, R)``.
        present: ``(B, R)`` bool.
    """

    nodes: Tensor
    similarity: Tensor
    present: Tensor


@dataclass(frozen=True)
class GraphWeights:
    """Weights of the terms; a term of weight 0 is not computed and reads 0."""

    node: float = 1.0
    edge: float = 1.0
    gromov_wasserstein: float = 1.0


class GraphTerms(NamedTuple):
    """The terms before their weights, and their weighed sum; all scalars."""

    node: Tensor
    edge: Tensor
    gromov_wasserstein: Tensor
    total: Tensor


def region_graph_distillation(
    student: Graph,
    teacher: Graph,
    weights: GraphWeights | None = None,
    *,
    alpha: float = 1.0,
    solver: Solver = "corners",
) -> GraphTerms:
    r"""Return how far the student's graph of regions is from the teacher's.

    $$\mathcal L_{RGD} = w_{node}\,\mathcal L_{node} + w_{edge}\,\mathcal L_{edge}
    + w_{gw}\,\mathcal L_{GW}$$

    Node r is region r in both graphs, and counts where both have it. The Gromov–Wasserstein term
    takes that as one plan among others: if two nodes that swap their roles fit better, it forgives
    the swap unless ``alpha < 1``. With the same n nodes in every patient it is at most
    $\tfrac{n-1}{n}$ of the edge term.

    Args:
        student: graphs of B patients.
        teacher: of the same patients and regions, treated as constants; features of another width
            need ``GraphWeights(node=0)`` and ``alpha = 1``.
        weights: of the terms, 1 each by default.
        alpha: of `gromov_wasserstein`; below 1 it is fused with the cost of unlike nodes.
        solver: of `gromov_wasserstein`.

    Raises:
        ValueError: as the terms.

    Source: REACT-KD (arXiv 2508.02104), whose released code has terms of these names and other
    formulas (``methods/react_kd_released.py`` shows why they are not used). Weights of 1 are its
    defaults.
    """
    weights = weights or GraphWeights()
    both = student.present & teacher.present
    nothing = student.nodes.new_zeros((), dtype=student.similarity.dtype)
    node, edge, distance = nothing, nothing, nothing
    if weights.node:
        node = node_term(student.nodes, teacher.nodes, both)
    if weights.edge:
        edge = edge_term(student.similarity, teacher.similarity, both)
    if weights.gromov_wasserstein:
        distance = gromov_wasserstein(
            cosine_distance(student.similarity),
            cosine_distance(teacher.similarity),
            student.present,
            teacher.present,
            node_cost=node_cost(student.nodes, teacher.nodes) if alpha < 1 else None,
            alpha=alpha,
            aligned=True,
            solver=solver,
        )
    total = weights.node * node + weights.edge * edge + weights.gromov_wasserstein * distance
    return GraphTerms(node, edge, distance, total)
