r"""Partially cross attention: the student's attention with some of the teacher's put in its place.

Queries, keys and values come as ``(N, heads, tokens, d)``, the student's from a projector. In
training, elements of the student's three matrices are replaced by the teacher's, so the attention
that is compared is never the student's own work alone, and less so the smaller ``p_student`` is.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from medkd_lib.distill.precision import in_float32

Triple = tuple[Tensor, Tensor, Tensor]


class PartialCross(NamedTuple):
    r"""The two terms of equation 4: attention outputs, and the Gram matrices of the values."""

    attention: Tensor
    gram: Tensor

    @property
    def total(self) -> Tensor:
        r"""$\mathcal L_{p1}$: their sum."""
        return self.attention + self.gram


def partial_cross_attention_loss(
    student_qkv: Triple,
    teacher_qkv: Triple,
    p_student: float = 0.5,
    *,
    scale_free: bool = False,
    generator: torch.Generator | None = None,
) -> PartialCross:
    r"""Return how far the partially crossed attention is from the teacher's.

    $$\mathrm{PCAttn} = \mathrm{softmax}\!\left(\tfrac{g(Q_S)\,g(K_S)^\top}{\sqrt d}\right) g(V_S),
    \qquad
    \mathcal L_{p1} = \overline{(\mathrm{Attn}_T - \mathrm{PCAttn})^2}
    + \overline{\left(\tfrac{V_T V_T^\top}{\sqrt d} - \tfrac{V_S V_S^\top}{\sqrt d}\right)^2}$$

    with $g$ from `cross` (drawn for Q, K and V apart) and the bar a mean over batch, heads and
    entries. At ``p_student = 0`` the first term is zero whatever the student does; the second
    uses the student's own values always.

    Args:
        student_qkv: queries, keys, values, each ``(N, heads, tokens, d)``.
        teacher_qkv: same shapes; treated as constants.
        p_student: probability that an element stays the student's.
        scale_free: divide each term by the mean square of the teacher's side,
            $\overline{\mathrm{Attn}_T^2}$ and $\overline{(V_TV_T^\top/\sqrt d)^2}$. A term is then
            1 for a student that answers zero, whatever the size of the teacher's values (their
            fourth power is in the Gram term), and one weight suits all teachers.
        generator: of the draws; None uses the global one of the tensors' device.

    Raises:
        ValueError: shapes differ, or ``p_student`` is not within 0…1.

    Source: Liu et al. 2022 (ACCV), equations 2-4. The paper sums squares ($\lVert\cdot\rVert_2^2$);
    the mean keeps the value comparable across grids and batch sizes. Notes on the paper disagree on
    whether the second term is $V\cdot V$ or $VV^\top$; only the latter compares widths that differ.
    The authors' released code has no crossing and compares scores, not outputs.
    """
    _check(student_qkv, teacher_qkv)
    pairs = zip(student_qkv, teacher_qkv, strict=True)
    q, k, v = [cross(student, teacher, p_student, generator) for student, teacher in pairs]
    return PartialCross(
        _attention_distance(q, k, v, *teacher_qkv, scale_free=scale_free),
        _gram_distance(student_qkv[2], teacher_qkv[2], scale_free),
    )


def cross(
    student: Tensor, teacher: Tensor, p_student: float, generator: torch.Generator | None = None
) -> Tensor:
    r"""Return the student's matrix with elements replaced by the teacher's at random.

    $$g(M)_{ij} = \begin{cases} M_{T,ij} & u_{ij} \ge p_0\\ M_{S,ij} & \text{else}\end{cases}
    \qquad u_{ij}\sim U(0,1)$$

    Args:
        student: any shape.
        teacher: same shape; treated as a constant.
        p_student: $p_0$, the probability that an element stays the student's: 0 gives the
            teacher's matrix, 1 the student's.
        generator: of the draws; None uses the global one of the tensors' device.

    Raises:
        ValueError: shapes differ, or ``p_student`` is not within 0…1.

    Source: Liu et al. 2022 (ACCV), equation 3, with $p_0 = 0.5$. Whether one number is drawn per
    element, per matrix or per batch is ambiguous; the indices say per element.
    """
    if student.shape != teacher.shape:
        raise ValueError(
            f"cross: the student's matrix {tuple(student.shape)} and the teacher's "
            f"{tuple(teacher.shape)} differ in shape; project the student's first"
        )
    if not 0 <= p_student <= 1:
        raise ValueError(f"p_student: expected 0…1, found {p_student}")
    draws = torch.rand(student.shape, device=student.device, generator=generator)
    return torch.where(draws >= p_student, teacher.detach(), student)


@in_float32
def _attention_distance(
    q: Tensor, k: Tensor, v: Tensor, q_t: Tensor, k_t: Tensor, v_t: Tensor, *, scale_free: bool
) -> Tensor:
    return _squared(_attend(q, k, v), _attend(q_t, k_t, v_t).detach(), scale_free)


@in_float32
def _gram_distance(v: Tensor, v_t: Tensor, scale_free: bool) -> Tensor:
    return _squared(_gram(v), _gram(v_t).detach(), scale_free)


def _attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    # softmax(QKᵀ / √d) V
    return (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(dim=-1) @ v


def _gram(v: Tensor) -> Tensor:
    # VVᵀ / √d
    return v @ v.transpose(-2, -1) / v.shape[-1] ** 0.5


def _squared(student: Tensor, teacher: Tensor, scale_free: bool) -> Tensor:
    # mean (t - s)², or that over mean t²
    squared = F.mse_loss(student, teacher)
    return squared / teacher.square().mean().clamp(min=1e-12) if scale_free else squared


def _check(student_qkv: Triple, teacher_qkv: Triple) -> None:
    for name, s, t in zip(("queries", "keys", "values"), student_qkv, teacher_qkv, strict=True):
        if s.shape != t.shape:
            raise ValueError(
                f"{name}: the student's {tuple(s.shape)} and the teacher's {tuple(t.shape)} differ "
                "in shape; the projector needs the teacher's heads, width and grid, and a class "
                "token must be cut off"
            )
