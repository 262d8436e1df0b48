r"""Relational KD: how images lie to one another in the teacher's space, not where they lie.

Both losses compare numbers that no rotation, shift or scale of a space changes, so student and
teacher need not have the same dimension, and no projector.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from medkd_lib.distill.precision import in_float32, unit


@in_float32
def rkd_distance(student: Tensor, teacher: Tensor) -> Tensor:
    r"""Return the Huber loss between the relative pairwise distances of student and teacher.

    $$\psi_{ij}=\frac{\lVert e_i-e_j\rVert_2}{\mu},\qquad
    \mathcal L = \frac1{N^2}\sum_{i,j} \ell_1(\psi^s_{ij}-\psi^t_{ij}),\qquad
    \ell_1(x)=\begin{cases}x^2/2&\lvert x\rvert\le1\\ \lvert x\rvert-\tfrac12&\text{else}
    \end{cases}$$

    with μ the mean over the pairs whose distance is not zero. Coincident embeddings keep the
    distance 0 and pull on nothing: their gradient is zero. If all embeddings coincide, all
    distances are 0, and a collapsed student cannot be moved by this loss. Usual weight: 25.

    Args:
        student: embeddings ``(N, D)``, N ≥ 2.
        teacher: ``(N, D')`` of the same images, treated as a constant; D' may differ.

    Raises:
        ValueError: not two axes, different batches, or N < 2.

    Source: Park et al. 2019 (CVPR, arXiv 1904.05068), distance-wise loss. The mean is over all
    N² entries, the zero diagonal included, as in the authors' code, RepDistiller and torchdistill,
    because the usual weight belongs to it; over true pairs it would be N/(N-1) times as large.
    Distances come from differences, not from $\lVert a\rVert^2+\lVert b\rVert^2-2ab$, which
    cancels for neighbours and is zero only up to rounding.
    """
    _check("rkd_distance", student, teacher, 2)
    return F.smooth_l1_loss(_relative_distances(student), _relative_distances(teacher.detach()))


@in_float32
def rkd_angle(student: Tensor, teacher: Tensor) -> Tensor:
    r"""Return the Huber loss between the angles that three images form.

    $$\psi_{ijk}=\cos\angle(e_i,e_j,e_k)=
    \Big\langle\frac{e_i-e_j}{\lVert e_i-e_j\rVert},\frac{e_k-e_j}{\lVert e_k-e_j\rVert}
    \Big\rangle,\qquad
    \mathcal L = \frac1{N^3}\sum_{i,j,k} \ell_1(\psi^s_{ijk}-\psi^t_{ijk})$$

    A side of length zero has no direction: its cosines are 0 and its gradient is zero.
    Usual weight: 50.

    Args:
        student: embeddings ``(N, D)``, N ≥ 3; memory grows with N³.
        teacher: ``(N, D')`` of the same images, treated as a constant; D' may differ.

    Raises:
        ValueError: not two axes, different batches, or N < 3.

    Source: Park et al. 2019, angle-wise loss; mean over all N³ entries as in the authors' code.
    """
    _check("rkd_angle", student, teacher, 3)
    return F.smooth_l1_loss(_cosines(student), _cosines(teacher.detach()))


def rkd(
    student: Tensor, teacher: Tensor, distance_weight: float = 25.0, angle_weight: float = 50.0
) -> Tensor:
    r"""Return the weighed sum of `rkd_distance` and `rkd_angle`.

    $$\mathcal L = \lambda_D\,\mathcal L_D + \lambda_A\,\mathcal L_A$$

    Args:
        student: embeddings ``(N, D)``, N ≥ 3.
        teacher: ``(N, D')``, treated as a constant.
        distance_weight: $\lambda_D$.
        angle_weight: $\lambda_A$.

    Raises:
        ValueError: as `rkd_angle`.

    Source: Park et al. 2019; 25 and 50 are RepDistiller's, with an outer weight of 1.
    """
    return distance_weight * rkd_distance(student, teacher) + angle_weight * rkd_angle(
        student, teacher
    )


def _relative_distances(embeddings: Tensor) -> Tensor:
    """Return ``(N, N)`` distances, divided by the mean of those that are not zero."""
    distances = torch.linalg.vector_norm(_differences(embeddings), dim=-1)
    # μ = Σ d / #{d > 0}; zero distances add nothing to the sum
    mean = distances.sum() / (distances > 0).sum().clamp(min=1)
    return distances / mean.masked_fill(mean == 0, 1.0)


def _cosines(embeddings: Tensor) -> Tensor:
    """Return ``(N, N, N)``: entry (j, i, k) is the cosine at j between i and k."""
    sides = unit(_differences(embeddings))
    return sides @ sides.transpose(1, 2)


def _differences(embeddings: Tensor) -> Tensor:
    """Return ``(N, N, D)``: entry (j, i) is $e_i-e_j$."""
    return embeddings[None] - embeddings[:, None]


def _check(name: str, student: Tensor, teacher: Tensor, least: int) -> None:
    if student.ndim != 2 or teacher.ndim != 2 or len(student) != len(teacher):
        raise ValueError(
            f"{name}: expected embeddings (N, D) of the same images, found student "
            f"{tuple(student.shape)} and teacher {tuple(teacher.shape)}; pool maps over positions "
            "or flatten them first"
        )
    if len(student) < least:
        raise ValueError(
            f"{name}: expected at least {least} images in the batch, found {len(student)}; "
            "a relation needs them: raise the batch size or drop the incomplete last batch"
        )
