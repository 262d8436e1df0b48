r"""Gromov–Wasserstein: how far two graphs are apart if nobody knows which node is which.

Solvers, measured by ``benchmarks/gromov_wasserstein.py``: see `gromov_wasserstein`.
"""

from typing import Literal, get_args

import torch
from ot.gromov import fused_gromov_wasserstein2, gromov_wasserstein2
from torch import Tensor

from medkd_lib.distill.coupling import gromov_objective, gromov_plan
from medkd_lib.distill.precision import in_float32

Solver = Literal["corners", "pot"]


@in_float32
def gromov_wasserstein(
    student: Tensor,
    teacher: Tensor,
    student_present: Tensor,
    teacher_present: Tensor,
    *,
    node_cost: Tensor | None = None,
    alpha: float = 1.0,
    aligned: bool = False,
    solver: Solver = "corners",
) -> Tensor:
    r"""Return the squared (fused) Gromov–Wasserstein distance, mean over the batch.

    $$\mathcal L = \frac1B\sum_b \min_{\pi\in\Pi(a,b)}
    (1-\alpha)\sum_{ik} M_{ik}\,\pi_{ik}
    + \alpha\sum_{ijkl} \lvert D^s_{ij}-D^t_{kl}\rvert^2\,\pi_{ik}\,\pi_{jl}$$

    It is 0 for equal graphs and for equal graphs with their nodes in another order, and needs
    neither equal numbers of nodes nor, at α = 1, features of one width. Two nodes that swap their
    roles cost nothing at α = 1: where node r is known to be region r, `edge_term` or the
    fused distance asks for more.

    The gradient is that of the objective at the plan found (the plan is least there, so its own
    change does not matter to first order). An empty graph is at distance 0 from everything; one
    node has distances to nobody, and is 0 away from one node.

    Args:
        student: symmetric distances ``(B, N, N)``, such as `cosine_distance`.
        teacher: ``(B, M, M)``, treated as a constant.
        student_present: ``(B, N)`` bool; present nodes weigh the same.
        teacher_present: ``(B, M)`` bool.
        node_cost: M, ``(B, N, M)``; needed for ``alpha < 1``.
        alpha: 1 is Gromov–Wasserstein, less is fused, 0 plain optimal transport.
        aligned: node r means the same in both graphs; the plan that says so is then one of those
            compared, and the value no longer free of the order of nodes. For ``corners``.
        solver: ``corners`` is `gromov_plan`; ``pot`` calls POT's own function for one pair after
            another. Both search on the CPU, whatever the device of value and gradient.

    Raises:
        ValueError: shapes do not fit, α outside 0…1, α < 1 without a cost, an unknown solver.

    Source: Mémoli 2011; fused: Vayer et al. 2019 (ICML). The solver was chosen by measurement,
    16 pairs of 4, 12 and 24 nodes: POT's loop needs 2.7 to 3.9 times the CPU time of ``corners``
    and ends 6 to 40 % higher; for equal graphs of 12 and 24 nodes in another order it ends above 0.
    POT's batched solver (entropic steps) ends 15 to 27 % higher at 4 nodes and 12 to 21 % lower at
    12 and 24, for 3 to 19 times the time.
    """
    _check(student, teacher, student_present, teacher_present, node_cost, alpha, solver)
    pairs = (student, teacher.detach(), student_present, teacher_present)
    if solver == "pot":
        return _by_pot(*pairs, node_cost, alpha).mean()
    plan = gromov_plan(*pairs, node_cost, alpha, aligned=aligned)
    return gromov_objective(student, teacher.detach(), plan, node_cost, alpha).mean()


def _by_pot(
    student: Tensor,
    teacher: Tensor,
    student_present: Tensor,
    teacher_present: Tensor,
    node_cost: Tensor | None,
    alpha: float,
) -> Tensor:
    """Return ``(B,)`` by POT's own functions, which take one pair of graphs without padding."""
    values = []
    for b, (here, there) in enumerate(zip(student_present, teacher_present, strict=True)):
        if not (here.any() and there.any()):
            values.append(student[b].sum() * 0)
            continue
        pair = student[b][here][:, here], teacher[b][there][:, there]
        if node_cost is None or alpha == 1:
            values.append(gromov_wasserstein2(*pair, symmetric=True))
        else:
            cost = node_cost[b][here][:, there]
            values.append(fused_gromov_wasserstein2(cost, *pair, alpha=alpha, symmetric=True))
    return torch.stack(values)


def _check(
    student: Tensor,
    teacher: Tensor,
    student_present: Tensor,
    teacher_present: Tensor,
    node_cost: Tensor | None,
    alpha: float,
    solver: str,
) -> None:
    for name, distances, present in (
        ("student", student, student_present),
        ("teacher", teacher, teacher_present),
    ):
        square = distances.ndim == 3 and distances.shape[1] == distances.shape[2]
        if not square or present.shape != distances.shape[:2] or present.dtype != torch.bool:
            raise ValueError(
                f"gromov_wasserstein: expected {name} distances (B, N, N) with present (B, N) "
                f"bool, found {tuple(distances.shape)} and {tuple(present.shape)} {present.dtype}"
            )
    shape = (len(student), student.shape[1], teacher.shape[1])
    if len(student) != len(teacher) or (node_cost is not None and node_cost.shape != shape):
        raise ValueError(
            f"gromov_wasserstein: expected graphs of the same patients and a cost {shape}, found "
            f"{len(student)} and {len(teacher)} graphs and a cost "
            f"{None if node_cost is None else tuple(node_cost.shape)}"
        )
    if not 0 <= alpha <= 1 or (alpha < 1 and node_cost is None):
        raise ValueError(
            f"alpha: expected 1, or within 0…1 together with a node_cost, found {alpha} and "
            f"{'no cost' if node_cost is None else 'a cost'}"
        )
    if solver not in get_args(Solver):
        raise ValueError(f"solver: expected one of {get_args(Solver)}, found {solver!r}")
