"""Three distances between a student's map and a teacher's: by value, by direction, by distribution.

CMEDL's hint is the first one. What each sees and what it is blind to is the point of offering all.
"""

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from medkd_lib.distill.mmd import squared_mmd
from medkd_lib.distill.positions import some_positions
from medkd_lib.distill.precision import in_float32, unit

Distance = Literal["l2", "cosine", "mmd"]


@in_float32
def feature_distance(
    student_map: Tensor,
    teacher_map: Tensor,
    kind: Distance = "l2",
    normalise: bool = True,
    *,
    detach: bool = True,
    max_positions: int = 1024,
    generator: torch.Generator | None = None,
    reduction: Literal["mean", "none"] = "mean",
) -> Tensor:
    r"""Return the distance of two maps of the same images, $s_{np}$ and $t_{np}$ at position p.

    $$\texttt{l2}:\ \frac1{N\,C\,hw}\sum_{n,p}\lVert s_{np}-t_{np}\rVert^2,\qquad
    \texttt{cosine}:\ \frac1{N\,hw}\sum_{n,p}\tfrac12\lVert \hat s_{np}-\hat t_{np}\rVert^2
    = 1-\overline{\cos(s_{np}, t_{np})}$$
    $$\texttt{mmd}:\ \frac1N\sum_n\Big[\overline{k(s_{np},s_{nq})}+\overline{k(t_{np},t_{nq})}
    -2\,\overline{k(s_{np},t_{nq})}\Big],\qquad
    k(a,b)=\tfrac15\sum_{f}\exp\Big(\!-\frac{\lVert a-b\rVert^2}{f\,m_n}\Big)$$

    with the bars over all pairs of positions p, q, $f\in\{\tfrac14,\tfrac12,1,2,4\}$ and $m_n$ the
    median of $\lVert t_{np}-t_{nq}\rVert^2$ over $p\ne q$, a constant (1 where it is zero). All are
    0 where the maps are equal, and means over positions, so no weight depends on a map's size.
    ``cosine`` does not see how strong an activation is; ``mmd`` does not see *where* it is: an
    image whose positions are shuffled is at the same distance.

    ``normalise`` first brings every channel of either map, on its own, to mean 0 and standard
    deviation 1 over batch and positions (ε = 1e-5 beside the variance, as in batch norm: a dead
    channel stays 0). A network whose features have not found their scale yet then neither pins the
    other nor is pinned; ``l2`` becomes $2(1-\bar\rho)$, with the mean correlation of a channel
    with its counterpart, and images are no longer independent of their batch.

    Args:
        student_map: ``(N, C, h, w)``, no unit.
        teacher_map: same shape; a constant, unless ``detach`` is off.
        kind: see above.
        normalise: see above; False compares the maps as they are.
        detach: False lets the gradient into the teacher's map too. Without normalisation the
            distance is then least where both networks say nothing, and they get there: the switch
            is for showing that.
        max_positions: ``mmd`` only: larger maps are sampled, student and teacher at the same
            positions; 1024 are a map of 32².
        generator: of that sample; without one, larger maps are refused.
        reduction: ``none`` gives one value per image, ``(N,)``.

    Raises:
        ValueError: shapes differ, an unknown kind, one value per channel in all and ``normalise``,
            ``mmd`` of maps with one position, or with too many.

    Source: the squared L2 norm of "the last two layers" is CMEDL's as we recollect it (Jiang et
    al. 2019, 2022), with neither its normalisation nor what may receive its gradient known to us;
    the mean is ours. MMD: Gretton et al. 2012 (JMLR), equation 5, the biased estimator, which is
    never negative and 0 for equal samples, with a sum of kernels as in Long et al. 2015
    (arXiv 1502.02791). The factors are ours.
    """
    _check(student_map, teacher_map, kind)
    student, teacher = student_map, teacher_map.detach() if detach else teacher_map
    if normalise:
        student, teacher = _normalised(student), _normalised(teacher)
    if kind == "l2":
        return _reduced(F.mse_loss(student, teacher, reduction="none"), reduction)
    if kind == "cosine":
        # ½ |ŝ - t̂|², which is 1 - cos, and 0 where both are zero
        difference = unit(student.movedim(1, -1)) - unit(teacher.movedim(1, -1))
        return _reduced(difference.square().sum(dim=-1), reduction) / 2
    chosen = some_positions(teacher, max_positions, generator)
    samples = (m.flatten(2)[..., chosen].transpose(1, 2) for m in (student, teacher))
    return _reduced(_mmd(*samples), reduction)


def _reduced(each: Tensor, reduction: str) -> Tensor:
    """Return the mean over everything, or over everything of an image."""
    return each.mean() if reduction == "mean" else each.reshape(len(each), -1).mean(dim=1)


def _normalised(feature_map: Tensor) -> Tensor:
    n, channels, height, width = feature_map.shape
    if n * height * width < 2:
        raise ValueError(
            f"feature_distance: one image of one position, {tuple(feature_map.shape)}, has no "
            f"standard deviation in its {channels} channels; tap an earlier layer or pass "
            "normalise=False"
        )
    return F.batch_norm(feature_map, None, None, training=True, eps=1e-5)


def _mmd(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the squared MMD of two samples ``(N, positions, C)`` per image, ``(N,)``."""
    if student.shape[1] < 2:
        raise ValueError("feature_distance: mmd compares pairs of positions, found one position")
    return squared_mmd(student, teacher, scale_of="t")


def _check(student_map: Tensor, teacher_map: Tensor, kind: str) -> None:
    if kind not in get_args(Distance):
        raise ValueError(f"kind: expected one of {get_args(Distance)}, found {kind!r}")
    if student_map.ndim != 4 or student_map.shape != teacher_map.shape:
        raise ValueError(
            "feature_distance: expected student and teacher maps of one shape (N, C, h, w), found "
            f"{tuple(student_map.shape)} and {tuple(teacher_map.shape)}; between architectures "
            "regress the student's channels (nn.Conv2d(C, C', 1)) and pool the larger map first"
        )
