"""A small convolutional classifier; teacher and student differ in width and depth only."""

from collections import OrderedDict

from torch import Tensor, nn


class SmallCNN(nn.Module):
    r"""Stages of (3x3 convolution, batch norm, ReLU), each halving the image; mean; linear head.

    The first convolution of a stage has stride 2: on a CPU that is several times faster than
    convolving at full size and pooling.

    Args:
        classes: number of logits.
        widths: channels per stage; each stage halves the side length.
        convs: convolutions per stage.
        in_channels: 1 for grey images, 3 for RGB.

    Shapes:
        input ``(N, in_channels, H, W)``, output ``(N, classes)``. Taps: ``stages.stage1`` … and
        ``head``.
    """

    def __init__(
        self, classes: int, widths: tuple[int, ...], convs: int = 1, in_channels: int = 1
    ) -> None:
        super().__init__()
        stages: OrderedDict[str, nn.Module] = OrderedDict()
        before = in_channels
        for number, width in enumerate(widths, start=1):
            layers: list[nn.Module] = []
            for stride in [2] + [1] * (convs - 1):
                # No bias: the batch norm that follows has one.
                layers += [
                    nn.Conv2d(before, width, 3, stride, padding=1, bias=False),
                    nn.BatchNorm2d(width),
                    nn.ReLU(inplace=True),
                ]
                before = width
            stages[f"stage{number}"] = nn.Sequential(*layers)
        self.stages = nn.Sequential(stages)
        self.head = nn.Linear(before, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        return self.head(self.stages(images).mean(dim=(2, 3)))


def parameter_count(model: nn.Module) -> int:
    """Return the number of trainable and frozen parameters."""
    return sum(p.numel() for p in model.parameters())
