"""The convolutional branch: torchvision's VGG trunk, full (VGG19) or narrow, any input channels."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision.models.vgg import cfgs, make_layers

Layer = int | str

# VGG19's convolutions; "M" halves the map. The fifth pooling is left off: its map is averaged next.
VGG19: tuple[Layer, ...] = tuple(cfgs["E"][:-1])
# The same idea for a laptop: an eighth of the width, four stages instead of five.
NARROW: tuple[Layer, ...] = (8, "M", 16, "M", 32, 32, "M", 64, 64)


class VggTrunk(nn.Module):
    """Convolutions with batch norm as in VGG, without the fully connected head.

    VGG19's head holds 123.6 of its 143.7 million parameters and fixes the input size; a mean over
    the last map replaces it.

    Args:
        in_channels: of the images.
        layers: widths of the convolutions, ``"M"`` for pooling.

    Shapes:
        input ``(N, in_channels, H, W)``, output ``(N, width, H/s, W/s)`` with s = 2 to the number
        of poolings (16 for `VGG19`, 8 for `NARROW`).

    Source: Simonyan and Zisserman 2015, configuration E; batch norm as in torchvision. The initial
    weights are PyTorch's own (torchvision draws Kaiming's): batch norm takes their scale away.
    """

    def __init__(self, in_channels: int, layers: Sequence[Layer] = VGG19) -> None:
        super().__init__()
        self.features = make_layers(list(layers), batch_norm=True)
        first = self.features[0]
        self.features[0] = nn.Conv2d(in_channels, first.out_channels, 3, padding=1)
        self.width = int(next(w for w in reversed(layers) if w != "M"))
        self.stride = 2 ** list(layers).count("M")

    def forward(self, images: Tensor) -> Tensor:
        """Return the last map."""
        # On a CPU, convolutions over channels-last maps take about two thirds of the time.
        return self.features(images.contiguous(memory_format=torch.channels_last))
