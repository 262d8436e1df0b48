r"""Which node of one graph is which of another: couplings that keep distances.

A plan π says how much of node i goes to node k. All present nodes weigh the same, and absent ones
(padding) nothing. Cosine distances make the objective concave over plans, so that its minima are
corners: with equal numbers of nodes, permutations. Steps that go from corner to corner find them
exactly, on the CPU, where graphs of a few dozen nodes are at home; entropic solvers only get near.
"""

import numpy as np
import ot
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from medkd_lib.distill.precision import in_float32

Array = NDArray[np.float64]
MOST_STEPS = 100


@in_float32
def gromov_objective(
    student: Tensor,
    teacher: Tensor,
    plan: Tensor,
    node_cost: Tensor | None = None,
    alpha: float = 1.0,
) -> Tensor:
    r"""Return the objective of (fused) Gromov–Wasserstein at a plan, ``(B,)``.

    $$(1-\alpha)\,\langle M,\pi\rangle + \alpha\sum_{ijkl}
    \lvert D^s_{ij}-D^t_{kl}\rvert^2\pi_{ik}\pi_{jl},\qquad
    \sum_{ijkl}\!\dots = p^\top (D^s)^{\circ2} p + q^\top (D^t)^{\circ2} q
    - 2\,\langle D^s\pi D^t,\,\pi\rangle$$

    with $p = \pi\mathbf 1$ and $q = \pi^\top\mathbf 1$.

    Args:
        student: symmetric distances ``(B, N, N)``.
        teacher: ``(B, M, M)``.
        plan: ``(B, N, M)``; 0 at absent nodes.
        node_cost: M, ``(B, N, M)``; needed for ``alpha < 1``.
        alpha: share of the distances in the objective, within 0…1.

    Source: Peyré, Cuturi & Solomon 2016 (ICML), proposition 1: (N + M) N M products, not N² M².
    """
    p, q = plan.sum(dim=2), plan.sum(dim=1)
    within = torch.einsum("bij,bi,bj->b", student.square(), p, p)
    within = within + torch.einsum("bkl,bk,bl->b", teacher.square(), q, q)
    between = within - 2 * (student @ plan @ teacher * plan).sum(dim=(1, 2))
    if node_cost is None:
        return alpha * between
    return alpha * between + (1 - alpha) * (node_cost * plan).sum(dim=(1, 2))


@torch.no_grad()
def gromov_plan(
    student: Tensor,
    teacher: Tensor,
    student_present: Tensor,
    teacher_present: Tensor,
    node_cost: Tensor | None = None,
    alpha: float = 1.0,
    *,
    aligned: bool = False,
) -> Tensor:
    """Return the best of the plans that `descend` reaches from two starts, or three.

    They are: nodes to nodes with like `profiles`, which finds equal graphs; everybody to everybody,
    POT's start; and, if ``aligned``, nodes to nodes with the same number. There are many local
    minima, and each start leads to the best one now and then.

    Args:
        student: symmetric distances ``(B, N, N)``.
        teacher: ``(B, M, M)``.
        student_present: ``(B, N)`` bool.
        teacher_present: ``(B, M)`` bool.
        node_cost: ``(B, N, M)``; needed for ``alpha < 1``.
        alpha: as `gromov_objective`.
        aligned: node r means the same in both graphs. The result then depends on the order of nodes
            where the graphs differ.

    Returns:
        ``(B, N, M)``, a constant; 0 for a pair of graphs of which one is empty.
    """
    cost = student.new_zeros((len(student), student.shape[1], teacher.shape[1]))
    if node_cost is not None:
        cost = node_cost
    d, e, m = (x.detach().double().cpu().numpy() for x in (student, teacher, cost))
    here, there = (x.cpu().numpy() for x in (student_present, teacher_present))
    plans = np.zeros(m.shape)
    for b in range(len(plans)):
        rows, columns = np.flatnonzero(here[b]), np.flatnonzero(there[b])
        if not len(rows) or not len(columns):
            continue
        pair = d[b][np.ix_(rows, rows)], e[b][np.ix_(columns, columns)], m[b][np.ix_(rows, columns)]
        starts = [corner(profiles(*pair, alpha)), product(len(rows), len(columns))]
        if aligned:
            starts.append(corner(np.not_equal.outer(rows, columns).astype(np.float64)))
        found = [descend(start, *pair, alpha) for start in starts]
        best = int(np.argmin([_objective(plan, *pair, alpha) for plan in found]))
        plans[b][np.ix_(rows, columns)] = found[best]
    return torch.from_numpy(plans).to(student)


