"""Token against token: the student's projected map and the teacher's patch tokens."""

import torch
import torch.nn.functional as F
from torch import Tensor

from medkd_lib.distill.precision import in_float32


@in_float32
def token_loss(student_tokens: Tensor, teacher_tokens: Tensor, *, normalise: bool = True) -> Tensor:
    r"""Return the mean squared difference between layer-normed tokens.

    $$\mathcal L_{p2} = \overline{(\mathrm{LN}(h_T) - \mathrm{LN}(h'_S))^2}, \qquad
    \mathrm{LN}(h) = \frac{h - \bar h}{\mathrm{sd}(h)}\ \text{over the features of a token}$$

    Layer-normed, the value does not depend on either network's scale: it is
    $2\,(1 - \cos)$ of the centred tokens, 0 where they agree, about 2 where they are unrelated.

    Args:
        student_tokens: ``(N, tokens, dim)``, projected to the teacher's grid and width.
        teacher_tokens: same shape, without the class token; treated as a constant.
        normalise: False compares the raw tokens, as the paper writes it.

    Raises:
        ValueError: shapes differ.

    Source: Liu et al. 2022 (ACCV), equation 6. The paper sums raw squares; the mean over layer-
    normed tokens needs no new weight for another teacher.
    """
    student, teacher = _ready(student_tokens, teacher_tokens, normalise)
    return F.mse_loss(student, teacher)


@torch.no_grad()
@in_float32
def token_cosine(
    student_tokens: Tensor, teacher_tokens: Tensor, *, normalise: bool = True
) -> Tensor:
    r"""Return the mean cosine between projected student tokens and teacher tokens: a measure.

    $$\frac1{NP}\sum_{n,p}\frac{\langle h'_{S,np},\, h_{T,np}\rangle}
    {\lVert h'_{S,np}\rVert\,\lVert h_{T,np}\rVert}$$

    It carries no gradient. A good part of the teacher's tokens is the same for all images (their
    positions), so a value well above zero does not yet say that images are told apart.

    Args:
        student_tokens: ``(N, tokens, dim)``.
        teacher_tokens: same shape.
        normalise: layer-norm both first, so that the cosine is of centred tokens and goes with
            `token_loss`; False takes them raw.

    Raises:
        ValueError: shapes differ.

    Source: the quantity of the motivation figure in Liu et al. 2022 (ACCV).
    """
    student, teacher = _ready(student_tokens, teacher_tokens, normalise)
    return F.cosine_similarity(student, teacher, dim=-1).mean()


def _ready(
    student_tokens: Tensor, teacher_tokens: Tensor, normalise: bool
) -> tuple[Tensor, Tensor]:
    if student_tokens.shape != teacher_tokens.shape:
        raise ValueError(
            f"student tokens {tuple(student_tokens.shape)} and teacher tokens "
            f"{tuple(teacher_tokens.shape)} differ in shape; the projector needs the teacher's "
            "grid and width, and a class token must be cut off"
        )
    teacher = teacher_tokens.detach()
    if not normalise:
        return student_tokens, teacher
    width = teacher.shape[-1:]
    return F.layer_norm(student_tokens, width), F.layer_norm(teacher, width)
