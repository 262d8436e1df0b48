"""The encoder half of MONAI's SegResNet."""

from collections.abc import Sequence
from typing import cast

from monai.networks.nets import SegResNet
from torch import Tensor, nn


class SegResNetEncoder(nn.Module):
    """SegResNet's first convolution and its levels; the decoder is not kept.

    Args:
        in_channels: of the volumes.
        filters: channels of the first level; every further level has twice as many.
        blocks: residual blocks of each level.
        stem_stride: of the first convolution. 1 is SegResNet's; 2 halves every axis before the
            first level, which takes an eighth of the time.
        groups: of the group norms; must divide ``filters``.

    Attributes:
        channels: of the result.

    Shapes:
        input ``(B, in_channels, D, H, W)``; output ``(B, channels, d, h, w)`` with every axis
        divided by ``stem_stride`` · 2^(levels - 1), rounded up.

    Source: Myronenko 2018; MONAI's `SegResNet.encode`.
    """

    def __init__(
        self, in_channels: int, filters: int = 8, blocks: Sequence[int] = (1, 2, 2, 4), *,
        stem_stride: int = 1, groups: int = 8,
    ) -> None:  # fmt: skip
        super().__init__()
        whole = SegResNet(
            init_filters=filters, in_channels=in_channels, blocks_down=tuple(blocks),
            blocks_up=(1,) * (len(blocks) - 1), norm=("GROUP", {"num_groups": groups}),
        )  # fmt: skip
        self.stem = whole.convInit
        cast(nn.Conv3d, self.stem.conv).stride = (stem_stride,) * 3
        self.levels = whole.down_layers
        self.channels = filters * 2 ** (len(blocks) - 1)

    def forward(self, volumes: Tensor) -> Tensor:
        """Return the map of the last level."""
        features = self.stem(volumes)
        for level in self.levels:
            features = level(features)
        return cast(Tensor, features)
