"""The Swin Transformer that REACT-KD draws as its teachers' encoder, from MONAI's parts."""

from collections.abc import Sequence
from typing import cast

from monai.networks.nets.swin_unetr import SwinTransformer
from torch import Tensor, nn


class SwinEncoder(nn.Module):
    """Four stages of shifted-window attention; the map of the last one.

    Args:
        in_channels: of the volumes.
        width: of the first stage; every further stage has twice as many channels.
        depths: blocks of the four stages.
        heads: of the four stages.
        window: voxels of a window's side.
        checkpoint: compute every block again on the way back instead of keeping what it computed;
            the result is the same. At 64 × 224 × 224 voxels attention fills tens of gigabytes.

    Attributes:
        channels: of the result.

    Shapes:
        input ``(B, in_channels, D, H, W)``, output ``(B, 8 width, D / 16, H / 16, W / 16)``,
        rounded up.

    Source: Liu et al. 2021; sizes as in REACT-KD's figure of its encoder (arXiv 2508.02104):
    2, 2, 6, 2 blocks of width 48, 96, 192, 384 at 1/2 to 1/16. Its released code takes MONAI's
    Swin UNETR with 2, 2, 2, 2 blocks, and the 768 channels at 1/32 after them.
    """

    def __init__(
        self, in_channels: int, width: int = 48, depths: Sequence[int] = (2, 2, 6, 2),
        heads: Sequence[int] = (3, 6, 12, 24), window: int = 7, checkpoint: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.swin = SwinTransformer(
            in_channels,
            width,
            (window,) * 3,
            (2, 2, 2),
            tuple(depths),
            tuple(heads),
            use_checkpoint=checkpoint,
        )
        # MONAI merges patches after every stage, the last one included; it is drawn without.
        setattr(self.swin.layers4[0], "downsample", None)  # noqa: B010
        self.channels = 8 * width

    def forward(self, volumes: Tensor) -> Tensor:
        """Return the map of the last stage."""
        return cast(Tensor, self.swin(volumes)[-1])
