"""Distillation from dense logits where nearly every pixel is background."""

import torch
from torch import Tensor

from medkd_lib.distill.logits import hinton_kd
from medkd_lib.distill.precision import in_float32


@in_float32
def balanced_kd(
    student_logits: Tensor, teacher_logits: Tensor, masks: Tensor, temperature: float = 2.0
) -> Tensor:
    r"""Return the divergence of softened logits, lesion and background weighing the same.

    $$\mathcal L = \frac{T^2}{|K|}\sum_{k\in K}\frac1{n_k}\sum_{p:\,y_p=k}
    \mathrm{KL}\big(p^t_p\,\Vert\,p^s_p\big)$$

    with K the classes that occur in the batch. In a plain mean over pixels a lesion of a hundredth
    of the image has a hundredth of the say, and a student that answers *nothing* is nearly right
    about it; with plain weights one of two pilot students ended there.

    Args:
        student_logits: ``(N, C, …)``.
        teacher_logits: same shape, a constant.
        masks: class ids ``(N, …)`` int64: they only weigh, no label is taught.
        temperature: $T > 0$.

    Raises:
        ValueError: as `hinton_kd`, or masks of another shape.

    Source: Hinton et al. 2015 for the divergence; weighing the pixels is ours, as the weights of
    the paper (arXiv 2605.01563) are unknown to us.
    """
    each = hinton_kd(student_logits, teacher_logits, temperature, reduction="none")
    if masks.shape != each.shape:
        raise ValueError(
            f"masks: expected {tuple(each.shape)}, one class per position, found "
            f"{tuple(masks.shape)}"
        )
    # mean over the classes that occur of the mean over their pixels
    return torch.stack([each[masks == k].mean() for k in masks.unique()]).mean()
