"""Cross-image relations: how regions of one patient lie to the regions of all others."""

import torch
import torch.nn.functional as F
from torch import Tensor

from medkd_lib.distill.precision import in_float32, unit


@in_float32
def cross_image_relations(
    student: Tensor, teacher: Tensor, present: Tensor, temperature: float = 0.1
) -> Tensor:
    r"""Return how differently each region looks at the regions of the other patients.

    $$\mathcal L = \frac1{\lvert A\rvert}\sum_{i\in A}
    \mathrm{KL}\Big(\mathrm{softmax}_j\tfrac{\hat t_i^\top\hat t_j}{\tau}\,\Big\Vert\,
    \mathrm{softmax}_j\tfrac{\hat s_i^\top\hat s_j}{\tau}\Big)$$

    over the regions A of the batch and, for each, the regions j of *other* patients. Features of
    teacher and student may differ in width: only likenesses are compared. 0 for a single patient.

    Args:
        student: nodes ``(B, R, C)``.
        teacher: nodes ``(B, R, C')``, constants.
        present: ``(B, R)`` bool.
        temperature: τ > 0.

    Raises:
        ValueError: shapes do not fit, or τ is not positive.

    Source: Yang et al. 2022 (CVPR, CIRKD), its term within the batch, for regions in the place of
    pixels and without its memory bank. τ = 0.1 as there; T² is not in its formula. Its authors'
    code has a softmax for each pair of images, each with itself among them, and the mean over
    pairs; a patient has too few regions for that, and its own ones are the edges' business: here
    is one softmax over all others.
    """
    if student.shape[:2] != teacher.shape[:2] or present.shape != student.shape[:2]:
        raise ValueError(
            f"cross_image_relations: expected nodes (B, R, ·) and present (B, R), found "
            f"{tuple(student.shape)}, {tuple(teacher.shape)} and {tuple(present.shape)}"
        )
    if temperature <= 0:
        raise ValueError(f"temperature: expected > 0, found {temperature}")
    here = present.flatten()
    owner = torch.arange(len(present), device=present.device).repeat_interleave(present.shape[1])
    owner = owner[here]
    own = owner[:, None] == owner
    asking = (~own).any(dim=1)
    if not bool(asking.any()):
        return student.sum() * 0.0
    logs = []
    for nodes in (student, teacher.detach()):
        direction = unit(nodes.flatten(0, 1)[here])
        # Finite, not -inf: 0 times an infinite difference of logarithms would be NaN.
        nobody = torch.finfo(direction.dtype).min / 2
        likeness = (direction @ direction.T / temperature).masked_fill(own, nobody)
        logs.append(F.log_softmax(likeness[asking], dim=1))
    return F.kl_div(logs[0], logs[1], reduction="batchmean", log_target=True)
