"""MedViT: a classifier of convolutions and attention, as wide and as deep as asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from medkd_lib.models.levels import Levelled
from medkd_lib.models.medvit_blocks import ConvolutionBlock, TransformerBlock
from medkd_lib.models.read_out import Read, ReadOut


@dataclass(frozen=True)
class Stage:
    """Blocks on maps of one size: groups of convolution blocks, each closed by a transformer block.

    Attributes:
        convolutions: blocks of a group that are convolutions.
        width: their channels.
        transformer: channels of the block that closes a group; 0: there is none.
        groups: how often.
        reduction: see `EfficientAttention`.
    """

    convolutions: int
    width: int
    transformer: int
    groups: int = 1
    reduction: int = 1

    @property
    def blocks(self) -> int:
        """Their number."""
        return self.groups * (self.convolutions + (self.transformer > 0))

    @property
    def channels(self) -> int:
        """Channels of the stage's map."""
        return self.transformer or self.width


@dataclass(frozen=True)
class MedViTSize:
    """Depth and width of a MedViT.

    Attributes:
        stem: channels of its first three convolutions; the fourth, which halves, keeps the last.
        stages: the first one works at a quarter of the side, every further one at half of that.
        head_dim: channels of a head, in both kinds of attention.
        path_dropout: of the last block; those before it have less, the first has none.
    """

    stem: tuple[int, int, int]
    stages: tuple[Stage, ...]
    head_dim: int = 32
    path_dropout: float = 0.1


def _published(groups: int, path_dropout: float) -> MedViTSize:
    stages = (
        Stage(3, 96, 0),
        Stage(3, 192, 256, reduction=4),
        Stage(4, 384, 512, groups, reduction=2),
        Stage(2, 768, 1024),
    )
    return MedViTSize((64, 32, 64), stages, path_dropout=path_dropout)


SMALL, BASE, LARGE = _published(2, 0.1), _published(4, 0.2), _published(6, 0.2)
# The same four stages for a laptop.
NARROW = MedViTSize(
    (8, 8, 16),
    (Stage(1, 16, 0), Stage(1, 24, 32, reduction=4), Stage(1, 48, 64, reduction=2),
     Stage(1, 96, 128)),
    head_dim=8,
    path_dropout=0.0,
)  # fmt: skip


class MedViT(Levelled):
    r"""Convolutional stem, four stages, a linear head on the mean over positions.

    $$m_l = S_l(m_{l-1}),\quad m_0 = \mathrm{stem}(x),\qquad
    z = W\,\overline{\mathrm{BN}(m_4)} + b$$

    =======  ================  ==============================  ===========
    size     blocks per stage  ours (3 channels, 4 classes)    public code
    =======  ================  ==============================  ===========
    small    3, 4, 10, 3       31,140,540                      31.14 M
    base     3, 4, 20, 3       44,410,072                      44.41 M
    large    3, 4, 30, 3       57,679,604                      57.68 M
    =======  ================  ==============================  ===========

    Args:
        in_channels: of the images.
        classes: number of logits.
        size: depth and width; `SMALL`, `BASE` and `LARGE` are published, `NARROW` is a laptop's.
        read: what the answer is made of, see `ReadOut`; ``last`` is published, a joint teacher's
            decoder needs ``all``.
        dropout: before the head, in training; none is published.

    Shapes:
        input ``(N, in_channels, H, W)`` of any side, output ``(N, classes)``. Taps: ``stages.0`` …
        ``stages.3``, at `SMALL` and 224 pixels 96 channels of 56², 256 of 28², 512 of 14² and 1024
        of 7²; ``read_out`` (the vector before the head) and ``head``. Grad-CAM looks at a stage;
        the last one has 2 x 2 places at 64 pixels.

    Raises:
        ValueError: images of another number of channels, widths that do not split into heads.

    Source: Manzari et al. 2023 (Comput. Biol. Med. 157, arXiv 2302.09462), of which we could read
    the abstract and the labels of its figures. Sizes that these leave open (widths, expansions,
    heads of 32 channels, the stem) were read in its public code; ours is written anew. Where we
    depart from that code, by our choice and without changing a count: keys are means over squares
    (see `EfficientAttention`), the feed-forward path is added once (see `ConvolutionBlock`), the
    initial weights are PyTorch's own. Its "patch momentum changer" is an augmentation of features
    in training and no part of the network. Which size Ceausescu et al. (arXiv 2605.01563) took is
    unknown to us.
    """

    encoder_parts: ClassVar[tuple[str, ...]] = ("stem", "stages")

    def __init__(
        self, in_channels: int, classes: int, size: MedViTSize = SMALL, *, read: Read = "last",
        dropout: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.in_channels = in_channels
        a, b, c = size.stem
        self.stem = nn.Sequential(
            *_conv_norm_relu(in_channels, a, 2), *_conv_norm_relu(a, b, 1),
            *_conv_norm_relu(b, c, 1), *_conv_norm_relu(c, c, 2),
        )  # fmt: skip
        last = sum(stage.blocks for stage in size.stages) - 1
        rates = [size.path_dropout * k / max(last, 1) for k in range(last + 1)]
        self.stages, before = nn.ModuleList(), c
        for number, stage in enumerate(size.stages):
            mine, rates = rates[: stage.blocks], rates[stage.blocks :]
            self.stages.append(_blocks(before, stage, size.head_dim, mine, halve=number > 0))
            before = stage.channels
        self._level_channels = tuple(stage.channels for stage in size.stages)
        self.read_out = ReadOut(self._level_channels, nn.BatchNorm2d(before), before, read, dropout)
        self.head = nn.Linear(self.read_out.width, classes)

    @property
    def level_channels(self) -> tuple[int, ...]:
        """Channels of the stages' maps."""
        return self._level_channels

    @property
    def read_levels(self) -> tuple[int, ...]:
        """Levels that the answer is made of."""
        return self.read_out.levels

    def encode(self, images: Tensor) -> list[Tensor]:
        """Return the stages' maps, at 1/4, 1/8, 1/16 and 1/32 of the side."""
        if images.ndim != 4 or images.shape[1] != self.in_channels:
            raise ValueError(
                f"images: expected (N, {self.in_channels}, H, W), found {tuple(images.shape)}; "
                "build the network with the in_channels of your images"
            )
        maps = [self.stem(images)]
        for stage in self.stages:
            # m_l = S_l(m_{l-1})
            maps.append(stage(maps[-1]))
        return maps[1:]

    def decode(self, maps: Sequence[Tensor], images: Tensor) -> Tensor:
        """Return the logits; nothing looks at the images again."""
        return self.head(self.read_out(maps))


def _conv_norm_relu(in_channels: int, out_channels: int, stride: int) -> list[nn.Module]:
    return [
        nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    ]


def _blocks(
    before: int, stage: Stage, head_dim: int, rates: Sequence[float], *, halve: bool
) -> nn.Sequential:
    """Return a stage's blocks; the first one halves the side where that is asked for."""
    blocks: list[nn.Module] = []
    for _ in range(stage.groups):
        for _ in range(stage.convolutions):
            blocks.append(ConvolutionBlock(
                before, stage.width, head_dim, halve=halve and not blocks,
                path_dropout=rates[len(blocks)],
            ))  # fmt: skip
            before = stage.width
        if stage.transformer:
            blocks.append(TransformerBlock(
                before, stage.transformer, head_dim, stage.reduction, halve=halve and not blocks,
                path_dropout=rates[len(blocks)],
            ))  # fmt: skip
            before = stage.transformer
    return nn.Sequential(*blocks)
