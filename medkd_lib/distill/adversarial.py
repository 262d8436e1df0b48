r"""A discriminator between the teacher's tokens and the student's, and a student that fools it.

Everything is written in logits $a = \mathrm{logit}\,D$, because $-\log D = \mathrm{softplus}(-a)$
and $-\log(1-D) = \mathrm{softplus}(a)$ are finite where the probability itself is 0 or 1.
"""

import torch.nn.functional as F
from torch import Tensor

from medkd_lib.distill.precision import in_float32


@in_float32
def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    r"""Return the discriminator's loss: the teacher's tokens are real, the student's are not.

    $$\mathcal L_{MAD} = \frac1m\sum_k\left[-\log D(h_T^{(k)}) - \log(1 - D(h_S'^{(k)}))\right]$$

    It is $2\log 2 = 1.386$ for a discriminator that cannot tell them apart.

    Args:
        real_logits: the discriminator's answers to the teacher, any shape.
        fake_logits: its answers to the student's *detached* tokens; this loss must not train the
            student.

    Source: Liu et al. 2022 (ACCV), equation 8.
    """
    # softplus(-a) = -log D, softplus(a) = -log(1 - D)
    return F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()


@in_float32
def fooling_loss(fake_logits: Tensor, *, saturating: bool = False) -> Tensor:
    r"""Return the student's loss: its tokens should pass for the teacher's.

    $$\mathcal L_{MVG} = \frac1m\sum_k -\log D(h_S'^{(k)})$$

    Args:
        fake_logits: the discriminator's answers to the student's tokens, with their gradient.
        saturating: the paper's form $\frac1m\sum_k \log(1 - D(h_S'^{(k)}))$. It has the same
            optimum, but its gradient vanishes where the discriminator is sure, which is when the
            student needs it most.

    Source: Liu et al. 2022 (ACCV), equation 9 (``saturating=True``); the default is the
    non-saturating form of Goodfellow et al. 2014, section 3.
    """
    if saturating:
        # log(1 - D) = -softplus(a)
        return -F.softplus(fake_logits).mean()
    return F.softplus(-fake_logits).mean()
