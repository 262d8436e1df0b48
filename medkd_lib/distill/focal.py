"""Focal loss: cross-entropy that looks away from what is classified well."""

import torch
import torch.nn.functional as F
from torch import Tensor

from medkd_lib.distill.precision import in_float32


@in_float32
def focal_loss(logits: Tensor, labels: Tensor, gamma: float = 2.0) -> Tensor:
    r"""Return the focal loss, mean over the batch.

    $$\mathcal L = -\frac1N\sum_n (1-p_{n,y_n})^\gamma\,\log p_{n,y_n}$$

    γ = 0 is cross-entropy. A sure and right answer, p → 1, gets almost no gradient; the total is
    smaller than cross-entropy, so that a distillation term of the same weight counts for more.

    Args:
        logits: ``(N, C)``.
        labels: ``(N,)`` int64.
        gamma: ≥ 0.

    Raises:
        ValueError: γ below 0.

    Source: Lin et al. 2017 (ICCV), equation 4, over softmax as in REACT-KD's released code
    (γ = 2, no class weights; arXiv 2508.02104).
    """
    if gamma < 0:
        raise ValueError(f"gamma: expected 0 or more, found {gamma}")
    log_p = -F.cross_entropy(logits, labels, reduction="none")
    # 1 - p from log p, exact near p = 1; a power of 0 has no finite gradient for γ < 1
    other = -torch.expm1(log_p)
    return -(other.clamp(min=torch.finfo(other.dtype).tiny) ** gamma * log_p).mean()
