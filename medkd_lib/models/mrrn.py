"""The multiple resolution residually connected network (MRRN) in its incremental form."""

from collections.abc import Iterator
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medkd_lib.models.mrrn_blocks import FRRU, ResidualUnit
from medkd_lib.models.segmentation import Norm, SegmentationNetwork, conv_norm_relu, upsample

Variant = Literal["clean", "published"]


class MRRN(SegmentationNetwork):
    r"""One pooled stream goes down and up; streams at every finer resolution are kept alongside.

    The pooled stream $p$ at level $k$ has side $H/2^k$ and $2^k w$ channels. Stream $r_j$ is what
    level $j-1$ found, at its side $H/2^{j-1}$ with its $2^{j-1}w$ channels. On its way down and
    again on its way up, $p$ visits at level $k$ the streams

    $$r_1,\; r_k,\; r_{k-1},\dots,\; r_2,\; r_1 \qquad (k=1:\; r_1,\, r_1,\, r_1),$$

    reads each and adds to it (`FRRU`). At the end $p$ joins $r_1$ at full size. A network of four
    levels so has 15 units on the way down and 10 on the way up.

    ``variant="published"`` is the layout of the public code, 38,916,418 parameters for 1 -> 2
    channels. Its decoder drops a tensor: $p$ is up-sampled from level 2 and then not used, level 1
    starts from stream $r_2$ instead, so the way up has a gap that only the streams bridge. And
    two units write to streams that nobody reads again: their 164,224 weights never get a gradient.
    ``variant="clean"`` lets level 1 start from the up-sampled $p$ (36,864 parameters more at the
    default width); then nobody reads what level 2 wrote to $r_2$ either, and all three unread
    writers are left out (172,480 less). That makes 38,780,802 parameters.

    Args:
        in_channels: of the images.
        classes: number of logits per pixel.
        width: $w$, channels at full size.
        levels: number of poolings, two or more.
        variant: see above.
        norm: see `SegmentationNetwork`.
        dropout: probability with which a unit does not see a stream's channel in training.

    Shapes:
        input ``(N, in_channels, H, W)`` with sides that are multiples of $2^{levels}$, output
        ``(N, classes, H, W)``. Taps: ``hint_half`` ($p$ after level 1, 2w channels),
        ``hint_full`` (after the last residual unit, w channels) and ``head``; the fusion of $p$
        with $r_1$, another possible "last layer" at full size, is ``fuse``.

    Raises:
        ValueError: an unknown variant or norm, fewer than two levels, images of another size or
            number of channels.

    Source: Jiang et al. 2019 (IEEE TMI); layout as in the public code of MRRN-DS (prostate MR,
    2023) from the same group, without its second output. Another public variant (thoracic organs)
    keeps the encoder's maps as the decoder's input instead. Which one CMEDL used, and the layers it
    hinted, are unknown to us; the number of parameters points to this one.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        width: int = 32,
        levels: int = 4,
        variant: Variant = "clean",
        norm: Norm = "batch",
        dropout: float = 0.5,
    ) -> None:
        if variant not in get_args(Variant):
            raise ValueError(f"variant: expected one of {get_args(Variant)}, found {variant!r}")
        if levels < 2:
            raise ValueError(
                f"levels: expected two or more, found {levels}; the two hint places need a decoder"
            )
        super().__init__(in_channels, 2**levels, norm, (2 * width, width))
        self.levels, self.variant = levels, variant

        def units(level: int, start: int, *, last_visit: bool) -> nn.ModuleList:
            """Return the units of one level, whose pooled stream starts with ``start`` channels."""
            made = nn.ModuleList()
            for stream in streams_at(level):
                # After the last visit to level k, the levels above read r_2 … r_{k-1} and the
                # fusion reads r_1: nobody reads r_k.
                unread = last_visit and stream == level > 1
                made.append(
                    FRRU(
                        start,
                        width * 2 ** (stream - 1),
                        width * 2**level,
                        2 ** (level - stream + 1),
                        norm,
                        dropout,
                        writes=variant == "published" or not unread,
                    )
                )
                start = width * 2**level
            return made

        self.stem = nn.Sequential(
            conv_norm_relu(in_channels, width, norm), *_residual_units(width, norm)
        )
        self.first_stream = nn.Sequential(nn.Conv2d(width, width, 1), nn.ReLU(inplace=True))
        self.encoder = nn.ModuleList(
            units(level, width * 2 ** (level - 1), last_visit=level == levels)
            for level in range(1, levels + 1)
        )
        self.decoder = nn.ModuleList(
            units(level, width * 2 ** (level if self._drops(level) else level + 1), last_visit=True)
            for level in range(levels - 1, 0, -1)
        )
        self.fuse = conv_norm_relu(3 * width, width, norm)
        self.tail = nn.Sequential(*_residual_units(width, norm))
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        self.check_images(images)
        pooled = self.stem(images)
        streams = {1: self.first_stream(pooled)}
        for level, units in enumerate(self.encoder, start=1):
            pooled = _visit(units, level, F.max_pool2d(pooled, 2), streams)
            streams[level + 1] = pooled
        for level, units in zip(range(self.levels - 1, 0, -1), self.decoder, strict=True):
            start = streams[level + 1] if self._drops(level) else upsample(pooled)
            pooled = _visit(units, level, start, streams)
        pooled = self.hint_half(pooled)
        fused = self.fuse(torch.cat([streams[1], upsample(pooled)], dim=1))
        return self.head(self.hint_full(self.tail(fused)))

    def _drops(self, level: int) -> bool:
        """Whether the way up to this level starts from a stream and drops the pooled one."""
        return self.variant == "published" and level == 1


def streams_at(level: int) -> list[int]:
    """Return the numbers of the streams that a level visits, in order; 1 is full size."""
    return [1, 1, 1] if level == 1 else [1, *range(level, 1, -1), 1]


def _visit(units: nn.Module, level: int, pooled: Tensor, streams: dict[int, Tensor]) -> Tensor:
    """Return the pooled stream after one level; the streams are replaced by what it added."""
    for unit, stream in zip(units.children(), streams_at(level), strict=True):
        pooled, streams[stream] = unit(pooled, streams[stream])
    return pooled


def _residual_units(width: int, norm: Norm) -> Iterator[ResidualUnit]:
    return (ResidualUnit(width, norm) for _ in range(3))
