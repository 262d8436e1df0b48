r"""Distillation from logits: Hinton's KD and its decoupled form (DKD).

Convention of this library: sum over classes (axis 1), mean over everything else (batch, and
voxels of a dense output), $T^2$ kept. Other libraries mean other things by "the KD loss"; the two
arguments ``reduction`` and ``scale_t2`` reproduce those that differ by a factor only.
"""

from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.special import softmax
from torch import Tensor

Reduction = Literal["batchmean", "mean", "sum", "none"]


def hinton_kd(
    student_logits: Tensor,
    teacher_logits: Tensor,
    temperature: float = 4.0,
    *,
    reduction: Reduction = "batchmean",
    scale_t2: bool = True,
) -> Tensor:
    r"""Return the KL divergence of the softened student from the softened teacher.

    $$\mathcal L = T^2\,\frac1N\sum_n\sum_c p^t_{nc}\,(\log p^t_{nc}-\log p^s_{nc}),\qquad
    p = \mathrm{softmax}(z/T)$$

    The gradient with respect to the student's logits is $T\,(p^s-p^t)/N$: the factor $T^2$ keeps
    it of the size of the hard-label gradient when $T$ is changed.

    Args:
        student_logits: ``(N, C)`` or dense ``(N, C, …)``; N then also counts positions.
        teacher_logits: same shape; treated as a constant.
        temperature: $T > 0$.
        reduction: ``batchmean`` as above; ``mean`` divides by C too (PyTorch's ``mean``);
            ``sum``; ``none`` gives one value per position, shape ``(N, …)``.
        scale_t2: keep the factor $T^2$.

    Raises:
        ValueError: shapes differ, or the temperature is not positive.

    Source: Hinton, Vinyals, Dean 2015 (arXiv 1503.02531), section 2.
    """
    _check(student_logits, teacher_logits, temperature)
    log_p_s = _log_softmax(student_logits, temperature)
    log_p_t = _log_softmax(teacher_logits.detach(), temperature)
    # p_t (log p_t - log p_s), class by class
    pointwise = log_p_t.exp() * (log_p_t - log_p_s)
    factor = temperature**2 if scale_t2 else 1.0
    return factor * _reduce(pointwise, reduction)


def hinton_kd_gradient(
    student_logits: NDArray[np.floating], teacher_logits: NDArray[np.floating], temperature: float
) -> NDArray[np.floating]:
    r"""Return the gradient of `hinton_kd` with respect to the student's logits, in closed form.

    $$\frac{\partial\mathcal L}{\partial z^s} = \frac{T}{N}\,(p^s-p^t)$$

    Args:
        student_logits: ``(N, C)``.
        teacher_logits: ``(N, C)``.
        temperature: $T > 0$.

    Source: Hinton et al. 2015, equation 2, times the $T^2$ of `hinton_kd`, over the batch.
    """
    p_s = softmax(student_logits / temperature, axis=1)
    p_t = softmax(teacher_logits / temperature, axis=1)
    return np.asarray(temperature * (p_s - p_t) / len(p_s))


def dkd(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor,
    temperature: float = 4.0,
    *,
    alpha: float = 1.0,
    beta: float = 8.0,
) -> Tensor:
    r"""Return the decoupled KD loss: target-class and non-target-class knowledge weighed apart.

    With $b = (p_y, 1-p_y)$ the binary "target or not" distribution and $\hat p$ the distribution
    over the other classes alone,

    $$\mathcal L = T^2\,[\alpha\,\mathrm{KL}(b^t\Vert b^s)
    + \beta\,\mathrm{KL}(\hat p^t\Vert\hat p^s)].$$

    Hinton's loss is the case $\alpha=1,\ \beta = 1-p^t_y$ (per sample), which a test checks.

    Args:
        student_logits: ``(N, C)``, C ≥ 2 (with two classes the second term is zero).
        teacher_logits: ``(N, C)``, treated as a constant.
        labels: ``(N,)`` int64, the target classes.
        temperature: $T > 0$.
        alpha: weight of the target-class term.
        beta: weight of the non-target-class term.

    Raises:
        ValueError: shapes differ, labels do not fit, or the temperature is not positive.

    Source: Zhao et al. 2022 (CVPR), equations 5-7; α and β as in its CIFAR-100 setting. Written in
    log space throughout: sums of probabilities become ``logsumexp``, which cannot reach log 0.
    """
    _check(student_logits, teacher_logits, temperature)
    if labels.shape != student_logits.shape[:1]:
        raise ValueError(
            f"labels: expected shape {tuple(student_logits.shape[:1])}, found {tuple(labels.shape)}"
        )
    log_p_s = _log_softmax(student_logits, temperature)
    log_p_t = _log_softmax(teacher_logits.detach(), temperature)
    target = F.one_hot(labels, log_p_s.shape[1]).bool()
    # KL(b_t || b_s): the two-way distribution target / rest
    binary_s, binary_t = _binary(log_p_s, target), _binary(log_p_t, target)
    target_term = (binary_t.exp() * (binary_t - binary_s)).sum(1)
    # KL over the non-target classes, renormalised: log p̂_c = log p_c - log Σ_{c≠y} p_c. The
    # target's own column is masked before the exponential: a sure teacher would overflow there,
    # and a masked infinity still has a NaN gradient.
    rest_s = (log_p_s - binary_s[:, 1:]).masked_fill(target, 0.0)
    rest_t = (log_p_t - binary_t[:, 1:]).masked_fill(target, 0.0)
    hat_t = rest_t.masked_fill(target, -torch.inf).exp()
    rest_term = (hat_t * (rest_t - rest_s)).sum(1)
    return temperature**2 * (alpha * target_term + beta * rest_term).mean()


def _log_softmax(logits: Tensor, temperature: float) -> Tensor:
    """Return log softmax(z/T) over axis 1; half precision is lifted to float32."""
    # log_softmax, not log(softmax): the latter is -inf when a probability underflows. T² times a
    # divergence between logits of ±1e4 exceeds the largest float16, hence the lift.
    wide = logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
    return F.log_softmax(wide / temperature, dim=1)


def _binary(log_p: Tensor, target: Tensor) -> Tensor:
    """Return ``(N, 2)``: log p of the target class and log of the sum of all others."""
    rest = log_p.masked_fill(target, -torch.inf).logsumexp(1, keepdim=True)
    return torch.cat([log_p.masked_select(target)[:, None], rest], dim=1)


def _reduce(pointwise: Tensor, reduction: Reduction) -> Tensor:
    if reduction == "none":
        return pointwise.sum(1)
    if reduction == "batchmean":
        return pointwise.sum(1).mean()
    if reduction == "mean":
        return pointwise.mean()
    if reduction == "sum":
        return pointwise.sum()
    raise ValueError(f"reduction: expected batchmean, mean, sum or none, found {reduction!r}")


def _check(student_logits: Tensor, teacher_logits: Tensor, temperature: float) -> None:
    if student_logits.shape != teacher_logits.shape:
        raise ValueError(
            f"student logits {tuple(student_logits.shape)} and teacher logits "
            f"{tuple(teacher_logits.shape)} differ in shape; both need the same "
            "classes and positions"
        )
    if temperature <= 0:
        raise ValueError(f"temperature: expected > 0, found {temperature}")
