"""The mean absolute difference of two images: what cycle, identity and reconstruction all are."""

import torch.nn.functional as F
from torch import Tensor

from medkd_lib.distill.precision import in_float32


@in_float32
def image_l1(output: Tensor, images: Tensor) -> Tensor:
    r"""Return the mean absolute difference of a network's images from given ones.

    $$\mathcal L = \frac1{N\,C\,H\,W}\sum \lvert\hat x - x\rvert$$

    An absolute difference is least at the median of what is possible, a square at the mean: L1
    blurs less. Between images in [-1, 1] it is at most 2.

    Args:
        output: ``(N, C, H, W)``, the network's, with gradient.
        images: same shape; treated as a constant.

    Raises:
        ValueError: shapes differ (an L1 loss would broadcast).
    """
    if output.shape != images.shape:
        raise ValueError(
            f"output {tuple(output.shape)} and images {tuple(images.shape)} differ in shape; "
            "expected the image that the network was given, at its size and in its channels"
        )
    return F.l1_loss(output, images.detach())
