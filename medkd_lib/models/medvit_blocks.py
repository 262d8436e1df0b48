"""MedViT's two blocks: what is near, and what is far and near side by side."""

import torch
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from medkd_lib.models.medvit_parts import (
    ConvolutionalAttention,
    EfficientAttention,
    LocalFeedForward,
    PatchEmbedding,
)

# Share of a transformer block's channels that come from self-attention; the others are local.
GLOBAL_SHARE = 0.75


class ConvolutionBlock(nn.Module):
    r"""ECB: what is near, twice.

    $$x_1 = x_0 + \mathrm{MHCA}(x_0),\qquad y = x_1 + \mathrm{LFFN}(\mathrm{BN}(x_1))$$

    with $x_0$ the embedded patches.

    Args:
        in_channels: of the map.
        channels: of the result, a multiple of ``head_dim``.
        head_dim: channels of a head.
        halve: the side.
        path_dropout: probability of leaving out MHCA's path, image by image, in training.

    Source: see `MedViT`. Its public code adds the normed $x_1$ once more.
    """

    def __init__(
        self, in_channels: int, channels: int, head_dim: int, *, halve: bool, path_dropout: float
    ) -> None:
        super().__init__()
        self.embed = PatchEmbedding(in_channels, channels, halve=halve)
        self.attention = ConvolutionalAttention(channels, head_dim)
        self.path = StochasticDepth(path_dropout, "row")
        self.norm = nn.BatchNorm2d(channels)
        self.feed_forward = LocalFeedForward(channels, expansion=3)

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's map."""
        x = self.embed(x)
        x = x + self.path(self.attention(x))
        return x + self.feed_forward(self.norm(x))


class TransformerBlock(nn.Module):
    r"""LTB: what is far and what is near, side by side.

    $$g = x_0 + \mathrm{ESA}(\mathrm{BN}(x_0)),\quad
    l = \varphi(g) + \mathrm{MHCA}(\varphi(g)),\quad
    y = [g\,;l] + \mathrm{LFFN}(\mathrm{BN}([g\,;l]))$$

    with $x_0$ the embedded patches and φ a 1x1 convolution with norm. g has three quarters of the
    heads, rounded, and l the others, one at least.

    Args:
        in_channels: of the map.
        channels: of the result, a multiple of ``head_dim``.
        head_dim: channels of a head.
        reduction: see `EfficientAttention`.
        halve: the side.
        path_dropout: as `ConvolutionBlock`; the two paths share it as they share the channels.

    Raises:
        ValueError: channels that are no two heads or more.
    """

    def __init__(
        self, in_channels: int, channels: int, head_dim: int, reduction: int, *, halve: bool,
        path_dropout: float,
    ) -> None:  # fmt: skip
        super().__init__()
        heads = channels // head_dim
        if channels % head_dim or heads < 2:
            raise ValueError(
                f"channels: expected two heads or more of {head_dim} channels, one of them local, "
                f"found {channels}"
            )
        far = min(round(GLOBAL_SHARE * heads), heads - 1) * head_dim
        near = channels - far
        self.embed = PatchEmbedding(in_channels, far, halve=halve)
        self.norm = nn.BatchNorm2d(far)
        self.attention = EfficientAttention(far, head_dim, reduction)
        self.path = StochasticDepth(GLOBAL_SHARE * path_dropout, "row")
        self.narrow = PatchEmbedding(far, near)
        self.local = ConvolutionalAttention(near, head_dim)
        self.local_path = StochasticDepth((1 - GLOBAL_SHARE) * path_dropout, "row")
        self.both_norm = nn.BatchNorm2d(channels)
        self.feed_forward = LocalFeedForward(channels, expansion=2)

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's map."""
        x = self.embed(x)
        far = x + self.path(self.attention(self.norm(x)))
        near = self.narrow(far)
        near = near + self.local_path(self.local(near))
        both = torch.cat([far, near], dim=1)
        return both + self.feed_forward(self.both_norm(both))
