"""Every network is given the same images and brings them to the size it wants."""

import torch.nn.functional as F
from torch import Tensor, nn


def to_size(images: Tensor, size: int) -> Tensor:
    """Return images ``(N, C, H, W)`` as ``(N, C, size, size)``: averaged down, or blown up.

    Going down, every pixel of the result is the mean of the pixels it covers or touches, so fine
    texture cannot turn into moiré; going up, bilinear interpolation adds pixels and no
    information. Each axis goes its own way: an oblong image may do both.
    """
    height, width = images.shape[-2:]
    if max(height, width) > size:
        images = F.interpolate(images, (min(height, size), min(width, size)), mode="area")
    if min(height, width) < size:
        images = F.interpolate(images, (size, size), mode="bilinear", align_corners=False)
    return images


class AtSize(nn.Module):
    """A network that sees its images at one size, whatever size they come in.

    Args:
        network: classifier ``(N, C, size, size) → (N, classes)``; tapped as ``network.…``.
        size: side in pixels.
    """

    def __init__(self, network: nn.Module, size: int) -> None:
        super().__init__()
        self.network = network
        self.size = size

    def forward(self, images: Tensor) -> Tensor:
        """Return the network's output on the resized images."""
        return self.network(to_size(images, self.size))
