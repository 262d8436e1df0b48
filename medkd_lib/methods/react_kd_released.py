r"""REACT-KD as *released*: a graph term that is not zero for equal graphs, and a heavy student.

No loss to train with, and no network to deploy. The loss re-enacts, from its formulas, the graph
loss of the authors' public code (Kinetics-JOJO/REACT-KD, ``losses/graph_loss.py`` of 2025-08-08,
Apache-2.0), for the lesson that shows what follows from it; the student is that of
``models/student.py``. Nothing of their code is used here.

The plan π that says which node is which has the total mass 1, so its rows sum to 1/N. Used as if
they summed to 1, they shrink what they carry: $\pi D\pi^\top$ is about N² times too small. Equal
graphs are then far apart, and a student that obeys draws all its nodes together.

In their trainer the term does not even do that: the student's map is detached and moved to the CPU
before its graph is built, and no teacher's graph is made at all.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from monai.networks.nets import SegResNet
from torch import Tensor, nn

from medkd_lib.distill.graph_terms import carry_edges, carry_nodes
from medkd_lib.distill.precision import unit


class ReleasedStudent(nn.Sequential):
    """The released "lightweight" student of one modality: 26.3 M weights, 95 % in one layer.

    A whole SegResNet with its decoder (1.17 M), its 24 channels at full resolution averaged to a
    grid of 8 × 16 × 16, flattened to 49,152 numbers, and a layer of 512 on top. The mean of the
    encoder's last map, as `FusedClassifier` takes it, needs 1.1 M for all.

    Args:
        classes: number of logits.

    Attributes:
        segresnet: the network with its decoder.
        widest: that one layer.

    Shapes:
        input ``(B, 1, D, H, W)``, axes divisible by 8; output ``(B, classes)``.
    """

    GRID = (8, 16, 16)

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        channels, hidden = 24, 512
        self.segresnet = SegResNet(
            init_filters=8, in_channels=1, out_channels=channels, dropout_prob=0.3, norm="INSTANCE"
        )
        self.pool = nn.AdaptiveAvgPool3d(self.GRID)
        self.flat = nn.Flatten()
        self.widest = nn.Linear(channels * math.prod(self.GRID), hidden)
        self.active = nn.ReLU()
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Linear(hidden, classes)


class ReleasedTerms(NamedTuple):
    """The three terms, each with the weight 1 in the release."""

    node: Tensor
    edge: Tensor
    gromov_wasserstein: Tensor


def released_plan(
    student: Tensor, teacher: Tensor, epsilon: float = 0.05, iterations: int = 100
) -> Tensor:
    r"""Return the entropic plan between two graphs' nodes by their *features*.

    $$K = \exp(-C/\epsilon),\quad C_{ik} = 1 - \hat s_i^\top \hat t_k,\qquad
    u \leftarrow a / Kv,\quad v \leftarrow b / K^\top u,\qquad
    \pi = \mathrm{diag}(u)\,K\,\mathrm{diag}(v)$$

    Gromov–Wasserstein would find the plan by distances *within* the graphs; this one needs
    features of one width, and is differentiated through.

    Args:
        student: nodes ``(N, C)``.
        teacher: nodes ``(M, C)``.
        epsilon: regularisation.
        iterations: Sinkhorn's.

    Returns:
        ``(N, M)``, sum 1, rows of 1/N.
    """
    kernel = torch.exp(-(1 - unit(student) @ unit(teacher).T) / epsilon)
    n, m = kernel.shape
    u, v = kernel.new_full((n,), 1 / n), kernel.new_full((m,), 1 / m)
    for _ in range(iterations):
        u = 1 / n / (kernel @ v)
        v = 1 / m / (kernel.T @ u)
    return u[:, None] * kernel * v


def released_terms(student: Tensor, teacher: Tensor, *, repaired: bool = False) -> ReleasedTerms:
    r"""Return the released terms of one pair of graphs, or the same with the plan's rows mended.

    $$\mathcal L_{node} = \overline{(\hat s - \hat\pi\,\hat t)^2},\quad
    \mathcal L_{edge} = \overline{(S^s - [\pi S^t\pi^\top]_{\mathrm{diag}=1})^2},\quad
    \mathcal L_{GW} = \overline{(D^s - \pi D^t\pi^\top)^2}$$

    with $S$ the cosines, $D = 1 - S$ and $\hat\pi = \mathrm{diag}(1/\pi\mathbf 1)\,\pi$. The mended
    form has $\hat\pi$ in place of $\pi$ in all three. It is still no Gromov–Wasserstein distance.

    Args:
        student: nodes ``(N, C)``.
        teacher: nodes ``(M, C)``.
        repaired: use $\hat\pi$ throughout.
    """
    plan = released_plan(student, teacher)
    s, t = unit(student), unit(teacher)
    similar, of_teacher = s @ s.T, t @ t.T
    carry = carry_edges if repaired else _carry_with_mass_one
    itself = torch.eye(len(s), dtype=torch.bool, device=s.device)
    carried = carry(of_teacher, plan).masked_fill(itself, 1.0)
    distance = (1 - similar).clamp(min=0)
    return ReleasedTerms(
        F.mse_loss(s, carry_nodes(t, plan)),
        F.mse_loss(similar, carried),
        F.mse_loss(distance, carry((1 - of_teacher).clamp(min=0), plan)),
    )


def graph_taught_by(
    loss: Callable[[Tensor], Tensor], start: Tensor, steps: int = 300, learning_rate: float = 0.05
) -> Tensor:
    """Return the nodes that a student reaches who obeys one loss alone.

    Args:
        loss: nodes ``(N, C)`` → scalar.
        start: the student's first nodes.
        steps: of Adam.
        learning_rate: Adam's.
    """
    nodes = start.clone().requires_grad_()
    adam = torch.optim.Adam([nodes], lr=learning_rate)
    for _ in range(steps):
        adam.zero_grad()
        loss(nodes).backward()
        adam.step()
    return nodes.detach()


def mean_node_distance(nodes: Tensor) -> float:
    """Return the mean cosine distance between two different nodes of ``(N, C)``; 0 is collapse."""
    direction = unit(nodes)
    number = len(nodes)
    apart = 1 - direction @ direction.T
    return float((apart.sum() - apart.diagonal().sum()) / (number * (number - 1)))


def _carry_with_mass_one(teacher: Tensor, plan: Tensor) -> Tensor:
    return plan @ teacher @ plan.T
