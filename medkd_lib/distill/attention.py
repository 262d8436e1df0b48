"""Attention transfer: where the teacher looks, not what it computes there."""

import torch.nn.functional as F
from torch import Tensor

from medkd_lib.distill.precision import in_float32, unit


@in_float32
def attention_transfer(student_map: Tensor, teacher_map: Tensor, p: float = 2.0) -> Tensor:
    r"""Return the mean squared difference of the two normalised spatial attention maps.

    $$a = \operatorname{vec}\Big(\tfrac1C\sum_c\lvert F_c\rvert^p\Big),\qquad
    \mathcal L = \frac1{N\,hw}\sum_n
    \Big\lVert \frac{a^s_n}{\lVert a^s_n\rVert_2}-\frac{a^t_n}{\lVert a^t_n\rVert_2}
    \Big\rVert_2^2$$

    The mean runs over images and positions, as in the authors' code, RepDistiller and
    torchdistill (``mode='code'``), because their usual weight 1000 belongs to it. $hw\,\mathcal L$
    is the mean squared distance of two unit vectors without negative entries, $2-2\cos$, between
    0 and 2. An image without any activation has no attention: its map stays zero, at distance 1.

    Args:
        student_map: ``(N, C, h, w)``.
        teacher_map: ``(N, C', h', w')``, treated as a constant; channels may differ. Where sizes
            differ, the finer *attention* is averaged down to the coarser grid, axis by axis.
        p: ≥ 1; a larger one looks at the strongest activations only.

    Raises:
        ValueError: not four axes, different batches, or p < 1.

    Source: Zagoruyko and Komodakis 2017 (ICLR, arXiv 1612.03928), equation 2, which prints the
    distance unsquared, times β/2; their code squares it and takes the mean, and their text divides
    β = 1000 by the map's and the batch's size, which is the same mean. RepDistiller averages
    the *feature* map down instead of the attention, which lets positive and negative activations
    cancel before they are squared.
    """
    _check(student_map, teacher_map, p)
    (h_s, w_s), (h_t, w_t) = student_map.shape[2:], teacher_map.shape[2:]
    size = (min(h_s, h_t), min(w_s, w_t))
    student = _attention(student_map, p, size)
    teacher = _attention(teacher_map.detach(), p, size)
    return F.mse_loss(student, teacher)


def _attention(feature_map: Tensor, p: float, size: tuple[int, int]) -> Tensor:
    """Return ``(N, hw)``: the attention on the common grid, each image at length 1."""
    # Attention does not change with an image's scale, so its largest activation may be set to 1
    # first, as a constant; otherwise |F|^p can leave float32 at both ends.
    peak = feature_map.detach().abs().amax(dim=(1, 2, 3), keepdim=True)
    relative = feature_map / peak.masked_fill(peak == 0, 1.0)
    # a = mean_c |F_c|^p
    attention = relative.abs().pow(p).mean(dim=1)
    return unit(F.adaptive_avg_pool2d(attention, size).flatten(1))


def _check(student_map: Tensor, teacher_map: Tensor, p: float) -> None:
    if student_map.ndim != 4 or teacher_map.ndim != 4 or len(student_map) != len(teacher_map):
        raise ValueError(
            "attention_transfer: expected maps (N, C, h, w) of the same images, found student "
            f"{tuple(student_map.shape)} and teacher {tuple(teacher_map.shape)}; lay ViT tokens "
            "out on their grid first"
        )
    if p < 1:
        # below 1 the gradient at an inactive position is infinite
        raise ValueError(f"attention_transfer: expected p >= 1, found {p}; the usual one is 2")
