"""FitNets: the student's map, regressed, is to equal a map of the teacher."""

import torch.nn.functional as F
from torch import Tensor

from medkd_lib.distill.precision import in_float32


@in_float32
def hint_loss(student_map: Tensor, teacher_map: Tensor) -> Tensor:
    r"""Return the mean squared error between a regressed student map and the teacher's map.

    $$\mathcal L = \frac1{N\,C\,h\,w}\,\lVert r(F^s)-F^t\rVert_2^2$$

    The regressor $r$ is a small network that is trained with the student and dropped after it; it
    belongs to the method. Usual weight: 100 (RepDistiller).

    Args:
        student_map: ``(N, C, h, w)``, after the regressor; activations have no unit.
        teacher_map: same shape; treated as a constant.

    Raises:
        ValueError: shapes differ; says which regressor or pooling is missing.

    Source: Romero et al. 2015 (ICLR, arXiv 1412.6550), equation 3: ½ times the sum of squares.
    The mean replaces it, as in RepDistiller, so that the weight means the same at every map size;
    ½ is left to the weight.
    """
    _check(student_map, teacher_map)
    return F.mse_loss(student_map, teacher_map.detach())


def _check(student_map: Tensor, teacher_map: Tensor) -> None:
    # mse_loss would broadcast, for instance one channel against all, and only warn.
    if student_map.ndim != 4 or teacher_map.ndim != 4:
        raise ValueError(
            "hint_loss: expected maps (N, C, h, w), found student "
            f"{tuple(student_map.shape)} and teacher {tuple(teacher_map.shape)}; lay ViT tokens "
            "out on their grid first"
        )
    (n_s, c_s, *size_s), (n_t, c_t, *size_t) = student_map.shape, teacher_map.shape
    if n_s != n_t:
        raise ValueError(
            f"hint_loss: {n_s} student and {n_t} teacher maps; both networks need the same batch"
        )
    missing = []
    if size_s != size_t:
        smaller = [min(a, b) for a, b in zip(size_s, size_t, strict=True)]
        missing.append(f"pool the larger map to {tuple(smaller)} (adaptive_avg_pool2d)")
    if c_s != c_t:
        missing.append(f"regress the student's channels, nn.Conv2d({c_s}, {c_t}, 1)")
    if missing:
        raise ValueError(
            f"hint_loss: student map {tuple(student_map.shape)} and teacher map "
            f"{tuple(teacher_map.shape)} differ in shape; " + " and ".join(missing)
        )
