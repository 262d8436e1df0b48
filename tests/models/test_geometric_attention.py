"""Geometric attention: its definition edge by edge, closed forms, switches, identity, gradients."""

from collections.abc import Callable
from math import exp
from typing import get_args

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from medkd_lib.models.geometric_attention import GeometricBias, GeometricLayer, Geometry
from medkd_lib.models.grid_graph import Edges, GridGraph, grid_graph

DIM, HEADS = 16, 2
GRIDS, FIELD_MM = (2, 3), 96.0


def nodes_of(graph: GridGraph, batch: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, len(graph.mask), DIM, generator=generator)


def layer_of(graph: GridGraph, geometry: Geometry = "both", stirred: bool = True) -> GeometricLayer:
    """Return a layer; ``stirred`` gives every parameter a random value, the zeros too."""
    torch.manual_seed(0)
    layer = GeometricLayer(graph, DIM, HEADS, geometry)
    if stirred:
        with torch.no_grad():
            for name, parameter in layer.named_parameters():
                if "log_reach" not in name:
                    parameter.normal_(std=0.5)
    return layer


def by_definition(layer: GeometricLayer, graph: GridGraph, attention_input: Tensor) -> Tensor:
    """Return the attention ``(N, heads, V, V)``, one edge at a time."""
    q, k, _ = layer.qkv(attention_input).chunk(3, dim=-1)
    n, v, _ = attention_input.shape
    e = torch.full((n, HEADS, v, v), -torch.inf)
    width = DIM // HEADS
    for i, j in graph.mask.nonzero().tolist():
        delta = graph.positions_mm[i] - graph.positions_mm[j]
        distance = delta.norm()
        size = graph.log_size[i] - graph.log_size[j]
        for head in range(HEADS):
            part = slice(head * width, (head + 1) * width)
            e[:, head, i, j] = (q[:, i, part] * k[:, j, part]).sum(-1) / width**0.5
            if layer.bias.phi is not None:
                told = torch.stack([*delta / FIELD_MM, distance / FIELD_MM, size])
                e[:, head, i, j] += layer.bias.phi(told)[head]
            if layer.bias.log_reach is not None:
                reach_mm = layer.bias.log_reach[head].exp()
                e[:, head, i, j] -= distance**2 / (2 * reach_mm**2)
    return e.softmax(-1)


