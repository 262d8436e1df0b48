r"""Losses between two graphs whose node r is the same region: by nodes and by edges.

Where nobody knows which node is which, a plan $\pi$ says it, and `carry_nodes` and `carry_edges`
bring the teacher's graph to the student's nodes first.
"""

import torch
from torch import Tensor

from medkd_lib.distill.precision import in_float32, unit


@in_float32
def node_term(student: Tensor, teacher: Tensor, present: Tensor) -> Tensor:
    r"""Return how far the nodes' features point from the teacher's.

    $$\mathcal L_{node} = \frac1B\sum_b \frac1{\lvert P_b\rvert}\sum_{r\in P_b}
    \tfrac12\lVert\hat s_{br}-\hat t_{br}\rVert^2 = 1 - \overline{\cos(s_{br}, t_{br})}$$

    over the nodes $P_b$ that are present. A patient without any counts with 0.

    Args:
        student: nodes ``(B, R, C)``, any unit.
        teacher: same shape and regions, treated as a constant.
        present: ``(B, R)`` bool.

    Raises:
        ValueError: shapes differ.

    Source: REACT-KD's released code (arXiv 2508.02104) takes the mean square over nodes *and*
    channels of the same unit vectors, which is 2/C times as large: its weight would depend on how
    wide the map is.
    """
    if student.shape != teacher.shape or student.ndim != 3:
        raise ValueError(
            f"node_term: expected nodes (B, R, C) of equal shapes, found {tuple(student.shape)} "
            f"and {tuple(teacher.shape)}; project the student's map to the teacher's width, or use "
            "edge_term, which needs no common width"
        )
    _check_present("node_term", student, present)
    difference = unit(student) - unit(teacher.detach())
    return _mean(difference.square().sum(dim=-1) / 2, present)


@in_float32
def edge_term(student: Tensor, teacher: Tensor, present: Tensor) -> Tensor:
    r"""Return the mean squared difference of edges between present nodes.

    $$\mathcal L_{edge} = \frac1B\sum_b \frac1{n_b(n_b-1)}\sum_{i\ne j\in P_b}
    (S^s_{bij}-S^t_{bij})^2$$

    A patient with fewer than two nodes has no edge and counts with 0.

    Args:
        student: edges ``(B, R, R)``, such as cosine similarities.
        teacher: same shape, treated as a constant; it may come from maps of another width.
        present: ``(B, R)`` bool.

    Raises:
        ValueError: shapes differ.

    Source: as `node_term`; the released mean is over all N² entries, with a diagonal that is 1 on
    both sides, so that the same edges weigh half as much in a graph of two nodes.
    """
    if student.shape != teacher.shape or student.ndim != 3 or student.shape[1] != student.shape[2]:
        raise ValueError(
            f"edge_term: expected edges (B, R, R) of equal shapes, found {tuple(student.shape)} "
            f"and {tuple(teacher.shape)}; carry the teacher's edges to the student's nodes first"
        )
    _check_present("edge_term", student, present)
    other = ~torch.eye(student.shape[1], dtype=torch.bool, device=student.device)
    pairs = present[:, :, None] & present[:, None] & other
    return _mean((student - teacher.detach()).square().flatten(1), pairs.flatten(1))


@in_float32
def cosine_distance(similarity: Tensor) -> Tensor:
    r"""Return $D = 1 - S$ with the diagonal 0, also for a feature of length 0.

    Args:
        similarity: cosines ``(B, R, R)``.
    """
    itself = torch.eye(similarity.shape[-1], dtype=torch.bool, device=similarity.device)
    return (1 - similarity).masked_fill(itself, 0.0)


@in_float32
def node_cost(student: Tensor, teacher: Tensor) -> Tensor:
    r"""Return $M_{ik} = 1 - \cos(s_i, t_k)$, ``(B, N, M)``: how unlike any two nodes are.

    Args:
        student: nodes ``(B, N, C)``.
        teacher: nodes ``(B, M, C)``, treated as a constant.
    """
    return 1 - unit(student) @ unit(teacher.detach()).transpose(1, 2)


@in_float32
def carry_nodes(teacher: Tensor, plan: Tensor) -> Tensor:
    r"""Return the teacher's nodes as the student's nodes see them.

    $$\tilde t_i = \sum_k \hat\pi_{ik}\,t_k,\qquad \hat\pi = \mathrm{diag}(1/\pi\mathbf 1)\,\pi$$

    Args:
        teacher: nodes ``(B, M, C)``.
        plan: ``(B, N, M)``, not negative; the rows of absent nodes are 0 and stay 0.

    Returns:
        ``(B, N, C)``.
    """
    return _by_row(plan) @ teacher


@in_float32
def carry_edges(teacher: Tensor, plan: Tensor) -> Tensor:
    r"""Return the teacher's edges between the student's nodes, $\hat\pi\,S\,\hat\pi^\top$.

    The rows of $\hat\pi$ sum to 1. With π itself, whose *whole* sum is 1, the result would be
    about N² times too small.

    Args:
        teacher: edges ``(B, M, M)``.
        plan: as `carry_nodes`.

    Returns:
        ``(B, N, N)``.
    """
    rows = _by_row(plan)
    return rows @ teacher @ rows.transpose(-1, -2)


def _by_row(plan: Tensor) -> Tensor:
    mass = plan.sum(dim=-1, keepdim=True)
    return plan / mass.masked_fill(mass == 0, 1.0)


def _mean(values: Tensor, present: Tensor) -> Tensor:
    """Return the mean over images of the mean over what is present in each, 0 if nothing is."""
    total = values.masked_fill(~present, 0.0).sum(dim=1)
    return (total / present.sum(dim=1).clamp(min=1)).mean()


def _check_present(name: str, student: Tensor, present: Tensor) -> None:
    if present.dtype != torch.bool or present.shape != student.shape[:2]:
        raise ValueError(
            f"{name}: expected present bool {tuple(student.shape[:2])}, found {present.dtype} "
            f"{tuple(present.shape)}"
        )
