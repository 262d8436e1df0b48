"""The blocks of image-to-image networks: halve the map, work on it, double it again.

The norm is instance norm without scale or shift, which takes a constant per channel away; the
bias of the convolution before it does nothing and is there because the published counts hold it.
"""

from typing import Literal, get_args

import torch.nn.functional as F
from torch import Tensor, nn

Up = Literal["transposed", "resize"]


def stem(in_channels: int, width: int) -> nn.Sequential:
    """Return a 7x7 convolution, norm and ReLU at full size."""
    return nn.Sequential(
        nn.ReflectionPad2d(3),
        nn.Conv2d(in_channels, width, 7),
        nn.InstanceNorm2d(width),
        nn.ReLU(inplace=True),
    )


def image_head(width: int, out_channels: int) -> nn.Sequential:
    """Return a 7x7 convolution and tanh: images between -1 and 1."""
    return nn.Sequential(nn.ReflectionPad2d(3), nn.Conv2d(width, out_channels, 7), nn.Tanh())


def down_block(in_channels: int, out_channels: int) -> nn.Sequential:
    """Return a 3x3 convolution of stride 2, norm and ReLU; a side of n becomes n/2, rounded up."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, stride=2, padding=1),
        nn.InstanceNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


class ResidualBlock(nn.Module):
    r"""Two convolutions whose result is added to the input.

    $$y = x + \mathrm{IN}(C_2(\mathrm{drop}(\mathrm{ReLU}(\mathrm{IN}(C_1(x))))))$$

    Args:
        channels: of the map, in and out.
        dropout: probability with which an element is dropped in training.

    Shapes:
        input and output ``(N, channels, h, w)`` with sides of 2 or more (reflection).
    """

    def __init__(self, channels: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            nn.InstanceNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            nn.InstanceNorm2d(channels),
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Return the map of the same shape."""
        # y = x + branch(x)
        return maps + self.branch(maps)


class UpBlock(nn.Module):
    """Double the side of a map, then norm and ReLU.

    ``transposed`` is a transposed convolution of stride 2 with a 3x3 kernel. Neighbouring output
    pixels are then made by one, two or four of the kernel's taps in turn, which shows as a
    checkerboard. ``resize`` repeats every pixel and convolves, so all pixels are made alike; both
    have the same number of weights.

    Args:
        in_channels: of the coarse map.
        out_channels: of the fine map.
        up: see above.

    Shapes:
        input ``(N, in_channels, h, w)``, output ``(N, out_channels, 2h, 2w)``, or of the ``size``
        asked for, each side of it 2h - 1 or 2h.

    Raises:
        ValueError: ``up`` is neither.

    Source: resize-convolution from Odena et al. 2016 (Distill, "Deconvolution and checkerboard
    artifacts").
    """

    def __init__(self, in_channels: int, out_channels: int, up: Up) -> None:
        super().__init__()
        if up not in get_args(Up):
            raise ValueError(f"up: expected one of {get_args(Up)}, found {up!r}")
        self.up = up
        if up == "transposed":
            self.transposed = nn.ConvTranspose2d(in_channels, out_channels, 3, 2, padding=1)
        else:
            self.convolution = nn.Sequential(
                nn.ReflectionPad2d(1), nn.Conv2d(in_channels, out_channels, 3)
            )
        self.finish = nn.Sequential(nn.InstanceNorm2d(out_channels), nn.ReLU(inplace=True))

    def forward(self, maps: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        """Return the finer map."""
        height, width = size or (2 * maps.shape[-2], 2 * maps.shape[-1])
        if self.up == "transposed":
            return self.finish(self.transposed(maps, output_size=[height, width]))
        doubled = F.interpolate(maps, scale_factor=2.0, mode="nearest")
        # Cut, not squeezed: coarse pixel i stays where the stride took it from, at 2i.
        return self.finish(self.convolution(doubled[..., :height, :width]))


def draw_weights(network: nn.Module, std: float = 0.02) -> None:
    r"""Draw every convolution's weights from $N(0, \mathrm{std}^2)$ and set its bias to zero.

    Source: Zhu et al. 2017 (ICCV, arXiv 1703.10593), section 7.1; zero biases as in its public
    code.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
