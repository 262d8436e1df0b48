"""Several teachers, one student: what each of them should weigh, and who is dropped."""

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


def kept_teachers(
    losses: Tensor, probability: float = 0.5, *, generator: torch.Generator
) -> Tensor:
    r"""Return ``(T, B)``, 1 for a teacher who is heard and 0 for one who is dropped.

    $$\alpha_{tb} = \begin{cases}1 & t = \arg\max_u \mathcal L_{ub}\\
    1-\delta_{tb},\ \delta_{tb}\sim\mathrm{Bernoulli}(p) & \text{else}\end{cases}$$

    Who is matched worst is always heard, the others at random: no teacher who is easy to follow can
    crowd out the rest. The weights of an image do not sum to 1. Losses of teachers whose features
    have different scales are not comparable: standardise the features first.

    Args:
        losses: ``(T, B)``, of each teacher for each image; only their order counts.
        probability: p, of dropping a teacher who is not the worst matched, 0…1; 0 drops nobody.
        generator: of the draw, on any device.

    Raises:
        ValueError: another number of axes, or p outside 0…1.

    Source: Sariyildiz et al. 2024 (UNIC, ECCV, arXiv 2408.05088), its teacher dropping with
    p = 0.5, as we recollect it.
    """
    if losses.ndim != 2:
        raise ValueError(f"losses: expected (T, B), found {tuple(losses.shape)}")
    if not 0 <= probability <= 1:
        raise ValueError(f"probability: expected within 0…1, found {probability}")
    draw = torch.rand(losses.shape, generator=generator, device=generator.device)
    kept = (draw >= probability).to(losses.device)
    worst = torch.zeros_like(kept).scatter(0, losses.detach().argmax(0, keepdim=True), True)
    return (kept | worst).to(losses.dtype)


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