def descend(start: Array, student: Array, teacher: Array, node_cost: Array, alpha: float) -> Array:
    r"""Return the plan that conditional gradient steps reach from a start.

    $$\pi \leftarrow \pi + \gamma\,(\pi' - \pi),\qquad
    \pi' = \arg\min_{\pi'\in\Pi(a,b)} \langle G(\pi),\pi'\rangle,\qquad
    G(\pi) = (1-\alpha)\,M - 4\alpha\,D^s\pi D^t$$

    with the best γ in 0…1 in closed form: 1 wherever the objective is concave along the way.

    Args:
        start: plan ``(n, m)``.
        student: symmetric distances ``(n, n)``, all nodes present.
        teacher: ``(m, m)``.
        node_cost: M, ``(n, m)``.
        alpha: as `gromov_objective`.

    Source: Vayer et al. 2019 (ICML), algorithm 1, as in POT. Terms of G that are constant along
    rows or columns are left out: they do not change the minimum.
    """
    plan = start
    for _ in range(MOST_STEPS):
        slope = (1 - alpha) * node_cost - 4 * alpha * student @ plan @ teacher
        way = corner(slope) - plan
        # f(π + γ way) = f(π) + γ first + γ² second
        first = float((slope * way).sum())
        if first >= -1e-12 * float(np.abs(slope).max()):
            break
        second = -2 * alpha * float((student @ way @ teacher * way).sum())
        plan = plan + (1.0 if second <= 0 else min(1.0, -first / (2 * second))) * way
    return plan


def corner(cost: Array) -> Array:
    """Return the plan of least cost, with uniform sums: an assignment, or a transport.

    Args:
        cost: ``(n, m)``, finite.

    Returns:
        ``(n, m)``, sum 1.
    """
    n, m = cost.shape
    if n != m:
        # Costs from 0 up: POT 0.9.7 calls some problems with negative costs infeasible. Masses in
        # whole numbers: n times 1/n need not be m times 1/m.
        above = cost - cost.min()
        transport: Array = ot.emd(np.full(n, float(m)), np.full(m, float(n)), above)
        return transport / (n * m)
    plan = np.zeros((n, m))
    plan[linear_sum_assignment(cost)] = 1 / n
    return plan


def product(n: int, m: int) -> Array:
    """Return the plan of everybody to everybody alike, ``(n, m)``."""
    return np.full((n, m), 1 / (n * m))


def profiles(student: Array, teacher: Array, node_cost: Array, alpha: float) -> Array:
    r"""Return how unlike nodes are by their distances to all others, ``(n, m)``.

    $$L_{ik} = \int_0^1 \big(Q^s_i(u)-Q^t_k(u)\big)^2\,du,\qquad
    \alpha\,L/\bar L + (1-\alpha)\,M/\bar M$$

    with $Q_i$ the sorted distances of node i as a step function, over the graph's mean distance.

    Args:
        student: symmetric distances ``(n, n)``, not negative.
        teacher: ``(m, m)``.
        node_cost: M, ``(n, m)``.
        alpha: as `gromov_objective`.

    Source: Mémoli 2011 (Found. Comput. Math. 11), the third lower bound; the integral is a sum over
    as many places as the larger graph has nodes.
    """
    places = (np.arange(max(len(student), len(teacher))) + 0.5) / max(len(student), len(teacher))
    of_student, of_teacher = (
        np.sort(d, axis=1)[:, (places * len(d)).astype(int)] / (d.mean() or 1.0)
        for d in (student, teacher)
    )
    unlike = np.square(of_student[:, None] - of_teacher).mean(axis=-1)
    likeness: Array = alpha * unlike / (unlike.mean() or 1.0)
    return likeness + (1 - alpha) * node_cost / (node_cost.mean() or 1.0)


def _objective(
    plan: Array, student: Array, teacher: Array, node_cost: Array, alpha: float
) -> float:
    """Return the objective without what is the same for all plans."""
    distances = -2 * (student @ plan @ teacher * plan).sum()
    return float(alpha * distances + (1 - alpha) * (node_cost * plan).sum())
