"""What MedViT's blocks are made of: two kinds of attention, a local feed-forward network."""

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import SqueezeExcitation


class PatchEmbedding(nn.Sequential):
    """Bring a map to another width and, if asked for, half its side.

    The mean over 2 x 2 (odd sides are rounded up, an edge is averaged over what there is), a 1x1
    convolution and batch norm; where neither width nor side changes, nothing.

    Args:
        in_channels: of the map.
        out_channels: of the result.
        halve: the side.
    """

    def __init__(self, in_channels: int, out_channels: int, *, halve: bool = False) -> None:
        layers: list[nn.Module] = []
        if halve:
            layers.append(nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False))
        if halve or in_channels != out_channels:
            # No bias: the norm that follows has one.
            convolution = nn.Conv2d(in_channels, out_channels, 1, bias=False)
            layers += [convolution, nn.BatchNorm2d(out_channels)]
        super().__init__(*layers)


class ConvolutionalAttention(nn.Sequential):
    r"""MHCA: heads that look around by a 3x3 convolution of their own, mixed by a 1x1 one.

    $$y = W_P\,\mathrm{ReLU}\bigl(\mathrm{BN}([\,C_1(x_1)\,;\dots;C_k(x_k)\,])\bigr)$$

    with $x_i$ the channels of head i. No weight depends on the image: it is called attention for
    the place it takes.

    Args:
        channels: of the map and of the result, a multiple of ``head_dim``.
        head_dim: channels of a head.
    """

    def __init__(self, channels: int, head_dim: int) -> None:
        groups = channels // head_dim
        super().__init__(
            nn.Conv2d(channels, channels, 3, padding=1, groups=groups, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 1, bias=False),
        )


class LocalFeedForward(nn.Sequential):
    """LFFN: wider, a 3x3 look at every channel's neighbours, a weight per channel, back again.

    1x1 convolution, norm, hard swish; depthwise 3x3 convolution, norm, hard swish; squeeze and
    excitation through ``expansion`` values per image; 1x1 convolution, norm.

    Args:
        channels: of the map and of the result.
        expansion: width inside over ``channels``.
    """

    def __init__(self, channels: int, expansion: int) -> None:
        inside = expansion * channels
        super().__init__(
            nn.Conv2d(channels, inside, 1, bias=False),
            nn.BatchNorm2d(inside),
            nn.Hardswish(inplace=True),
            nn.Conv2d(inside, inside, 3, padding=1, groups=inside, bias=False),
            nn.BatchNorm2d(inside),
            nn.Hardswish(inplace=True),
            SqueezeExcitation(inside, expansion, scale_activation=nn.Hardsigmoid),
            nn.Conv2d(inside, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )


class EfficientAttention(nn.Module):
    r"""ESA: every position asks, and squares of positions answer.

    $$\mathrm{softmax}\Bigl(\frac{Q K^\top}{\sqrt d}\Bigr)V\,W_O,\qquad
    Q = xW_Q,\quad K = \bar xW_K,\quad V = \bar xW_V,\quad
    \bar x = \mathrm{BN}(\text{mean of } x \text{ over } r\times r)$$

    A token is a position of one image; squares at the edge are averaged over what there is of them,
    so that maps of any side pass. With r = 1 it is self-attention.

    Args:
        channels: of the map and of the result, a multiple of ``head_dim``.
        head_dim: d, channels of a head.
        reduction: r.

    Source: see `MedViT`. Its public code takes the mean over r² tokens *in a row*, which run along
    a line of the map and round its end into the next, and leaves out what does not fill up r².
    """

    def __init__(self, channels: int, head_dim: int, reduction: int) -> None:
        super().__init__()
        self.head_dim, self.reduction = head_dim, reduction
        self.query, self.key, self.value, self.project = (
            nn.Linear(channels, channels) for _ in range(4)
        )
        self.norm = nn.BatchNorm2d(channels) if reduction > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Return the map of what the positions were told."""
        told = x
        if self.reduction > 1:
            told = F.avg_pool2d(x, self.reduction, ceil_mode=True, count_include_pad=False)
        asks, answers = (m.flatten(2).transpose(1, 2) for m in (x, self.norm(told)))
        heads = F.scaled_dot_product_attention(
            self._heads(self.query(asks)),
            self._heads(self.key(answers)),
            self._heads(self.value(answers)),
        )
        tokens = self.project(heads.transpose(1, 2).flatten(2))
        return tokens.transpose(1, 2).unflatten(2, x.shape[-2:])

    def _heads(self, tokens: Tensor) -> Tensor:
        """Return ``(N, tokens, C)`` as ``(N, heads, tokens, head_dim)``."""
        return tokens.unflatten(2, (-1, self.head_dim)).transpose(1, 2)
