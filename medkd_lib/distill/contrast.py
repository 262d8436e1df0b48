"""Contrastive distillation: find the teacher's embedding of an image among the batch's."""

import torch
import torch.nn.functional as F
from torch import Tensor

from medkd_lib.distill.precision import in_float32, unit


@in_float32
def crd_in_batch(
    student: Tensor, teacher: Tensor, temperature: float = 0.07, labels: Tensor | None = None
) -> Tensor:
    r"""Return InfoNCE between student and teacher embeddings, in both directions.

    With unit vectors $\hat s_i,\hat t_i$, $z_{ij}=\hat s_i^\top\hat t_j/\tau$ and $A_i$ the image
    i together with its negatives,

    $$\mathcal L = -\frac1{2N}\sum_i\Big[\log\frac{e^{z_{ii}}}{\sum_{j\in A_i}e^{z_{ij}}}
    + \log\frac{e^{z_{ii}}}{\sum_{j\in A_i}e^{z_{ji}}}\Big]$$

    Both directions, because CRD contrasts both: a student's embedding with all teacher's, and a
    teacher's with all student's. Without ``labels`` all other images are negatives; with them,
    images of the same class are not, which also covers an image that stands twice in a balanced
    batch. An image without negatives gives 0, and so does a batch of a single class.

    It is not zero where student equals teacher. Without labels,
    $\mathcal L\ge\log(1+(N-1)\,e^{-N/((N-1)\tau)})$, reached when both are the same regular
    simplex; embeddings that say nothing (all equal, or zero vectors) give $\log N$.
    Usual weight: 0.8, which is CRD's for its sum over two directions against 16384 negatives.

    Args:
        student: embeddings ``(N, D)``, N ≥ 2, after the student's projector; only their
            directions count, and a zero vector gets no gradient.
        teacher: ``(N, D)``, treated as a constant; a projector before it stays as it is.
        temperature: τ > 0.
        labels: ``(N,)`` int64, or None.

    Raises:
        ValueError: shapes differ, N < 2, labels do not fit, or τ ≤ 0.

    Source: van den Oord et al. 2018 (arXiv 1807.03748), equation 4; Tian et al. 2020 (ICLR, arXiv
    1910.10699) for teacher and student as the two views, D = 128 and τ = 0.07. Departures: CRD
    draws K = 16384 negatives from a memory bank and uses NCE with a noise term. A small medical set
    has fewer images than that, so the batch itself supplies the negatives, and InfoNCE needs no
    estimate of the normaliser. CRD also trains a projector on the teacher's side; here the teacher
    is the fixed point, as in every loss of this library.
    """
    _check(student, teacher, temperature, labels)
    # z_ij = <s_i, t_j> / τ
    similarity = unit(student) @ unit(teacher.detach()).T / temperature
    if labels is not None:
        itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
        same_class = labels[:, None] == labels[None]
        similarity = similarity.masked_fill(same_class & ~itself, -torch.inf)
    own = torch.arange(len(student), device=student.device)
    return (F.cross_entropy(similarity, own) + F.cross_entropy(similarity.T, own)) / 2


def _check(student: Tensor, teacher: Tensor, temperature: float, labels: Tensor | None) -> None:
    if student.ndim != 2 or student.shape != teacher.shape:
        raise ValueError(
            "crd_in_batch: expected student and teacher embeddings of one shape (N, D), found "
            f"{tuple(student.shape)} and {tuple(teacher.shape)}; project both to a common "
            "dimension (128 in the paper)"
        )
    if len(student) < 2:
        raise ValueError(
            f"crd_in_batch: expected at least 2 images in the batch, found {len(student)}; "
            "the others are the negatives: raise the batch size or drop the incomplete last batch"
        )
    if labels is not None and labels.shape != student.shape[:1]:
        raise ValueError(
            f"labels: expected shape {tuple(student.shape[:1])}, found {tuple(labels.shape)}"
        )
    if temperature <= 0:
        raise ValueError(f"temperature: expected > 0, found {temperature}")
