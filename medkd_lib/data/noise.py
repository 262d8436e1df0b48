"""Test images made worse on purpose: the same noise for every network that is compared."""

import torch
from torch import Tensor


def noisy(images: Tensor, sigma: float, seed: int, *, background: float | None = None) -> Tensor:
    """Return float32 images with Gaussian noise added.

    Args:
        images: ``(N, C, H, W)``.
        sigma: standard deviation in the images' unit (z-scores, or films on [-1, 1]).
        seed: of the noise; it does not touch torch's global generator.
        background: pixels that have this value in every channel stay as they are; None: none do.
    """
    clean = images.float()
    if sigma == 0:
        return clean
    generator = torch.Generator().manual_seed(seed)
    noise = sigma * torch.randn(clean.shape, generator=generator)
    if background is not None:
        noise = noise * (clean != background).any(dim=1, keepdim=True)
    return clean + noise
