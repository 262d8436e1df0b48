"""Region graphs: scikit-image's values, gradients, odd regions, grids that do not divide."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from skimage.measure import regionprops
from torch import Tensor

from medkd_lib.models.region_graph import RegionGraph, region_graph
from medkd_lib.models.region_masks import Regions, pool_regions

SPACING = torch.tensor([[3.0, 0.8, 1.1], [5.0, 1.0, 1.0], [1.0, 2.0, 0.5]])


def regions(shape: tuple[int, int, int] = (8, 12, 16), count: int = 5) -> Tensor:
    """Three patients: boxes of random places and sizes, some over others, some at the border."""
    random = np.random.default_rng(0)
    labels = np.zeros((3, *shape), np.uint8)
    for patient in labels:
        for number in range(1, count + 1):
            low = [random.integers(0, n - 1) for n in shape]
            high = [random.integers(a + 1, n + 1) for a, n in zip(low, shape, strict=True)]
            patient[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = number
    labels[2][labels[2] == 3] = 0
    return torch.from_numpy(labels)


def features(grid: tuple[int, int, int] = (2, 3, 4), channels: int = 6) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn((3, channels, *grid), generator=generator, dtype=torch.float64)


def test_scikit_image_finds_the_same_means_and_centres() -> None:
    labels, maps = regions(), features()
    graph = region_graph(maps, Regions(labels, 5, SPACING))
    seen = 0
    for b in range(3):
        fine = maps[b].repeat_interleave(4, 1).repeat_interleave(4, 2).repeat_interleave(4, 3)
        for found in regionprops(
            labels[b].numpy(), fine.movedim(0, -1).numpy(), spacing=tuple(SPACING[b].tolist())
        ):
            node = found.label - 1
            assert graph.present[b, node]
            assert np.allclose(graph.nodes[b, node], found.intensity_mean, atol=1e-6)
            assert np.allclose(graph.centroids_mm[b, node], found.centroid, atol=1e-4)
            seen += 1
    assert seen == int(graph.present.sum()) == 13  # two lie under others or were taken out
    assert not graph.present[2, 2] and not graph.nodes[2, 2].any()
    assert not graph.centroids_mm[2, 2].any()


def test_masks_are_pytorchs_area_average_where_grids_divide() -> None:
    labels = regions()
    one_hot = F.one_hot(labels.long(), 6).movedim(-1, 1)[:, 1:].float()
    assert torch.allclose(Regions(labels, 5, SPACING).masks((2, 3, 4)), F.avg_pool3d(one_hot, 4))


def test_masks_of_a_grid_are_counted_once() -> None:
    found = Regions(regions(), 5, SPACING)
    assert found.masks((2, 3, 4)) is found.masks((2, 3, 4))
    assert found.masks((2, 3, 2)).shape == (3, 5, 2, 3, 2)


def test_masks_of_grids_that_do_not_divide_share_voxels_by_volume() -> None:
    """Against the same labels, repeated until both grids divide: exact, and no volume lost."""
    labels, grid = regions((7, 9, 10)), (3, 9, 4)
    repeated = labels.repeat_interleave(3, 1).repeat_interleave(4, 3)
    expected = Regions(repeated, 5, SPACING).masks(grid)
    masks = Regions(labels, 5, SPACING).masks(grid)
    assert torch.allclose(masks, expected, atol=1e-6)
    volume = masks.sum(dim=(2, 3, 4)) * (7 * 9 * 10) / (3 * 9 * 4)
    assert torch.allclose(volume[0, 4], (labels[0] == 5).sum().float(), rtol=1e-5)


def test_nothing_is_detached_and_absent_at_cornershand_on_nothing() -> None:
    maps = features().requires_grad_()
    labels = regions()
    labels[1] = 0
    graph = region_graph(maps, Regions(labels, 5, SPACING))
    (slope,) = torch.autograd.grad(graph.similarity().square().sum(), maps)
    assert torch.isfinite(slope).all()
    assert slope[0].abs().max() > 1e-3 and not slope[1].any()
    assert torch.autograd.gradcheck(
        lambda x: pool_regions(x, Regions(labels, 5, SPACING).masks((2, 3, 4))), maps
    )


def test_no_region_one_region_and_two_hundred() -> None:
    maps = features()
    nothing = region_graph(maps, Regions(torch.zeros(3, 8, 12, 16, dtype=torch.int64), 4, SPACING))
    assert not nothing.present.any() and not nothing.nodes.any()
    assert not nothing.similarity().any() and not nothing.distance_mm().any()
    everything = region_graph(
        maps, Regions(torch.ones(3, 8, 12, 16, dtype=torch.int16), 1, SPACING)
    )
    assert torch.allclose(everything.nodes[:, 0], maps.mean(dim=(2, 3, 4)), atol=1e-6)
    assert torch.allclose(everything.similarity(), torch.ones(3, 1, 1).double())
    # 200 regions, each a column of 8 voxels along the first axis
    columns = torch.arange(192).view(1, 12, 16).expand(3, 8, -1, -1) + 1
    many = region_graph(maps, Regions(columns, 200, SPACING))
    assert many.nodes.shape == (3, 200, 6) and int(many.present.sum()) == 3 * 192
    assert torch.allclose(many.nodes[:, 0], maps[..., 0, 0].mean(dim=2), atol=1e-6)


def test_centres_and_distances_are_in_millimetres() -> None:
    labels = torch.zeros(2, 4, 6, 8, dtype=torch.uint8)
    labels[:, 0, 0, 0] = 1  # in the corner
    labels[:, 3, 5, 6:] = 2  # at the other border
    labels[0, 1, 1, 1] = 3
    spacing = torch.tensor([[5.0, 0.5, 1.0], [1.0, 1.0, 1.0]])
    at_corners = Regions(labels, 3, spacing)
    centres, present = at_corners.centroids_mm, at_corners.present
    assert centres[0, 1].tolist() == [15.0, 2.5, 6.5] and centres[1, 1].tolist() == [3.0, 5.0, 6.5]
    assert present.tolist() == [[True, True, True], [True, True, False]]
    distance = RegionGraph(torch.ones(2, 3, 2), present, centres).distance_mm()
    assert float(distance[0, 0, 1]) == pytest.approx((15**2 + 2.5**2 + 6.5**2) ** 0.5)
    assert not distance[1, 2].any() and not distance.diagonal(dim1=1, dim2=2).any()
    same = Regions(labels, 3, (1.0, 1.0, 1.0)).centroids_mm
    assert torch.equal(same[1], centres[1])


def test_half_precision_and_autocast_do_not_reach_the_nodes() -> None:
    maps, labels = 200 * features(), regions()
    exact = region_graph(maps, Regions(labels, 5, SPACING))
    with torch.autocast("cpu", torch.bfloat16):
        single = region_graph(maps.float(), Regions(labels, 5, SPACING))
        half = region_graph(maps.half(), Regions(labels, 5, SPACING))
        similarity = single.similarity()
    assert single.nodes.dtype == half.nodes.dtype == similarity.dtype == torch.float32
    assert torch.allclose(single.nodes.double(), exact.nodes, rtol=1e-5, atol=1e-3)
    assert torch.allclose(similarity.double(), exact.similarity(), atol=1e-5)


def test_a_feature_of_length_zero_has_no_direction() -> None:
    nodes = torch.zeros(1, 2, 3, requires_grad=True)
    graph = RegionGraph(nodes, torch.ones(1, 2, dtype=torch.bool), torch.zeros(1, 2, 3))
    (slope,) = torch.autograd.grad(graph.similarity().sum(), nodes)
    assert not graph.similarity().any() and not slope.any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda r: Regions(r.float(), 5, SPACING).masks((2, 3, 4)), "whole numbers"),
        (lambda r: Regions(r, 4, SPACING).masks((2, 3, 4)), "0 to count = 4, found 0 to 5"),
        (lambda r: Regions(r.int() - 1, 5, SPACING).masks((2, 3, 4)), "found -1"),
        (lambda r: Regions(r, 5, SPACING).masks((2, 3, 17)), "coarser feature map"),
        (lambda r: Regions(r, 0, SPACING).masks((2, 3, 4)), "count = 0"),
        (lambda r: Regions(r, 5, (1.0, 1.0)), "3 numbers"),
        (lambda r: Regions(r, 5, (1.0, 0.0, 1.0)), "millimetres > 0"),
        (lambda r: region_graph(features()[:2], Regions(r, 5, SPACING)), "same patients"),
        (
            lambda r: pool_regions(features((2, 3, 5)), Regions(r, 5, SPACING).masks((2, 3, 4))),
            "map's grid",
        ),
    ],
)
def test_errors_name_what_is_wrong(call: Callable[[Tensor], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(regions())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_finds_the_same_graph() -> None:
    maps, labels = features(), regions((7, 9, 10))
    here = region_graph(maps, Regions(labels, 5, SPACING))
    there = region_graph(maps.cuda(), Regions(labels.cuda(), 5, SPACING.cuda()))
    assert there.nodes.is_cuda and torch.allclose(here.nodes, there.nodes.cpu(), atol=1e-6)
    assert torch.allclose(here.centroids_mm, there.centroids_mm.cpu(), atol=1e-4)
    assert torch.equal(here.present, there.present.cpu())
