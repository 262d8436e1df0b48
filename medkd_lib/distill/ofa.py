"""One-for-all KD: logits across architectures, with the target class spoken louder."""

import torch
import torch.nn.functional as F
from torch import Tensor

from medkd_lib.distill.precision import in_float32


@in_float32
def ofa(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor,
    eps: float = 1.5,
    temperature: float = 1.0,
) -> Tensor:
    r"""Return the cross-entropy with the teacher's probabilities, target class enhanced.

    With $m$ the one-hot label and $p=\mathrm{softmax}(z/T)$,

    $$\mathcal L = -T^2\,\frac1N\sum_n\sum_c w_{nc}\log p^s_{nc},\qquad
    w_{nc} = (p^t_{nc}+m_{nc})^{\varepsilon}-m_{nc}$$

    ε = 1 is the plain soft-label cross-entropy. ε > 1 makes the target's weight grow,
    $(1+p^t_y)^\varepsilon-1>p^t_y$, and the others' shrink. The weights of an image then no longer
    sum to 1, and the loss is not least where student equals teacher, but at
    $p^s=w/W,\ W=\sum_c w_c$, where an image contributes $T^2\,W\,H(w/W)$ with the entropy $H$.
    Usual weight: 1, beside weights of 1 for the labels and for plain KD; one such term per stage
    of the student, each on an exit head that is dropped after training.

    Args:
        student_logits: ``(N, C)``.
        teacher_logits: ``(N, C)``, treated as a constant.
        labels: ``(N,)`` int64, the target classes.
        eps: ε > 0; 1.5 for a transformer teacher on ImageNet, 1.0 on CIFAR-100.
        temperature: $T > 0$.

    Raises:
        ValueError: shapes differ, labels do not fit, ε or the temperature is not positive.

    Source: Hao et al. 2023 (NeurIPS), the loss as in the released code, which is at T = 1
    throughout and has no $T^2$; it is kept here by this library's convention. Written in log
    space: $p^\varepsilon=e^{\varepsilon\log p}$, and no log of a probability that underflowed.
    """
    _check(student_logits, teacher_logits, labels, eps, temperature)
    log_p_s = F.log_softmax(student_logits / temperature, dim=1)
    log_p_t = F.log_softmax(teacher_logits.detach() / temperature, dim=1)
    target = F.one_hot(labels, log_p_t.shape[1]).bool()
    # w = (p + 1)^ε - 1 on the target, without loss of digits for small p; p^ε elsewhere
    enhanced = torch.expm1(eps * torch.log1p(log_p_t.exp()))
    weights = torch.where(target, enhanced, (eps * log_p_t).exp())
    return -(temperature**2) * (weights * log_p_s).sum(1).mean()


def _check(
    student_logits: Tensor, teacher_logits: Tensor, labels: Tensor, eps: float, temperature: float
) -> None:
    if student_logits.ndim != 2 or student_logits.shape != teacher_logits.shape:
        raise ValueError(
            "ofa: expected student and teacher logits of one shape (N, C), found "
            f"{tuple(student_logits.shape)} and {tuple(teacher_logits.shape)}; give the student's "
            "exit head as many outputs as the teacher has classes"
        )
    if labels.shape != student_logits.shape[:1]:
        raise ValueError(
            f"labels: expected shape {tuple(student_logits.shape[:1])}, found {tuple(labels.shape)}"
        )
    if eps <= 0:
        raise ValueError(f"eps: expected > 0, found {eps}; 1 is plain soft-label cross-entropy")
    if temperature <= 0:
        raise ValueError(f"temperature: expected > 0, found {temperature}")
