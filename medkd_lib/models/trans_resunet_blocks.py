"""What TransResU-Net adds to a ResNet: two views of the coarsest map, residual decoder steps."""

import torch
from torch import Tensor, nn

from medkd_lib.models.segmentation import Norm, conv_norm, conv_norm_relu, upsample

DILATIONS = (1, 3, 6, 9)


class TransformerBranch(nn.Module):
    r"""Let every position of a map look at every other one of the same image.

    $$x' = C_{1\times1}(x),\qquad
    T = \mathrm{transformer}\big(x'_{n,\,:\,,p}\ \text{for } p = 1\dots HW\big),\qquad
    y = C_{3\times3}(T)$$

    with $C$ convolution, norm, ReLU. A token is a position, so the sequence is H·W long whatever
    the batch, and images of any size pass. Nothing tells a token where it is but the zeros that
    convolutions before it padded with, as the published number of parameters leaves no room for
    embeddings.

    Args:
        in_channels: of the map.
        dim: channels inside and of the result, a multiple of ``heads``.
        norm: see `SegmentationNetwork`.
        heads: of the attention.
        layers: of the transformer, each with a hidden layer of 8 · ``dim``.
        dropout: inside the transformer, in training.

    Shapes:
        input ``(N, in_channels, h, w)``, output ``(N, dim, h, w)``. Tap: ``layers``, the tokens
        ``(N, h·w, dim)``, row by row.
    """

    def __init__(
        self, in_channels: int, dim: int, norm: Norm, heads: int, layers: int, dropout: float
    ) -> None:
        super().__init__()
        self.reduce = conv_norm_relu(in_channels, dim, norm, kernel=1)
        layer = nn.TransformerEncoderLayer(dim, heads, 8 * dim, dropout, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.project = conv_norm_relu(dim, dim, norm)

    def forward(self, x: Tensor) -> Tensor:
        """Return the map of tokens that have looked around."""
        x = self.reduce(x)
        # (N, C, h, w) -> (N, h·w, C) and back
        tokens = self.layers(x.flatten(2).transpose(1, 2))
        return self.project(tokens.transpose(1, 2).unflatten(2, x.shape[-2:]))


class DilatedBranch(nn.Module):
    """Four 3x3 convolutions of different reach side by side, brought together by a 1x1 one.

    Args:
        in_channels: of the map.
        dim: channels of each and of the result.
        norm: see `SegmentationNetwork`.

    Shapes:
        input ``(N, in_channels, h, w)``, output ``(N, dim, h, w)``.
    """

    def __init__(self, in_channels: int, dim: int, norm: Norm) -> None:
        super().__init__()
        self.views = nn.ModuleList(
            conv_norm_relu(in_channels, dim, norm, dilation=d) for d in DILATIONS
        )
        self.fuse = conv_norm_relu(dim * len(DILATIONS), dim, norm, kernel=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the map of all views."""
        return self.fuse(torch.cat([view(x) for view in self.views], dim=1))


class ResidualBlock(nn.Module):
    r"""$\mathrm{ReLU}(F(x) + W x)$ with F two 3x3 convolutions and W a 1x1 one, norms after each.

    Args:
        in_channels: of the map.
        out_channels: of the result.
        norm: see `SegmentationNetwork`.
    """

    def __init__(self, in_channels: int, out_channels: int, norm: Norm) -> None:
        super().__init__()
        self.first = conv_norm_relu(in_channels, out_channels, norm)
        self.second = conv_norm(out_channels, out_channels, norm)
        self.shortcut = conv_norm(in_channels, out_channels, norm, kernel=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's map; the side stays."""
        return torch.relu(self.second(self.first(x)) + self.shortcut(x))


class DecoderStep(nn.Module):
    """Double the side, join the skip, two residual blocks.

    Args:
        in_channels: of the coarse map.
        skip_channels: of the map of twice its side.
        out_channels: of the result.
        norm: see `SegmentationNetwork`.
    """

    def __init__(self, in_channels: int, skip_channels: int, out_channels: int, norm: Norm) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            ResidualBlock(in_channels + skip_channels, out_channels, norm),
            ResidualBlock(out_channels, out_channels, norm),
        )

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Return the finer map."""
        return self.blocks(torch.cat([upsample(x), skip], dim=1))
