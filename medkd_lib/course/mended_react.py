"""What lesson 05 goes on with where its exercises are open: attention, edges, one step, benefit."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from medkd_lib.distill.graph_terms import carry_edges
from medkd_lib.distill.precision import unit
from medkd_lib.evaluate.decision import net_benefit


def weighed_channels(features: Tensor, narrow: Tensor, widen: Tensor) -> Tensor:
    r"""Return a map with its channels weighed as CBAM does.

    $$\sigma\big(W_2\,\mathrm{ReLU}(W_1\,\overline F)+W_2\,\mathrm{ReLU}(W_1\,\max F)\big)\odot F$$

    Args:
        features: ``(B, C, d, h, w)``.
        narrow: W1, ``(C', C)``.
        widen: W2, ``(C, C')``.
    """

    def passed(pooled: Tensor) -> Tensor:
        return torch.relu(pooled @ narrow.T) @ widen.T

    said = passed(features.mean(dim=(2, 3, 4))) + passed(features.amax(dim=(2, 3, 4)))
    return torch.sigmoid(said)[:, :, None, None, None] * features


def edge_loss(student: Tensor, teacher: Tensor, plan: Tensor) -> Tensor:
    r"""Return the mean squared difference of the edges of one student's graph from its teacher's.

    $$\frac1{n(n-1)}\sum_{i\ne j}\big(S^s_{ij}-(\hat\pi S^t\hat\pi^\top)_{ij}\big)^2,\qquad
    \hat\pi=\mathrm{diag}(1/\pi\mathbf 1)\,\pi$$

    Args:
        student: nodes ``(n, C)``.
        teacher: nodes ``(m, C')``, a constant.
        plan: ``(n, m)``, whole sum 1.
    """
    mine, theirs = unit(student), unit(teacher.detach())
    carried = carry_edges(theirs @ theirs.T, plan)
    other = ~torch.eye(len(student), dtype=torch.bool, device=student.device)
    return (mine @ mine.T - carried)[other].square().mean()


def taught_step(
    student: nn.Module, teacher: nn.Module, ct: Tensor, pet: Tensor, dropped: Tensor, masks: Tensor
) -> Tensor:
    r"""Return the node loss of one step with modality dropout.

    $$\frac1{\lvert P\rvert}\sum_{(b,r)\in P} 1-\cos(h^s_{br}, h^t_{br}),\qquad
    h_{br} = \frac{\sum_v M_{br}(v)\,F_b(v)}{\sum_v M_{br}(v)}$$

    over the regions P that have a voxel.

    Args:
        student: ``(B, 2, d, h, w)`` → map ``(B, C, d, h, w)``; the dropped PET is 0 for it.
        teacher: likewise; it sees everything and learns nothing.
        ct: ``(B, 1, d, h, w)``.
        pet: ``(B, 1, d, h, w)``.
        dropped: ``(B,)`` bool, patient by patient.
        masks: ``(B, R, d, h, w)``, 0 or 1.
    """
    shown = pet * (~dropped)[:, None, None, None, None]
    mine = student(torch.cat([ct, shown], dim=1))
    with torch.no_grad():
        theirs = teacher(torch.cat([ct, pet], dim=1))
    size = masks.flatten(2).sum(dim=2)
    nodes = [
        torch.einsum("bcdhw,brdhw->brc", x, masks) / size.clamp(min=1)[..., None]
        for x in (mine, theirs)
    ]
    apart = 1 - torch.cosine_similarity(nodes[0], nodes[1], dim=2)
    return apart[size > 0].mean()


def benefit_and_reason(
    scores: NDArray[np.floating], sick: NDArray[np.bool_], threshold: float
) -> tuple[float, str]:
    """Return the net benefit of acting on scores at a threshold, and the letter of (b)."""
    at = np.array([threshold])
    return float(net_benefit(np.asarray(scores, np.float64), sick, at)[0]), "b"
