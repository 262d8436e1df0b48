"""Fully convolutional DenseNet: every layer of a block sees all that the block has computed."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from medkd_lib.models.segmentation import Norm, SegmentationNetwork, norm_layer


class FCDenseNet(SegmentationNetwork):
    r"""Dense blocks on the way down and up, joined by transitions and skips.

    Layer $i$ of a block adds ``growth`` channels to what the block was given,

    $$x_i = H_i([x_0\,;\,x_1\,;\dots;\,x_{i-1}]),\qquad
    H = \mathrm{dropout}\circ\mathrm{conv}_{3\times3}\circ\mathrm{ReLU}\circ\mathrm{norm}.$$

    On the way down a block hands on $[x_0;\dots;x_n]$; on the way up only the new
    $[x_1;\dots;x_n]$, or the channels would add up level by level. The last block is read whole.

    Args:
        in_channels: of the images.
        classes: number of logits per pixel.
        first: channels of the first convolution.
        growth: channels that each layer adds.
        down: layers per block on the way down, full size first.
        bottleneck: layers of the block at the coarsest size.
        up: layers per block on the way up, coarsest first; as many blocks as ``down``.
        norm: see `SegmentationNetwork`.
        dropout: probability with which a layer's output channel is dropped in training.

    Shapes:
        input ``(N, in_channels, H, W)`` with sides that are multiples of 2 to the number of
        blocks, output ``(N, classes, H, W)``. Taps: ``hint_half`` and ``hint_full``, the new
        channels of the last two blocks (``growth`` x their layers, 48 and 48 by default), and
        ``head``.

    Raises:
        ValueError: ``down`` and ``up`` differ in length or have fewer than two blocks, a block
            has no layer, an unknown norm, images of another size or number of channels.

    Source: Jégou et al. 2017 (CVPR workshops); the defaults are what a public implementation calls
    FC-DenseNet57, 1,374,194 parameters for 1 -> 2 channels with either norm. CMEDL names a
    DenseFCN; that it is this one is a guess that the number of parameters supports, and its hinted
    layers are unknown to us. The published network crops sides that do not fit; ours refuses them,
    as the others of this course do. Its initial weights are PyTorch's own.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        first: int = 48,
        growth: int = 12,
        down: Sequence[int] = (4,) * 5,
        bottleneck: int = 4,
        up: Sequence[int] = (4,) * 5,
        norm: Norm = "batch",
        dropout: float = 0.2,
    ) -> None:
        if len(down) != len(up) or len(up) < 2:
            raise ValueError(
                f"down, up: expected as many blocks on the way up as on the way down, two or more, "
                f"found {len(down)} down and {len(up)} up"
            )
        if min(*down, bottleneck, *up) < 1:
            raise ValueError(
                f"down, bottleneck, up: expected one layer or more per block, found {tuple(down)}, "
                f"{bottleneck}, {tuple(up)}"
            )
        super().__init__(in_channels, 2 ** len(down), norm, (growth * up[-2], growth * up[-1]))
        self.stem = nn.Conv2d(in_channels, first, 3, padding=1)
        self.down, self.transitions_down = nn.ModuleList(), nn.ModuleList()
        channels, skips = first, []
        for layers in down:
            self.down.append(DenseBlock(channels, growth, layers, norm, dropout))
            channels += growth * layers
            skips.append(channels)
            self.transitions_down.append(_transition_down(channels, norm, dropout))
        self.bottleneck = DenseBlock(channels, growth, bottleneck, norm, dropout)
        new = growth * bottleneck
        self.transitions_up, self.up = nn.ModuleList(), nn.ModuleList()
        for layers in up:
            self.transitions_up.append(nn.ConvTranspose2d(new, new, 3, stride=2))
            channels = new + skips.pop()
            self.up.append(DenseBlock(channels, growth, layers, norm, dropout))
            new = growth * layers
        self.head = nn.Conv2d(channels + new, classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        self.check_images(images)
        x, skips = self.stem(images), []
        for block, transition in zip(self.down, self.transitions_down, strict=True):
            x = torch.cat([x, block(x)], dim=1)
            skips.append(x)
            x = transition(x)
        new = self.bottleneck(x)
        for transition, block in zip(self.transitions_up, self.up, strict=True):
            skip = skips.pop()
            # n pixels become 2n + 1: the published network cuts the last row and column.
            x = transition(new)[..., : skip.shape[-2], : skip.shape[-1]]
            x = torch.cat([x, skip], dim=1)
            new = block(x)
            if len(skips) == 1:
                new = self.hint_half(new)
        return self.head(torch.cat([x, self.hint_full(new)], dim=1))


class DenseBlock(nn.Module):
    """Layers of which each reads the block's input and all earlier layers.

    Args:
        in_channels: of the block's input.
        growth: channels that each layer adds.
        layers: their number.
        norm: see `SegmentationNetwork`.
        dropout: probability for a channel.

    Shapes:
        input ``(N, in_channels, h, w)``, output the new channels alone,
        ``(N, growth * layers, h, w)``.
    """

    def __init__(
        self, in_channels: int, growth: int, layers: int, norm: Norm, dropout: float
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(
                norm_layer(norm, in_channels + growth * i),
                nn.ReLU(inplace=True),
                nn.Conv2d(in_channels + growth * i, growth, 3, padding=1),
                nn.Dropout2d(dropout),
            )
            for i in range(layers)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return what the layers added."""
        added: list[Tensor] = []
        for layer in self.layers:
            # x_i = H_i([x_0 ; x_1 ; … ; x_{i-1}])
            added.append(layer(torch.cat([x, *added], dim=1)))
        return torch.cat(added, dim=1)


def _transition_down(channels: int, norm: Norm, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        norm_layer(norm, channels),
        nn.ReLU(inplace=True),
        nn.Conv2d(channels, channels, 1),
        nn.Dropout2d(dropout),
        nn.MaxPool2d(2),
    )
