"""The step of lesson 03's exercise as it should be, for those who have not mended it yet."""

import torch.nn.functional as F
from torch import Tensor, nn

from medkd_lib.distill.adversarial import discriminator_loss, fooling_loss
from medkd_lib.distill.logits import hinton_kd
from medkd_lib.methods.base import FrozenTeacher


def mended_losses(
    student: nn.Module,
    teacher: nn.Module,
    discriminator: nn.Module,
    images: Tensor,
    labels: Tensor,
    temperature: float,
) -> dict[str, Tensor]:
    r"""Return the four losses of one step, each with a path to those alone whom it should train.

    $$\mathrm{CE}(z_S, y),\quad T^2\,\mathrm{KL}(z_T\Vert z_S),\quad
    -\overline{\log D(h'_S)},\quad -\overline{\log D(h_T)} - \overline{\log(1-D(h'_S))}$$

    Args:
        student: images → logits and tokens.
        teacher: likewise; takes ``squash=False`` for plain logits. Left in eval mode and frozen.
        discriminator: tokens → logits.
        images: a batch.
        labels: ``(N,)``.
        temperature: T.

    Source: Hinton et al. 2015 and Liu et al. 2022, equations 8 and 9 (not saturating).
    """
    student_logits, student_tokens = student(images)
    guarded = FrozenTeacher(teacher)
    teacher_logits, teacher_tokens = guarded.network(images, squash=False)
    teacher_tokens = teacher_tokens.detach()
    spotting = discriminator_loss(
        discriminator(teacher_tokens), discriminator(student_tokens.detach())
    )
    discriminator.requires_grad_(False)
    fooling = fooling_loss(discriminator(student_tokens))
    discriminator.requires_grad_(True)
    return {
        "cross_entropy": F.cross_entropy(student_logits, labels),
        "distillation": hinton_kd(student_logits, teacher_logits, temperature),
        "fooling": fooling,
        "discriminator": spotting,
    }
