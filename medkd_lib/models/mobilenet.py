"""The student of the ``paper`` profile: torchvision's MobileNetV3-small, any input channels."""

import torchvision.models
from torch import nn

# The last map before the mean: 576 channels, a 32nd of the image's side.
LAST_MAP = "features.12"


def mobilenet_v3_small(classes: int, in_channels: int) -> torchvision.models.MobileNetV3:
    """Return MobileNetV3-small with random weights; 1.52 million parameters for four classes.

    Its batch norm has torchvision's momentum of 0.01: running statistics need several hundred
    updates to follow, so judge the network in eval mode only after as many.

    Args:
        classes: number of logits.
        in_channels: of the images; torchvision's own first convolution takes 3.

    Shapes:
        input ``(N, in_channels, H, W)``, output ``(N, classes)``. Taps: `LAST_MAP`
        ``(N, 576, H/32, W/32)`` (sides rounded up), ``features.11`` is the last inverted residual
        stage ``(N, 96, H/32, W/32)``.

    Source: Howard et al. 2019, table 2; torchvision's module layout.
    """
    network = torchvision.models.mobilenet_v3_small(weights=None, num_classes=classes)
    first = network.features[0][0]
    network.features[0][0] = nn.Conv2d(in_channels, first.out_channels, 3, 2, 1, bias=False)
    # as torchvision initialises it
    nn.init.kaiming_normal_(network.features[0][0].weight, mode="fan_out")
    return network
