"""Node and edge terms: PyTorch, definition by loops, absent nodes, carried graphs, errors."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from medkd_lib.distill.graph_terms import (
    carry_edges,
    carry_nodes,
    cosine_distance,
    edge_term,
    node_cost,
    node_term,
)
from tests.distill.losses import random

PRESENT = torch.tensor([[1, 1, 1, 1], [1, 0, 1, 0], [0, 0, 1, 0], [0, 0, 0, 0]]).bool()


def symmetric(seed: int) -> Tensor:
    edges = random((4, 4, 4), seed)
    return edges + edges.transpose(1, 2)


def test_nodes_are_compared_by_cosine() -> None:
    s, t = random((4, 4, 5), 0), random((4, 4, 5), 1)
    cosine = F.cosine_similarity(s, t, dim=-1)
    expected = sum(float((1 - cosine[b][p]).mean()) for b, p in enumerate(PRESENT) if p.any()) / 4
    assert float(node_term(s, t, PRESENT)) == pytest.approx(expected, rel=1e-10)


def test_edges_equal_the_definition() -> None:
    s, t = symmetric(0), symmetric(1)
    total = 0.0
    for b, present in enumerate(PRESENT):
        nodes = [i for i in range(4) if present[i]]
        pairs = [(i, j) for i in nodes for j in nodes if i != j]
        total += sum(float(s[b, i, j] - t[b, i, j]) ** 2 for i, j in pairs) / max(len(pairs), 1)
    assert float(edge_term(s, t, PRESENT)) == pytest.approx(total / 4, rel=1e-10)


@pytest.mark.parametrize("term", [node_term, edge_term])
def test_absent_nodes_pull_on_nothing(term: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
    s, t = symmetric(0).requires_grad_(), symmetric(1)
    (slope,) = torch.autograd.grad(term(s, t, PRESENT), s)
    assert not slope[~PRESENT].any() and slope[PRESENT][:4].any()
    assert not slope[3].any()  # nobody there
    empty = torch.zeros_like(PRESENT)
    assert float(term(s.detach(), t, empty)) == 0
    assert not torch.autograd.grad(term(s, t, empty), s)[0].any()


def test_one_node_has_no_edge() -> None:
    s, t = symmetric(0)[2:3].requires_grad_(), symmetric(1)[2:3]
    value = edge_term(s, t, PRESENT[2:3])
    assert float(value) == 0 and not torch.autograd.grad(value, s)[0].any()


def test_a_permutation_carries_the_graph_whole() -> None:
    order = torch.tensor([2, 0, 3, 1])
    plan = torch.eye(4, dtype=torch.float64)[order][None] / 4
    nodes, edges = random((1, 4, 5), 0), symmetric(0)[:1]
    assert torch.allclose(carry_nodes(nodes, plan), nodes[:, order])
    assert torch.allclose(carry_edges(edges, plan), edges[:, order][:, :, order])
    # an absent node is carried nothing
    plan[:, 1] = 0
    assert not carry_nodes(nodes, plan)[:, 1].any()
    assert torch.isfinite(carry_edges(edges, plan)).all()


def test_costs_and_distances() -> None:
    s, t = random((2, 3, 5), 0), random((2, 4, 5), 1)
    expected = 1 - F.cosine_similarity(s[:, :, None], t[:, None], dim=-1)
    assert torch.allclose(node_cost(s, t), expected)
    similarity = random((2, 3, 3), 2)
    distance = cosine_distance(similarity)
    assert not distance.diagonal(dim1=1, dim2=2).any()
    assert float(distance[0, 0, 1]) == pytest.approx(1 - float(similarity[0, 0, 1]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: node_term(random((1, 2, 3), 0), random((1, 2, 4), 0), PRESENT[:1, :2]), "project"),
        (lambda: node_term(random((1, 2, 3), 0), random((1, 2, 3), 0), PRESENT), "present bool"),
        (lambda: edge_term(symmetric(0), symmetric(1)[:2], PRESENT), "equal shapes"),
        (lambda: edge_term(symmetric(0), symmetric(1), PRESENT.int()), "present bool"),
    ],
)
def test_errors_name_what_is_wrong(call: Callable[[], Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
