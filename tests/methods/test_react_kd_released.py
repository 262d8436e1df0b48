"""The released graph term: not zero for equal graphs, unless mended; the student: not light."""

import ot
import pytest
import torch
from torch import Tensor

from medkd_lib.distill.graph_terms import cosine_distance
from medkd_lib.distill.gromov_wasserstein import gromov_wasserstein
from medkd_lib.distill.precision import unit
from medkd_lib.methods.react_kd_released import (
    ReleasedStudent,
    graph_taught_by,
    mean_node_distance,
    released_plan,
    released_terms,
)
from medkd_lib.models.fused_classifier import Branch, FusedClassifier
from medkd_lib.models.segresnet_encoder import SegResNetEncoder
from medkd_lib.models.small_cnn import parameter_count
from tests.distill.losses import random


def distance(nodes: Tensor) -> Tensor:
    direction = unit(nodes)
    return cosine_distance((direction @ direction.T)[None])


def true_distance(student: Tensor, teacher: Tensor) -> Tensor:
    everybody = torch.ones(1, len(student), dtype=torch.bool)
    return gromov_wasserstein(distance(student), distance(teacher), everybody, everybody)


def test_the_plan_is_pots_sinkhorn() -> None:
    s, t = random((5, 16), 0), random((4, 16), 1)
    cost = 1 - unit(s) @ unit(t).T
    theirs = ot.sinkhorn(
        torch.full((5,), 0.2).double(), torch.full((4,), 0.25).double(), cost, 0.05,
        numItermax=100, stopThr=0, warn=False,
    )  # fmt: skip
    assert torch.allclose(released_plan(s, t), theirs, atol=1e-10)


@pytest.mark.parametrize("nodes", [2, 3, 6, 12])
def test_equal_graphs_are_far_apart_until_the_rows_are_mended(nodes: int) -> None:
    graph = random((nodes, 16), nodes)
    released, mended = released_terms(graph, graph), released_terms(graph, graph, repaired=True)
    # D - D / N² where the plan is sharp: the shrinkage is all there is to see
    expected = (1 - 1 / nodes**2) ** 2 * float(distance(graph).square().mean())
    assert float(released.gromov_wasserstein) == pytest.approx(expected, rel=0.02)
    assert float(released.gromov_wasserstein) > 0.2 and float(released.edge) > 0.005
    assert float(mended.gromov_wasserstein) < 1e-3 and float(mended.edge) < 1e-3
    assert float(released.node) < 1e-3
    assert float(true_distance(graph, graph)) == pytest.approx(0, abs=1e-9)


def test_a_student_that_obeys_it_collapses() -> None:
    teacher, start = random((6, 16), 0), random((6, 16), 1)
    wanted = mean_node_distance(teacher)
    losses = {
        "released": lambda s: released_terms(s, teacher).gromov_wasserstein,
        "mended": lambda s: released_terms(s, teacher, repaired=True).gromov_wasserstein,
        "true": lambda s: true_distance(s, teacher),
    }
    taught = {n: graph_taught_by(loss, start, 80, 0.1) for n, loss in losses.items()}
    spread = {name: mean_node_distance(nodes) for name, nodes in taught.items()}
    assert mean_node_distance(start) > 0.8 and wanted > 0.8
    assert spread["released"] < 0.1 * wanted
    assert spread["true"] == pytest.approx(wanted, rel=0.05)
    assert spread["mended"] == pytest.approx(wanted, rel=0.05)
    apart = {name: float(true_distance(nodes, teacher)) for name, nodes in taught.items()}
    assert apart["released"] > 0.5 and apart["true"] < 0.001 and apart["mended"] < 0.001


def test_the_lightweight_student_is_one_layer() -> None:
    student = ReleasedStudent()
    whole, network = parameter_count(student), parameter_count(student.segresnet)
    layer = parameter_count(student.widest)
    assert layer == 49_152 * 512 + 512
    assert network == 1_174_704 and whole == network + layer + 512 * 3 + 3 == 26_342_579
    assert layer / whole == pytest.approx(0.955, abs=5e-4)
    # The same encoder with the mean of its last map, attention and a common width for the graph
    pooled = FusedClassifier({"ct": Branch(("ct",), SegResNetEncoder(1))}, classes=3)
    encoder = 1_100_664
    around = (64 + 1) * 32 + (2 * 32 * 4 + 2 * 7**3) + (32 + 1) * 3
    assert parameter_count(pooled) == encoder + around < whole / 23


def test_the_released_student_answers_in_eval_alone_without_chance() -> None:
    torch.manual_seed(0)
    student = ReleasedStudent()
    volumes = torch.randn(2, 1, 16, 32, 32)
    with torch.no_grad():
        assert not torch.equal(student(volumes), student(volumes))  # two dropouts
        assert torch.equal(student.eval()(volumes), student(volumes))
        pooled = student.pool(student.segresnet(volumes))
        assert pooled.shape == (2, 24, *ReleasedStudent.GRID)
        assert student(volumes).shape == (2, 3)
