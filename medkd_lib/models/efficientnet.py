"""EfficientNet in two halves: torchvision's network, any input channels, as wide as asked for."""

from collections.abc import Sequence
from typing import ClassVar

import torchvision.models
from torch import Tensor, nn
from torchvision.models.efficientnet import MBConvConfig

from medkd_lib.models.levels import Levelled
from medkd_lib.models.read_out import Read, ReadOut

# Expansion, kernel, stride, channels before and after, blocks; B0's stages after the stem.
STAGES = (
    (1, 3, 1, 32, 16, 1),
    (6, 3, 2, 16, 24, 2),
    (6, 5, 2, 24, 40, 2),
    (6, 3, 2, 40, 80, 3),
    (6, 5, 1, 80, 112, 3),
    (6, 5, 2, 112, 192, 4),
    (6, 3, 1, 192, 320, 1),
)
# The last stage at each side from a quarter to a 32nd of the image's, counted with the stem as 0.
LEVELS = (2, 3, 5, 7)
# Width and depth of a laptop's, as shares of B0's.
NARROW_B0 = (0.25, 0.3)


class EfficientNet(Levelled):
    r"""Stem, seven stages of inverted residuals, a 1x1 convolution, a linear head on the mean.

    $$z = W\,\overline{\mathrm{SiLU}(\mathrm{BN}(W_8 * m_4))} + b$$

    The map before the last convolution is the bottleneck here: it stands at the end of what looks
    at places, and has a quarter of the channels. B0 has 5,288,548 parameters for three channels and
    1000 classes, as torchvision's.

    Args:
        in_channels: of the images; torchvision's own first convolution takes 3.
        classes: number of logits.
        width: channels as a share of B0's, to a multiple of 8.
        depth: blocks of a stage as a share of B0's, rounded up.
        read: what the answer is made of, see `ReadOut`; ``last`` is published, a joint teacher's
            decoder needs ``all``.
        dropout: before the head, in training.
        path_dropout: of the last block; those before it have less.

    Shapes:
        input ``(N, in_channels, H, W)`` of any side, output ``(N, classes)``. Taps: ``features.2``,
        ``features.3``, ``features.5`` and ``features.7`` (24, 40, 112 and 320 channels at B0, a
        quarter to a 32nd of the side, rounded up), ``read_out`` and ``head``.

    Raises:
        ValueError: images of another number of channels.

    Source: Tan & Le 2019 (ICML, arXiv 1905.11946), table 1, with torchvision's blocks, names and
    initial weights, but for the head's: torchvision draws them within one over the square root of
    the number of *classes*, and a network of two classes would begin with answers it is sure of.
    Weights that the user brings: `load_trunk`. It is cited by Ceausescu et al. (arXiv 2605.01563);
    which EfficientNet, and what for, is unknown to us.
    """

    encoder_parts: ClassVar[tuple[str, ...]] = ("features",)

    def __init__(
        self, in_channels: int, classes: int, width: float = 1.0, depth: float = 1.0, *,
        read: Read = "last", dropout: float = 0.2, path_dropout: float = 0.2,
    ) -> None:  # fmt: skip
        super().__init__()
        self.in_channels = in_channels
        stages = [MBConvConfig(*s, width_mult=width, depth_mult=depth) for s in STAGES]
        whole = torchvision.models.EfficientNet(stages, dropout, path_dropout, classes)
        first = whole.features[0][0]
        if in_channels != first.in_channels:
            whole.features[0][0] = nn.Conv2d(in_channels, first.out_channels, 3, 2, 1, bias=False)
            # as torchvision initialises it
            nn.init.kaiming_normal_(whole.features[0][0].weight, mode="fan_out")
        self.features, tail = whole.features[:-1], whole.features[-1]
        self._level_channels = tuple(stages[level - 1].out_channels for level in LEVELS)
        self.read_out = ReadOut(
            self._level_channels, tail, 4 * stages[-1].out_channels, read, dropout
        )
        self.head = nn.Linear(self.read_out.width, classes)

    @property
    def level_channels(self) -> tuple[int, ...]:
        """Channels of the maps at a quarter, an eighth, a 16th and a 32nd of the side."""
        return self._level_channels

    @property
    def read_levels(self) -> tuple[int, ...]:
        """Levels that the answer is made of."""
        return self.read_out.levels

    def encode(self, images: Tensor) -> list[Tensor]:
        """Return the maps of all levels."""
        if images.ndim != 4 or images.shape[1] != self.in_channels:
            raise ValueError(
                f"images: expected (N, {self.in_channels}, H, W), found {tuple(images.shape)}; "
                "build the network with the in_channels of your images"
            )
        x, maps = images, []
        for number, stage in enumerate(self.features):
            x = stage(x)
            if number in LEVELS:
                maps.append(x)
        return maps

    def decode(self, maps: Sequence[Tensor], images: Tensor) -> Tensor:
        """Return the logits; nothing looks at the images again."""
        return self.head(self.read_out(maps))
