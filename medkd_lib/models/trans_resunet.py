"""TransResU-Net: a ResNet, attention and dilated convolutions side by side, residual decoder."""

from collections.abc import Sequence
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from medkd_lib.models.levels import Levelled
from medkd_lib.models.resnet_encoder import ResNetEncoder
from medkd_lib.models.segmentation import Norm, SegmentationNetwork, norm_layer
from medkd_lib.models.trans_resunet_blocks import DecoderStep, DilatedBranch, TransformerBranch


class TransResUNet(Levelled, SegmentationNetwork):
    r"""Four maps down, two branches at the coarsest, four residual steps up; the image last.

    $$b = [\,\mathrm{transformer}(e_4)\,;\,\mathrm{dilated}(e_4)\,],\qquad
    d_k = R_k([\,\mathrm{up}(d_{k+1})\,;\,e_{k-1}\,]),\quad d_5 = b,\ e_0 = x$$

    with $e_1\dots e_4$ the maps of the ResNet at $H/2\dots H/16$.

    =====================  ==============  =====================================
    part                   width 64        published (3 channels, 1 class)
    =====================  ==============  =====================================
    encoder                8,543,296       8.54 M, ResNet-50 less its last stage
    transformer branch     3,483,648       3.48 M
    dilated branch         9,703,168       9.70 M
    decoder and head       5,866,913       5.87 M
    all                    27,597,025      27.60 M
    =====================  ==============  =====================================

    The public code hands ``(batch, channels, h·w)`` to a transformer that expects the sequence
    first: there attention runs over the *images of the batch*, only one image size fits, and what
    is found in an image depends on which others it is tested with. Here tokens are positions of one
    image; the number of parameters is the same.

    Args:
        in_channels: of the images.
        classes: number of logits per pixel.
        width: of the ResNet's stem, even, and four times it a multiple of ``heads``. 64 is
            published, 8 is a laptop's.
        depths: blocks of the ResNet's stages.
        norm: see `SegmentationNetwork`.
        heads: of the attention.
        layers: of the transformer.
        dropout: inside the transformer, in training.

    Shapes:
        input ``(N, in_channels, H, W)`` with sides that are multiples of 16, output
        ``(N, classes, H, W)``. Taps: ``encoder.relu``, ``encoder.layer1``, ``encoder.layer2``,
        ``encoder.layer3`` (w, 4w, 8w and 16w channels), ``bottleneck`` (8w), ``hint_half`` (w),
        ``hint_full`` (w/2) and ``head``.

    Raises:
        ValueError: a width that cannot be halved or split among the heads, depths that are not
            three, an unknown norm, images of another size or number of channels.

    Source: Tomar et al. 2022 (arXiv 2206.08985), written from its description. What that leaves
    open (the hidden layer of the transformer, two blocks a step, biases) is the choice under which
    every part has its published number of parameters. Its encoder starts from ImageNet's weights;
    ours from random ones, unless the user loads them.
    """

    encoder_parts: ClassVar[tuple[str, ...]] = ("encoder", "transformer", "dilated", "bottleneck")

    def __init__(
        self,
        in_channels: int,
        classes: int,
        width: int = 64,
        depths: Sequence[int] = (3, 4, 6),
        norm: Norm = "batch",
        *,
        heads: int = 8,
        layers: int = 2,
        dropout: float = 0.1,
    ) -> None:
        if width < 2 or width % 2 or 4 * width % heads:
            raise ValueError(
                f"width: expected an even number whose fourfold splits among {heads} heads, found "
                f"{width}"
            )
        super().__init__(in_channels, 16, norm, (width, width // 2))
        self.encoder = ResNetEncoder(in_channels, width, depths, partial(norm_layer, norm))
        coarsest, dim = self.encoder.channels[-1], 4 * width
        self.transformer = TransformerBranch(coarsest, dim, norm, heads, layers, dropout)
        self.dilated = DilatedBranch(coarsest, dim, norm)
        self.bottleneck = nn.Identity()
        self._level_channels = (*self.encoder.channels[:-1], 2 * dim)
        below = (2 * dim, 4 * width, 2 * width, width)
        skips = (*reversed(self.encoder.channels[:-1]), in_channels)
        above = (4 * width, 2 * width, width, width // 2)
        self.decoder = nn.ModuleList(
            DecoderStep(*channels, norm) for channels in zip(below, skips, above, strict=True)
        )
        self.head = nn.Conv2d(width // 2, classes, 1)

    @property
    def level_channels(self) -> tuple[int, ...]:
        """Channels of the three maps that are skipped to the decoder, and of the bottleneck."""
        return self._level_channels

    def encode(self, images: Tensor) -> list[Tensor]:
        r"""Return $e_1, e_2, e_3$ and the bottleneck b."""
        self.check_images(images)
        *maps, coarsest = self.encoder(images)
        # b = [transformer(e_4) ; dilated(e_4)]
        both = torch.cat([self.transformer(coarsest), self.dilated(coarsest)], dim=1)
        return [*maps, self.bottleneck(both)]

    def decode(self, maps: Sequence[Tensor], images: Tensor) -> Tensor:
        """Return the logits; the last skip are the images themselves."""
        *skips, x = [images, *maps]
        for step in self.decoder:
            # d_k = R_k([up(d_{k+1}) ; e_{k-1}])
            x = step(x, skips.pop())
            if len(skips) == 1:
                x = self.hint_half(x)
        return self.head(self.hint_full(x))
