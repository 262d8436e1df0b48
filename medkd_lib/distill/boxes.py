"""A student's answers about objects against a teacher's: what they are, and where."""

import torch
from torch import Tensor
from torchvision.ops import generalized_box_iou_loss

from medkd_lib.distill.logits import hinton_kd
from medkd_lib.distill.precision import in_float32


@in_float32
def binary_kd(student_logits: Tensor, teacher_logits: Tensor, temperature: float = 2.0) -> Tensor:
    r"""Return the divergence of softened yes-or-no answers, one for each class.

    $$\mathcal L=\frac{T^2}{N}\sum_n\sum_c\mathrm{KL}\Bigl(\mathrm{Bern}\,\sigma(z^t_{nc}/T)
    \,\Vert\,\mathrm{Bern}\,\sigma(z^s_{nc}/T)\Bigr)$$

    Where classes do not exclude each other a softmax over them would hide how sure a teacher is
    that there is anything at all.

    Args:
        student_logits: ``(N, C)``; without a row the loss is 0.
        teacher_logits: same shape, a constant.
        temperature: $T > 0$.

    Raises:
        ValueError: as `hinton_kd`.

    Source: Hinton et al. 2015 for softening and $T^2$; a sigmoid is a softmax over (z, 0).
    """
    each = hinton_kd(
        _or_not(student_logits), _or_not(teacher_logits), temperature, reduction="none"
    )
    # sum over classes, mean over rows
    return each.sum() / max(1, len(each))


@in_float32
def box_terms(
    student_boxes: Tensor, teacher_boxes: Tensor, size: tuple[int, int],
    l1: float = 5.0, giou: float = 2.0,
) -> Tensor:  # fmt: skip
    r"""Return how far boxes are from a teacher's: by their edges, and by their overlap.

    $$\mathcal L=\frac1B\sum_b\Bigl[\lambda_1\Bigl\lVert\tfrac{s_b-t_b}{(W,H,W,H)}\Bigr\rVert_1
    +\lambda_g\bigl(1-\mathrm{GIoU}(s_b,t_b)\bigr)\Bigr],\qquad
    \mathrm{GIoU}=\frac{|s\cap t|}{|s\cup t|}-\frac{|h|-|s\cup t|}{|h|}$$

    with h the smallest box around both, so that boxes that do not meet still know the way.

    Args:
        student_boxes: ``(B, 4)``, pixel edges x1 <= x2, y1 <= y2, as every detector decodes them;
            without a box the loss is 0.
        teacher_boxes: same shape, a constant.
        size: H and W of the images in pixels.
        l1: $\lambda_1$.
        giou: $\lambda_g$.

    Raises:
        ValueError: shapes differ.

    Source: both terms and their weights, 5 and 2, as detectors with queries have them against
    labels (Carion et al. 2020, arXiv 2005.12872); GIoU: Rezatofighi et al. 2019
    (arXiv 1902.09630). That they are taken against a teacher's boxes is ours.
    """
    if student_boxes.ndim != 2 or student_boxes.shape != teacher_boxes.shape:
        raise ValueError(
            f"boxes: expected (B, 4) of student and teacher, found {tuple(student_boxes.shape)} "
            f"and {tuple(teacher_boxes.shape)}"
        )
    teacher = teacher_boxes.detach()
    scale = student_boxes.new_tensor([size[1], size[0], size[1], size[0]])
    edges = ((student_boxes - teacher) / scale).abs().sum(dim=1)
    overlap = generalized_box_iou_loss(student_boxes, teacher, reduction="none")
    total: Tensor = (l1 * edges + giou * overlap).sum()
    return total / max(1, len(edges))


def _or_not(logits: Tensor) -> Tensor:
    """Return ``(N, 2, C)``: each class against a logit of 0."""
    return torch.stack([logits, torch.zeros_like(logits)], dim=1)
