"""Region graph distillation: the weighed sum, terms left out, regions that one side lacks."""

import pytest
import torch
from torch import Tensor

from medkd_lib.distill.graph_terms import cosine_distance, edge_term, node_term
from medkd_lib.distill.gromov_wasserstein import gromov_wasserstein
from medkd_lib.distill.region_graph import GraphWeights, region_graph_distillation
from tests.distill.losses import graph, random


def pair() -> tuple[Tensor, Tensor]:
    return random((3, 5, 8), 0), random((3, 5, 8), 1)


def test_the_total_is_the_weighed_sum() -> None:
    s, t = (graph(x) for x in pair())
    terms = region_graph_distillation(s, t, GraphWeights(2.0, 3.0, 5.0))
    assert float(terms.node) == float(node_term(s.nodes, t.nodes, s.present))
    assert float(terms.edge) == float(edge_term(s.similarity, t.similarity, s.present))
    distances = cosine_distance(s.similarity), cosine_distance(t.similarity)
    aligned = float(gromov_wasserstein(*distances, s.present, t.present, aligned=True))
    assert float(terms.gromov_wasserstein) == aligned
    assert 0 < aligned <= 0.8 * float(terms.edge) + 1e-12
    expected = 2 * terms.node + 3 * terms.edge + 5 * terms.gromov_wasserstein
    assert float(terms.total) == pytest.approx(float(expected), rel=1e-12)


def test_a_term_of_weight_zero_is_not_computed() -> None:
    """Nodes of another width have no node term; edges and distances do not mind."""
    student, teacher = graph(random((3, 5, 8), 0)), graph(random((3, 5, 20), 1))
    terms = region_graph_distillation(student, teacher, GraphWeights(node=0))
    assert float(terms.node) == 0 and float(terms.total) > 0.01
    with pytest.raises(ValueError, match="project the student's map"):
        region_graph_distillation(student, teacher)


@pytest.mark.parametrize("solver", ["corners", "pot"])
def test_fused_asks_for_the_nodes_too(solver: str) -> None:
    s, _ = pair()
    swapped, teacher = graph(s[:, [1, 0, 2, 3, 4]]), graph(s)
    only = GraphWeights(0, 0, 1)
    free = region_graph_distillation(swapped, teacher, only, solver="pot").total
    fused = region_graph_distillation(swapped, teacher, only, alpha=0.1, solver=solver).total  # type: ignore[arg-type]
    assert float(free) == pytest.approx(0, abs=1e-6)
    assert float(fused) == pytest.approx(0, abs=1e-6)  # features go with the nodes
    other = graph(pair()[1])
    assert float(region_graph_distillation(other, teacher, only, alpha=0.1).total) > 0.1


def test_a_region_that_one_side_lacks_counts_for_neither() -> None:
    s, t = (graph(x) for x in pair())
    present = s.present.clone()
    present[:, 4] = False
    terms = region_graph_distillation(s._replace(present=present), t, GraphWeights(1, 1, 0))
    small_s, small_t = (g._replace(nodes=g.nodes[:, :4], similarity=g.similarity[:, :4, :4],
                      present=g.present[:, :4]) for g in (s, t))  # fmt: skip
    expected = region_graph_distillation(small_s, small_t, GraphWeights(1, 1, 0))
    assert float(terms.total) == pytest.approx(float(expected.total), rel=1e-12)


def test_patients_without_a_region_give_nothing() -> None:
    s, t = pair()
    s.requires_grad_()
    nobody = torch.zeros(3, 5, dtype=torch.bool)
    student, teacher = graph(s)._replace(present=nobody), graph(t)._replace(present=nobody)
    total = region_graph_distillation(student, teacher).total
    assert float(total) == 0 and not torch.autograd.grad(total, s)[0].any()
