"""Gromov–Wasserstein: POT, brute force, permutations, padding, graphs of no or one node."""

import itertools
from collections.abc import Callable

import numpy as np
import ot
import pytest
import torch
from torch import Tensor

from medkd_lib.distill.coupling import descend, gromov_objective, gromov_plan, product
from medkd_lib.distill.graph_terms import cosine_distance, edge_term, node_cost
from medkd_lib.distill.gromov_wasserstein import gromov_wasserstein
from medkd_lib.distill.precision import unit
from tests.distill.losses import random


def distances(nodes: Tensor) -> Tensor:
    direction = unit(nodes)
    return cosine_distance(direction @ direction.transpose(1, 2))


def everybody(batch: int, nodes: int) -> Tensor:
    return torch.ones(batch, nodes, dtype=torch.bool)


def pair(batch: int, n: int, m: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    s, t = distances(random((batch, n, 9), 0) + 0.5), distances(random((batch, m, 9), 1) + 0.5)
    return s, t, everybody(batch, n), everybody(batch, m)


@pytest.mark.parametrize("alpha", [1.0, 0.4])
@pytest.mark.parametrize(("n", "m"), [(6, 6), (6, 4), (3, 9)])
def test_pots_solver_agrees(n: int, m: int, alpha: float) -> None:
    """From the same start, without regularisation: the same plan, value and gradient."""
    s, t, _, _ = pair(1, n, m)
    linear = node_cost(random((1, n, 9), 2), random((1, m, 9), 3))
    mine, theirs = s.clone().requires_grad_(), s[0].clone().requires_grad_()
    plan = descend(product(n, m), s[0].numpy(), t[0].numpy(), linear[0].numpy(), alpha)
    value = gromov_objective(mine, t, torch.from_numpy(plan)[None], linear, alpha)
    if alpha == 1:
        result, log = ot.gromov.gromov_wasserstein2(theirs, t[0], log=True, tol_rel=0, tol_abs=0)
    else:
        result, log = ot.gromov.fused_gromov_wasserstein2(
            linear[0], theirs, t[0], alpha=alpha, log=True, tol_rel=0, tol_abs=0
        )
    assert np.allclose(plan, log["T"].detach().numpy(), atol=1e-9)
    assert np.abs(plan - product(n, m)).max() > 0.01  # it has moved
    assert float(value.detach()) == pytest.approx(float(result.detach()), rel=1e-9)
    (mine_slope,) = torch.autograd.grad(value.sum(), mine)
    (their_slope,) = torch.autograd.grad(result, theirs)
    assert torch.allclose(mine_slope[0], their_slope, atol=1e-10)


@pytest.mark.parametrize("alpha", [1.0, 0.4])
def test_pots_own_loop_is_a_switch(alpha: float) -> None:
    s, t, here, there = pair(2, 5, 4)
    here[1, 3:] = False
    cost = node_cost(random((2, 5, 9), 2), random((2, 4, 9), 3))
    s.requires_grad_()
    value = gromov_wasserstein(s, t, here, there, node_cost=cost, alpha=alpha, solver="pot")
    expected = []
    for b, n in enumerate((5, 3)):
        one = s[b, :n, :n].detach()
        expected.append(
            ot.gromov.fused_gromov_wasserstein2(cost[b, :n], one, t[b], alpha=alpha)
            if alpha < 1
            else ot.gromov.gromov_wasserstein2(one, t[b])
        )
    assert float(value.detach()) == pytest.approx(float(sum(expected)) / 2, rel=1e-9)
    (slope,) = torch.autograd.grad(value, s)
    assert slope[1, :3, :3].any() and not slope[1, 3:].any()


def test_the_objective_equals_the_sum_over_four_indices() -> None:
    s, t, _, _ = pair(1, 4, 3)
    plan = random((1, 4, 3), 5).softmax(-1) / 4  # any sums
    indices = itertools.product(range(4), range(4), range(3), range(3))
    total = sum(
        float((s[0, i, j] - t[0, k, m]) ** 2 * plan[0, i, k] * plan[0, j, m])
        for i, j, k, m in indices
    )
    assert float(gromov_objective(s, t, plan)) == pytest.approx(total, rel=1e-10)


def test_near_the_best_of_all_permutations() -> None:
    """Cosine distances make the objective concave, so its minimum is a permutation."""
    s, t, here, there = pair(20, 5, 5)
    orders = list(itertools.permutations(range(5)))
    each = torch.stack(
        [(s[:, o][:, :, o] - t).square().mean(dim=(1, 2)) for o in map(list, orders)]
    )
    best = each.min(dim=0).values
    found = gromov_objective(s, t, gromov_plan(s, t, here, there))
    by_pot = torch.stack([ot.gromov.gromov_wasserstein2(a, b) for a, b in zip(s, t, strict=True)])
    assert (found >= best - 1e-9).all()
    assert float(found.mean()) < float(by_pot.mean())
    assert float(found.mean()) < 1.3 * float(best.mean())


@pytest.mark.parametrize("nodes", [2, 3, 6, 12])
def test_zero_for_equal_graphs_in_any_order(nodes: int) -> None:
    s = distances(random((8, nodes, 32), 0) + 0.5)
    here = everybody(8, nodes)
    order = torch.randperm(nodes, generator=torch.Generator().manual_seed(1))
    shuffled = s[:, order][:, :, order]
    assert float(gromov_wasserstein(s, s, here, here)) == pytest.approx(0, abs=1e-9)
    assert float(gromov_wasserstein(shuffled, s, here, here)) == pytest.approx(0, abs=1e-9)
    assert float(gromov_wasserstein(s, s.flip(0), here, here)) > 1e-3


def test_the_order_of_nodes_does_not_matter() -> None:
    s, t, here, there = pair(6, 7, 5)
    order = torch.tensor([3, 0, 6, 2, 5, 1, 4])
    other = gromov_wasserstein(s[:, order][:, :, order], t, here, there)
    assert float(other) == pytest.approx(float(gromov_wasserstein(s, t, here, there)), rel=1e-9)


def test_padding_changes_nothing() -> None:
    s, t, here, there = pair(3, 5, 4)
    small = gromov_wasserstein(s, t, here, there)
    wide_s, wide_t = torch.full((3, 9, 9), 7.0).double(), torch.full((3, 8, 8), 3.0).double()
    wide_s[:, :5, :5], wide_t[:, :4, :4] = s, t
    present_s, present_t = torch.zeros(3, 9).bool(), torch.zeros(3, 8).bool()
    present_s[:, :5], present_t[:, :4] = True, True
    wide_s.requires_grad_()
    padded = gromov_wasserstein(wide_s, wide_t, present_s, present_t)
    assert float(padded.detach()) == pytest.approx(float(small), rel=1e-9)
    (slope,) = torch.autograd.grad(padded, wide_s)
    assert slope[:, :5, :5].any() and not slope[:, 5:].any()


def test_graphs_of_one_node_and_of_none() -> None:
    s, t, here, there = pair(3, 4, 4)
    here[0], here[1, 1:], there[1, 1:] = False, False, False
    s.requires_grad_()
    for b in (0, 1):
        value = gromov_wasserstein(s[b : b + 1], t[b : b + 1], here[b : b + 1], there[b : b + 1])
        assert float(value) == 0 and not torch.autograd.grad(value, s)[0].any()
    # and they disturb nobody in the same batch
    whole = gromov_wasserstein(s, t, here, there)
    last = gromov_wasserstein(s[2:], t[2:], here[2:], there[2:])
    assert float(whole) == pytest.approx(float(last) / 3, rel=1e-9)
    by_pot = gromov_wasserstein(s[:1], t[:1], here[:1], there[:1], solver="pot")
    assert float(by_pot) == 0


def test_known_partners_are_one_plan_among_others() -> None:
    s, t, here, _ = pair(16, 8, 8)
    free = gromov_wasserstein(s, t, here, here)
    aligned = gromov_wasserstein(s, t, here, here, aligned=True)
    assert 0.01 < float(aligned) <= min(float(free), float(edge_term(s, t, here)) * 7 / 8) + 1e-12
    # two nodes with exchanged roles are forgiven, unless nodes say who they are
    swap = torch.tensor([1, 0, 2, 3, 4, 5, 6, 7])
    swapped = t[:, swap][:, :, swap]
    assert float(gromov_wasserstein(swapped, t, here, here)) == pytest.approx(0, abs=1e-6)
    cost = 1 - torch.eye(8, dtype=torch.float64).expand(16, 8, 8)
    fused = gromov_wasserstein(swapped, t, here, here, node_cost=cost, alpha=0.5)
    assert float(fused) > 0.01 and float(edge_term(swapped, t, here)) > 0.001


def test_scale_of_distances_is_kept_in_the_value_alone() -> None:
    s, t, here, there = pair(4, 6, 6)
    plan = gromov_plan(s, t, here, there)
    assert torch.allclose(gromov_plan(300 * s, 0.01 * t, here, there), plan, atol=1e-9)
    value = float(gromov_wasserstein(s, t, here, there))
    assert float(gromov_wasserstein(9 * s, 9 * t, here, there)) == pytest.approx(81 * value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: {**a, "student": a["student"][:, :2]}, "student distances"),
        (lambda a: {**a, "teacher_present": a["teacher_present"].int()}, "teacher distances"),
        (lambda a: {**a, "alpha": 0.5}, "alpha: expected"),
        (lambda a: {**a, "alpha": 2.0}, "alpha: expected"),
        (lambda a: {**a, "solver": "exact"}, "solver: expected"),
        (lambda a: {**a, "node_cost": a["student"]}, "a cost"),
    ],
)
def test_errors_name_what_is_wrong(
    change: Callable[[dict[str, object]], dict[str, object]], message: str
) -> None:
    names = ("student", "teacher", "student_present", "teacher_present")
    arguments = change(dict(zip(names, pair(2, 3, 4), strict=True)))
    with pytest.raises(ValueError, match=message):
        gromov_wasserstein(**arguments)  # type: ignore[arg-type]
