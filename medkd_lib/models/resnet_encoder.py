"""The first three stages of a bottleneck ResNet, as wide and as deep as asked for."""

from collections.abc import Callable, Sequence

from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck


class ResNetEncoder(nn.Module):
    r"""Stem and three stages; the maps at a half, a quarter, an eighth and a sixteenth of the side.

    Args:
        in_channels: of the images.
        width: channels of the stem; the stages have 4, 8 and 16 times as many.
        depths: blocks of the three stages; the default is ResNet-50's.
        norm_layer: called with a number of channels.

    Attributes:
        channels: of the four maps, finest first.

    Shapes:
        input ``(N, in_channels, H, W)``, output four maps ``(N, channels[i], H/2^(i+1), …)``. Taps:
        ``relu``, ``layer1``, ``layer2``, ``layer3``.

    Source: He et al. 2016 (CVPR), from torchvision's blocks under torchvision's names: at width 64
    with three channels its ``resnet50`` file fits, less ``layer4`` and ``fc``. The initial weights
    are PyTorch's own.
    """

    def __init__(
        self,
        in_channels: int,
        width: int = 64,
        depths: Sequence[int] = (3, 4, 6),
        norm_layer: Callable[[int], nn.Module] = nn.BatchNorm2d,
    ) -> None:
        super().__init__()
        if len(depths) != 3 or min(depths) < 1:
            raise ValueError(
                f"depths: expected one block or more in each of three stages, found {tuple(depths)}"
            )

        def stage(before: int, planes: int, blocks: int, stride: int) -> nn.Sequential:
            after = planes * Bottleneck.expansion
            shortcut = nn.Sequential(
                nn.Conv2d(before, after, 1, stride, bias=False), norm_layer(after)
            )
            first = Bottleneck(before, planes, stride, shortcut, norm_layer=norm_layer)
            rest = (Bottleneck(after, planes, norm_layer=norm_layer) for _ in range(blocks - 1))
            return nn.Sequential(first, *rest)

        self.channels = (width, 4 * width, 8 * width, 16 * width)
        # No bias: the norm that follows has one.
        self.conv1 = nn.Conv2d(in_channels, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = norm_layer(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = stage(width, width, depths[0], 1)
        self.layer2 = stage(4 * width, 2 * width, depths[1], 2)
        self.layer3 = stage(8 * width, 4 * width, depths[2], 2)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the maps, finest first."""
        maps = [self.relu(self.bn1(self.conv1(images)))]
        maps.append(self.layer1(self.maxpool(maps[-1])))
        maps.append(self.layer2(maps[-1]))
        maps.append(self.layer3(maps[-1]))
        return maps
