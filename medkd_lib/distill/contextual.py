"""The contextual loss: two images that are not aligned should be made of similar features."""

import torch
from torch import Tensor

from medkd_lib.distill.positions import some_positions
from medkd_lib.distill.precision import in_float32, unit

EPSILON = 1e-5


@in_float32
def contextual_loss(
    x: Tensor,
    y: Tensor,
    bandwidth: float = 0.5,
    *,
    max_positions: int = 4096,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Return how poorly the features of one image explain those of another, wherever they lie.

    For one image, with $x_i$ and $y_j$ the feature vectors at positions $i$ and $j$ and $\mu_y$
    the mean of all $y_j$,

    $$d_{ij}=1-\cos(x_i-\mu_y,\;y_j-\mu_y),\qquad
    \tilde d_{ij}=\frac{d_{ij}}{\min_k d_{ik}+\epsilon},\qquad
    w_{ij}=e^{(1-\tilde d_{ij})/h},$$
    $$CX_{ij}=\frac{w_{ij}}{\sum_k w_{ik}},\qquad
    CX=\frac1P\sum_j\max_i CX_{ij},\qquad \mathcal L=-\log CX$$

    Every $x_i$ spreads one vote over the $y_j$, nearly all of it to those that are much nearer
    than the others; $CX$ asks whether every $y_j$ has somebody's vote. 0 where $x$ holds the same
    features as $y$, in any order (up to ties between equal features), $\log P$ where all $x_i$
    are the same. Mean over images.

    Args:
        x: ``(N, C, h, w)``, features of translated images.
        y: ``(N, C, h', w')``, features of real images of the target modality, any patients; a
            constant. The size may differ.
        bandwidth: h > 0; smaller is closer to a nearest neighbour.
        max_positions: of each map; larger maps are sampled. 4096 positions are a map of 64² and
            64 MiB per matrix, image and layer.
        generator: of the sample; without one, larger maps are refused. Losses of different
            numbers of positions are not comparable.

    Raises:
        ValueError: no maps of one batch and the same channels, a bandwidth that is not positive,
            too many positions.

    Source: Mechrez et al. 2018 (ECCV, arXiv 1803.02077), equations 1 to 5, with the usual
    h = 0.5 and ε = 1e-5; that CMEDL adds a contextual loss to CycleGAN is in the abstract of its
    cone-beam paper, layers and bandwidth are unknown to us. Any features may be given: those of a
    pretrained VGG19 of the user, or of an encoder of the course. Public code takes $\mu_y$ over
    the whole batch; here each image has its own, so an image's loss does not depend on the others.
    """
    _check(x, y, bandwidth)
    at_x = some_positions(x, max_positions, generator)
    at_y = some_positions(y, max_positions, generator)
    # (N, positions, C)
    x_i = x.flatten(2)[..., at_x].transpose(1, 2)
    y_j = y.detach().flatten(2)[..., at_y].transpose(1, 2)
    mu_y = y_j.mean(dim=1, keepdim=True)
    # d_ij = 1 - cos(x_i - μ, y_j - μ); rounding may put a cosine above 1
    d = (1 - unit(x_i - mu_y) @ unit(y_j - mu_y).transpose(1, 2)).clamp(min=0)
    relative = d / (d.amin(dim=2, keepdim=True) + EPSILON)
    # CX_ij = w_ij / Σ_k w_ik is a softmax, in which the 1 of w_ij cancels
    cx = (-relative / bandwidth).softmax(dim=2)
    # CX = mean_j max_i CX_ij, at least 1/P, since every row sums to 1
    return -cx.amax(dim=1).mean(dim=1).log().mean()


def _check(x: Tensor, y: Tensor, bandwidth: float) -> None:
    if x.ndim != 4 or y.ndim != 4 or x.shape[:2] != y.shape[:2]:
        raise ValueError(
            "contextual_loss: expected maps x (N, C, h, w) and y (N, C, h', w') of as many images "
            f"and channels, found {tuple(x.shape)} and {tuple(y.shape)}; take both from the same "
            "layer of the same network"
        )
    if bandwidth <= 0:
        raise ValueError(f"bandwidth: expected > 0, found {bandwidth}; the usual one is 0.5")
