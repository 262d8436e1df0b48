r"""Liu et al. 2022 as *released*: the adversarial term that teaches the student nothing.

Not a method to train with. It re-enacts, on our tokens and our discriminator, the order of
operations in the authors' public training script (yufanLIU/CrossArch_KD, ``dist_train_cakd.py``,
commit 1bc8a66 of 2023-06-27, Apache-2.0), for the lesson that shows what follows from it:

1. the student's tokens are detached *before* the discriminator sees them, and the student's own
   adversarial loss is computed from that same answer: no gradient reaches the student;
2. in the discriminator's loss its answer to the teacher is detached: it is trained on the
   student's tokens only, and learns to call everything fake;
3. the student's loss is differentiated after the discriminator's step, through a graph whose
   weights that step has changed: PyTorch refuses (seen with torch 2.13 and 2.14, without mixed
   precision). An earlier state of the script detached the answer too, which avoids the error and
   leaves 1 and 2.

Not re-enacted: their discriminator (PatchGAN convolutions on head-averaged attention scores), the
ramp and the other terms of the loss. Nothing of their code is used here.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medkd_lib.distill.adversarial import discriminator_loss, fooling_loss


class AdversarialGradients(NamedTuple):
    """Norms of the gradients of one adversarial step; None where no path leads there at all.

    Attributes:
        student: of the student's adversarial loss, with respect to the student's tokens.
        from_real: of the discriminator's loss on the teacher's tokens, with respect to its
            parameters.
        from_fake: the same on the student's tokens.
    """

    student: float | None
    from_real: float | None
    from_fake: float | None


def released_adversarial_step(
    student_tokens: Tensor, teacher_tokens: Tensor, discriminator: nn.Module
) -> AdversarialGradients:
    r"""Return what gradients the released order of operations produces.

    $$\mathcal L_D = \tfrac12\,[\mathrm{BCE}(\mathrm{sg}\,D(h_T), 1)
    + \mathrm{BCE}(D(\mathrm{sg}\,h'_S), 0)],\qquad
    \mathcal L_S = 0.05\,\mathrm{BCE}(\mathrm{sg}\,D(h_T), 1)
    + \mathrm{BCE}(D(\mathrm{sg}\,h'_S), 1)$$

    with sg for a value that is detached: a constant for the gradient.

    Args:
        student_tokens: ``(N, tokens, dim)``, a function of the student's parameters.
        teacher_tokens: same shape.
        discriminator: tokens → logits, such as `TokenDiscriminator`.

    Source: the authors' script, see the module.
    """
    real_logits = discriminator(teacher_tokens.detach()).detach()
    fake_logits = discriminator(student_tokens.detach())
    on_real, on_fake = 0.5 * _bce(real_logits, 1.0), 0.5 * _bce(fake_logits, 0.0)
    student_loss = 0.05 * _bce(real_logits, 1.0) + _bce(fake_logits, 1.0)
    parameters = list(discriminator.parameters())
    return AdversarialGradients(
        _norm(student_loss, [student_tokens]),
        _norm(on_real, parameters),
        _norm(on_fake, parameters),
    )


def adversarial_step(
    student_tokens: Tensor, teacher_tokens: Tensor, discriminator: nn.Module
) -> AdversarialGradients:
    r"""Return the same gradients in the order of `CrossArchitectureKD`, equations 8 and 9.

    $$\mathcal L_D = -\log D(h_T) - \log(1 - D(\mathrm{sg}\,h'_S)),\qquad
    \mathcal L_S = -\log D(h'_S)$$

    Args:
        student_tokens: ``(N, tokens, dim)``, a function of the student's parameters.
        teacher_tokens: same shape.
        discriminator: tokens → logits.
    """
    real_logits = discriminator(teacher_tokens.detach())
    fake_logits = discriminator(student_tokens.detach())
    parameters = list(discriminator.parameters())
    return AdversarialGradients(
        _norm(fooling_loss(discriminator(student_tokens)), [student_tokens]),
        _norm(discriminator_loss(real_logits, fake_logits.detach()), parameters),
        _norm(discriminator_loss(real_logits.detach(), fake_logits), parameters),
    )


def released_training_step(
    student_tokens: Tensor,
    teacher_tokens: Tensor,
    discriminator: nn.Module,
    optimizer: torch.optim.Optimizer,
) -> None:
    """Run backward, discriminator's step and student's backward in the released order.

    Args:
        student_tokens: ``(N, tokens, dim)``, a function of the student's parameters.
        teacher_tokens: same shape.
        discriminator: tokens → logits.
        optimizer: of the discriminator.

    Raises:
        RuntimeError: always, by PyTorch: the student's loss runs through weights that have been
            modified in place since. That is what this function is here to show.
    """
    real_logits = discriminator(teacher_tokens.detach()).detach()
    fake_logits = discriminator(student_tokens.detach())
    discriminating = 0.5 * (_bce(real_logits, 1.0) + _bce(fake_logits, 0.0))
    # The other terms of the student's loss stand in here as the token loss.
    student_loss = F.mse_loss(student_tokens, teacher_tokens.detach()) + _bce(fake_logits, 1.0)
    optimizer.zero_grad()
    discriminating.backward(retain_graph=True)
    optimizer.step()
    student_loss.backward()


def _bce(logits: Tensor, target: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))


def _norm(loss: Tensor, inputs: list[Tensor] | list[nn.Parameter]) -> float | None:
    """Return the norm of the loss's gradient, or None where it does not depend on the inputs."""
    if not loss.requires_grad:
        return None
    found = torch.autograd.grad(loss, inputs, retain_graph=True, allow_unused=True)
    present = [g for g in found if g is not None]
    if not present:
        return None
    return float(torch.stack([g.norm() for g in present]).norm())
