"""Several teachers, one student: what each of them should weigh."""

import torch
import torch.nn.functional as F
from torch import Tensor

from medkd_lib.distill.logits import hinton_kd
from medkd_lib.distill.precision import in_float32


@in_float32
def equal_weights(teacher_logits: Tensor) -> Tensor:
    """Return ``(T, B)``: every teacher weighs the same for everybody.

    Args:
        teacher_logits: ``(T, B, C)``.
    """
    return teacher_logits.new_full(teacher_logits.shape[:2], 1 / len(teacher_logits))


@in_float32
def confidence_weights(teacher_logits: Tensor, labels: Tensor) -> Tensor:
    r"""Return ``(T, B)``: a teacher weighs more for the patients it is right about.

    $$w_{tb} = \frac1{T-1}\Big(1-\frac{e^{\mathcal L_{tb}}}{\sum_u e^{\mathcal L_{ub}}}\Big),\qquad
    \mathcal L_{tb} = -\log p^t_{b,y_b}$$

    The weights of a patient sum to 1. With one teacher there is nothing to weigh: 1.

    Args:
        teacher_logits: ``(T, B, C)``.
        labels: ``(B,)`` int64.

    Source: Zhang, Chen & Wang 2022 (ICASSP, "Confidence-aware multi-teacher knowledge
    distillation"), equation 3.
    """
    teachers = len(teacher_logits)
    if teachers == 1:
        return equal_weights(teacher_logits)
    each = [F.cross_entropy(z, labels, reduction="none") for z in teacher_logits]
    return (1 - torch.stack(each).softmax(dim=0)) / (teachers - 1)


@in_float32
def weighed_kd(
    student_logits: Tensor, teacher_logits: Tensor, weights: Tensor, temperature: float = 4.0
) -> Tensor:
    r"""Return the weighed sum of the divergences from all teachers, mean over the batch.

    $$\mathcal L = \frac1B\sum_b\sum_t w_{tb}\;T^2\,
    \mathrm{KL}\big(p^t_b\,\Vert\,p^s_b\big)$$

    Args:
        student_logits: ``(B, C)``.
        teacher_logits: ``(T, B, C)``, constants.
        weights: ``(T, B)``, constants.
        temperature: of all softmaxes.

    Raises:
        ValueError: as `hinton_kd`, or weights of another shape.
    """
    if weights.shape != teacher_logits.shape[:2]:
        raise ValueError(
            f"weights: expected (T, B) = {tuple(teacher_logits.shape[:2])}, found "
            f"{tuple(weights.shape)}"
        )
    each = [hinton_kd(student_logits, z, temperature, reduction="none") for z in teacher_logits]
    return (weights.detach() * torch.stack(each)).sum(dim=0).mean()
