"""The graph over grids: pinned counts, neighbours, containment, controls, errors."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from medkd_lib.models.grid_graph import GridGraph, grid_graph

FINE, FIELD_MM = (3, 7, 14), 224.0


@pytest.mark.parametrize(
    ("grids", "nodes", "edges"),
    [
        ((3, 7, 7), 107, 1159),
        ((3, 7, 14), 254, 2776),
        ((7, 7, 14), 294, 3136),
        ((7, 14, 14), 441, 4753),
        ((1, 2), 5, 25),
    ],
)
def test_nodes_and_edges_are_pinned(grids: tuple[int, ...], nodes: int, edges: int) -> None:
    graph = grid_graph(grids, FIELD_MM)
    assert len(graph.mask) == nodes
    assert int(graph.mask.sum()) == edges
    # nine a node within its scale (itself and eight, or all there are), two a containment
    within = sum(n * n * min(n * n, 9) for n in grids)
    assert edges == within + 2 * sum(n * n for n in grids[1:])
    assert graph.mask.diagonal().all()


def test_places_and_sizes_are_in_mm() -> None:
    graph = grid_graph(FINE, FIELD_MM)
    x_then_y = graph.positions_mm[9 + 49 + 14 * 2 + 5]
    assert x_then_y.tolist() == pytest.approx([5.5 * 16, 2.5 * 16])
    for scale, side in enumerate(FINE):
        here = graph.scale_of == scale
        assert int(here.sum()) == side * side
        assert graph.positions_mm[here].mean(0).tolist() == pytest.approx([112.0, 112.0])
        np.testing.assert_allclose(2.0 ** graph.log_size[here].numpy(), FIELD_MM / side, rtol=1e-6)


def test_a_cell_reads_its_eight_nearest() -> None:
    graph = grid_graph((14,), FIELD_MM)
    distance = torch.cdist(graph.positions_mm, graph.positions_mm) / 16
    inner, corner = graph.node_at(0, 40.0, 40.0), 0
    assert distance[inner][graph.mask[inner]].max() == pytest.approx(2**0.5, rel=1e-5)
    assert graph.mask[corner].nonzero()[:, 0].tolist() == [0, 1, 2, 14, 15, 16, 28, 29, 30]
    # nobody that is not read lies nearer than somebody who is
    for node in range(14 * 14):
        read, rest = distance[node][graph.mask[node]], distance[node][~graph.mask[node]]
        assert read.max() <= rest.min() + 1e-5


@pytest.mark.parametrize("grids", [(3, 7, 14), (7, 14, 14), (2, 5)])
def test_a_child_lies_in_its_parent_and_both_read_each_other(grids: tuple[int, ...]) -> None:
    graph = grid_graph(grids, FIELD_MM)
    assert torch.equal(_across(graph, graph.mask), _across(graph, graph.mask).T)
    for scale in range(1, len(grids)):
        children = (graph.scale_of == scale).nonzero()[:, 0]
        upward = graph.mask[children] & (graph.scale_of == scale - 1)
        assert (upward.sum(1) == 1).all()
        parents = upward.int().argmax(1)
        offset = (graph.positions_mm[parents] - graph.positions_mm[children]).abs()
        assert offset.max() <= FIELD_MM / grids[scale - 1] / 2 + 1e-3


def test_scales_that_are_no_neighbours_do_not_touch() -> None:
    graph = grid_graph(FINE, FIELD_MM)
    gap = (graph.scale_of[:, None] - graph.scale_of[None]).abs()
    assert not graph.mask[gap > 1].any()


def _across(graph: GridGraph, mask: torch.Tensor) -> torch.Tensor:
    return mask & (graph.scale_of[:, None] != graph.scale_of[None])


def test_no_cross_scale_drops_exactly_the_edges_between_scales() -> None:
    full = grid_graph(FINE, FIELD_MM)
    alone = grid_graph(FINE, FIELD_MM, edges="no_cross_scale")
    assert torch.equal(alone.mask, full.mask & ~_across(full, full.mask))


def test_random_edges_keep_every_degree() -> None:
    full = grid_graph(FINE, FIELD_MM)
    random, again, other = (
        grid_graph(FINE, FIELD_MM, edges="random", seed=seed) for seed in (0, 0, 1)
    )
    assert torch.equal(random.mask.sum(1), full.mask.sum(1))
    assert random.mask.diagonal().all()
    assert torch.equal(random.mask, again.mask)
    assert not torch.equal(random.mask, other.mask)
    # about one in twenty edges is where it was, by chance
    off_diagonal = ~torch.eye(254, dtype=torch.bool)
    assert float((random.mask & full.mask & off_diagonal).sum()) < 0.1 * 2522


def test_complete_reads_everything() -> None:
    assert grid_graph(FINE, FIELD_MM, edges="complete").mask.all()


def test_shuffled_coordinates_keep_the_graph_and_the_places_of_each_scale() -> None:
    true = grid_graph(FINE, FIELD_MM)
    shuffled = grid_graph(FINE, FIELD_MM, coordinates="shuffled", seed=3)
    assert torch.equal(shuffled.mask, true.mask)
    assert torch.equal(shuffled.log_size, true.log_size)
    for scale in range(3):
        here = true.scale_of == scale
        as_sets = [sorted(g.positions_mm[here].tolist()) for g in (true, shuffled)]
        assert as_sets[0] == as_sets[1]
    moved = (true.positions_mm != shuffled.positions_mm).any(1)
    assert float(moved.float().mean()) > 0.9
    again = grid_graph(FINE, FIELD_MM, coordinates="shuffled", seed=3)
    assert torch.equal(again.positions_mm, shuffled.positions_mm)


def test_a_click_finds_its_node() -> None:
    for coordinates in ("true", "shuffled"):
        graph = grid_graph(FINE, FIELD_MM, coordinates=coordinates)
        true = grid_graph(FINE, FIELD_MM).positions_mm.tolist()
        for node in (0, 8, 9, 57, 58, 100, 253):
            assert graph.node_at(int(graph.scale_of[node]), *true[node]) == node


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: grid_graph((14, 7), FIELD_MM), "grids: .* coarsest"),
        (lambda: grid_graph((), FIELD_MM), "grids"),
        (lambda: grid_graph((0, 7), FIELD_MM), "grids"),
        (lambda: grid_graph((7,), 0.0), "field_mm"),
        (lambda: grid_graph((7,), 1.0, edges="knn"), "edges: .*containment.*'knn'"),  # type: ignore[arg-type]
        (lambda: grid_graph((7,), 1.0, coordinates="x"), "coordinates"),  # type: ignore[arg-type]
        (lambda: grid_graph((7,), 1.0).node_at(0, 1.0, 0.5), "place"),
    ],
)
def test_errors_name_what_is_wrong(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