@pytest.mark.parametrize("geometry", get_args(Geometry))
@pytest.mark.parametrize("edges", ["containment", "complete"])
def test_the_attention_is_its_definition(edges: Edges, geometry: Geometry) -> None:
    graph = grid_graph(GRIDS, FIELD_MM, edges=edges)
    layer = layer_of(graph, geometry)
    nodes = nodes_of(graph)
    with torch.no_grad():
        expected = by_definition(layer, graph, nodes)
        torch.testing.assert_close(layer.attention(nodes), expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("edges", get_args(Edges))
def test_the_layer_is_dense_masked_attention(edges: Edges) -> None:
    """PyTorch's own attention over all pairs, with the geometry as its mask, gives the same."""
    graph = grid_graph((3, 7), FIELD_MM, edges=edges, seed=2)
    layer, nodes = layer_of(graph), nodes_of(graph)
    with torch.no_grad():
        normed = layer.norm_attention(nodes)
        q, k, v = (
            part.unflatten(2, (HEADS, -1)).transpose(1, 2)
            for part in layer.qkv(normed).chunk(3, dim=-1)
        )
        delta = graph.positions_mm[:, None] - graph.positions_mm
        distance = delta.norm(dim=-1, keepdim=True)
        size = (graph.log_size[:, None] - graph.log_size)[..., None]
        assert layer.bias.phi is not None and layer.bias.log_reach is not None
        told = layer.bias.phi(torch.cat([delta / FIELD_MM, distance / FIELD_MM, size], dim=-1))
        bias = (told - distance**2 / (2 * layer.bias.log_reach.exp() ** 2)).permute(2, 0, 1)
        bias = bias.masked_fill(~graph.mask, -torch.inf)
        read = F.scaled_dot_product_attention(q, k, v, bias).transpose(1, 2).flatten(2)
        middle = nodes + layer.project(read)
        expected = middle + layer.ffn(layer.norm_ffn(middle))
        torch.testing.assert_close(layer(nodes), expected, atol=1e-4, rtol=1e-4)


def test_attention_sums_to_one_and_stays_on_the_graph() -> None:
    graph = grid_graph((3, 7), FIELD_MM)
    weights = layer_of(graph).attention(nodes_of(graph))
    assert weights.shape == (3, HEADS, 58, 58)
    torch.testing.assert_close(weights.sum(-1), torch.ones(3, HEADS, 58))
    assert not weights[:, :, ~graph.mask].any()
    assert (weights[:, :, graph.mask] > 0).all()


def test_the_gaussian_alone_in_closed_form() -> None:
    graph = grid_graph((3,), FIELD_MM)
    layer = layer_of(graph, "gauss", stirred=False)
    torch.nn.init.zeros_(layer.qkv.weight)
    reach_mm = layer.bias.reach_mm()
    assert reach_mm is not None
    assert reach_mm.tolist() == pytest.approx([32.0, 32.0])
    # cells 32 mm apart: exp(0), 4 exp(-1/2), 4 exp(-1) around the middle
    middle = layer.attention(nodes_of(graph))[0, 0, 4]
    total = 1 + 4 * exp(-0.5) + 4 * exp(-1)
    assert middle[4].item() == pytest.approx(1 / total, rel=1e-5)
    assert middle[1].item() == pytest.approx(exp(-0.5) / total, rel=1e-5)
    assert middle[0].item() == pytest.approx(exp(-1) / total, rel=1e-5)


@pytest.mark.parametrize(
    ("geometry", "present", "parameters"),
    [
        ("both", {"phi", "log_reach"}, 4 * 16 + 16 + 16 * 2 + 2),
        ("phi", {"phi"}, 4 * 16 + 16 + 16 * 2),
        ("gauss", {"log_reach"}, 2),
        ("none", set(), 0),
    ],
)
def test_a_switch_leaves_no_idle_parameters(
    geometry: Geometry, present: set[str], parameters: int
) -> None:
    bias = GeometricBias(grid_graph(GRIDS, FIELD_MM), HEADS, geometry)
    assert {name.split(".")[0] for name, _ in bias.named_parameters()} == present
    assert sum(p.numel() for p in bias.parameters()) == parameters
    assert (bias.reach_mm() is None) == ("log_reach" not in present)


def test_places_matter_only_to_geometry() -> None:
    true = grid_graph((3, 7), FIELD_MM)
    shuffled = grid_graph((3, 7), FIELD_MM, coordinates="shuffled")
    nodes = nodes_of(true)
    for geometry in get_args(Geometry):
        same = torch.allclose(
            layer_of(true, geometry)(nodes), layer_of(shuffled, geometry)(nodes), atol=1e-5
        )
        assert same == (geometry == "none"), geometry


def test_a_graph_that_learns_nothing_changes_nothing() -> None:
    graph = grid_graph((3, 7), FIELD_MM)
    nodes = nodes_of(graph)
    assert torch.equal(layer_of(graph, stirred=False)(nodes), nodes)
    assert not torch.allclose(layer_of(graph)(nodes), nodes, atol=0.1)


def test_geometry_is_computed_once_for_the_whole_batch() -> None:
    graph = grid_graph((3, 7), FIELD_MM)
    layer, rows = layer_of(graph), []
    assert layer.bias.phi is not None
    layer.bias.phi.register_forward_hook(lambda module, given, out: rows.append(len(out)))
    layer(nodes_of(graph, batch=5))
    assert rows == [int(graph.mask.sum())]


def test_images_do_not_see_each_other() -> None:
    graph = grid_graph((3, 7), FIELD_MM)
    layer, nodes = layer_of(graph), nodes_of(graph)
    torch.testing.assert_close(layer(nodes)[:1], layer(nodes[:1]), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(layer(nodes.flip(0)), layer(nodes).flip(0), atol=1e-5, rtol=1e-5)


def test_a_node_hears_its_neighbours_and_nobody_else() -> None:
    graph = grid_graph((3, 7), FIELD_MM)
    layer, nodes = layer_of(graph), nodes_of(graph, batch=1).requires_grad_()
    listener = graph.node_at(1, 40.0, 40.0)
    layer(nodes)[0, listener].square().sum().backward()
    assert nodes.grad is not None
    heard = nodes.grad[0].abs().sum(1) > 0
    assert torch.equal(heard, graph.mask[listener])


@pytest.mark.parametrize("geometry", get_args(Geometry))
def test_the_gradient_reaches_every_parameter_once_the_zeros_have_moved(
    geometry: Geometry,
) -> None:
    graph = grid_graph((3, 7), FIELD_MM)
    layer, nodes = layer_of(graph, geometry, stirred=False), nodes_of(graph)
    adam = torch.optim.Adam(layer.parameters(), 1e-2)
    for _ in range(2):
        adam.zero_grad()
        F.mse_loss(layer(nodes), nodes.roll(1, 1)).backward()
        adam.step()
    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 1e-7, name


def test_parameters_are_those_of_the_proposal() -> None:
    layer = GeometricLayer(grid_graph((3, 7, 14), 224.0), 64, 4)
    # 33 624 there: the four biases after φ, which no softmax can see, are left out
    assert sum(p.numel() for p in layer.parameters()) == 33_620
    assert not layer.bias.state_dict().keys() & {"offsets", "squared_mm", "edge"}


def test_runs_in_bfloat16_with_geometry_in_float32() -> None:
    graph = grid_graph((3, 7), FIELD_MM)
    layer, nodes = layer_of(graph), nodes_of(graph)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = layer(nodes)
        assert layer.bias().dtype == torch.float32
    mixed.square().mean().backward()
    torch.testing.assert_close(mixed, layer(nodes), atol=0.2, rtol=0.1)
    half = layer_of(graph).bfloat16()(nodes.bfloat16())
    assert half.dtype == torch.bfloat16 and half.isfinite().all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda g: GeometricLayer(g, 15, 2), "multiple of the 2 heads, found 15"),
        (lambda g: GeometricBias(g, 2, "rbf"), "geometry: .*gauss.*'rbf'"),  # type: ignore[arg-type]
        (lambda g: GeometricLayer(g, 16, 2)(torch.zeros(1, 12, 16)), "graph's 13, found 12"),
    ],
)
def test_errors_name_what_is_wrong(call: Callable[[GridGraph], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(grid_graph(GRIDS, FIELD_MM))
