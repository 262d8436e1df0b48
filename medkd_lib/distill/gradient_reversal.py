"""Gradient reversal: what helps a domain classifier on its way down spoils the encoder's hints."""

import math
from typing import Any, cast

import torch
from torch import Tensor


def reverse_gradient(features: Tensor, strength: float) -> Tensor:
    r"""Return features as they are; what comes back through them is turned round.

    $$R_\lambda(x) = x,\qquad \frac{\partial R_\lambda}{\partial x} = -\lambda I$$

    Between an encoder and a domain classifier it makes one minimisation of
    $\mathcal L_y + \mathcal L_d$ a saddle point: the classifier descends on its cross-entropy
    $\mathcal L_d$ at full strength, the encoder climbs it with weight λ. λ = 0 lets the classifier
    learn and the encoder hear nothing of it.

    Args:
        features: any shape, any floating type; values, type and device stay.
        strength: λ ≥ 0, see `reversal_strength`.

    Raises:
        ValueError: λ below 0, which would *help* the classifier.

    Source: Ganin & Lempitsky 2015 (ICML, arXiv 1409.7495); Ganin et al. 2016 (JMLR 17(59)),
    section 4.2.
    """
    if not strength >= 0:
        raise ValueError(
            f"strength: expected λ >= 0, found {strength}; the sign is turned here, not by λ"
        )
    return cast(Tensor, _Reversal.apply(features, strength))


def reversal_strength(progress: float, gamma: float = 10.0) -> float:
    r"""Return λ at a point of the training: nothing at first, nearly 1 from its half on.

    $$\lambda_p = \frac{2}{1+e^{-\gamma p}} - 1 = \tanh\frac{\gamma p}{2}$$

    =================  ====  ====  ====  ====  ====  =====
    p                  0     0.05  0.1   0.25  0.5   1
    =================  ====  ====  ====  ====  ====  =====
    λ, γ = 10          0     .245  .462  .848  .987  1.000
    λ, γ = 1           0     .025  .050  .124  .245  .462
    =================  ====  ====  ====  ====  ====  =====

    At γ = 1, the default of two public libraries, the training ends where the paper's is after a
    tenth of its way.

    Args:
        progress: p, share of the training that is done, 0…1.
        gamma: γ > 0.

    Raises:
        ValueError: p outside 0…1 (a step where a share is expected), or γ not positive.

    Source: Ganin et al. 2016 (JMLR 17(59)), section 5.2.2, with γ = 10.
    """
    if not 0 <= progress <= 1:
        raise ValueError(
            f"progress: expected the share of the training that is done, 0…1, found {progress}; "
            "divide the step by the number of steps"
        )
    if not gamma > 0:
        raise ValueError(f"gamma: expected > 0, found {gamma}")
    # 2 / (1 + e^-γp) - 1
    return math.tanh(gamma * progress / 2)


class _Reversal(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        # A view: autograd gives an input that is returned itself no node of its own.
        return features.view_as(features)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        # -λ I
        return -ctx.strength * gradients[0], None
