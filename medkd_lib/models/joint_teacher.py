"""The joint teacher: frozen teachers' maps, fused level by level, under a decoder of its own."""

from collections.abc import Sequence
from typing import Any, ClassVar, Self, cast

import torch
from torch import Tensor, nn

from medkd_lib.models.levels import Levelled, Told
from medkd_lib.models.segmentation import Norm, norm_layer
from medkd_lib.models.standardise import RunningStandardise


class Fuser(nn.Module):
    r"""One level: bring the maps of all teachers together by a 1x1 convolution.

    $$F_l=\mathrm{GELU}\bigl(\mathrm{norm}(W_l*[\,f_l^{t}\,;f_l^{s_1};\dots;f_l^{s_m}])\bigr)$$

    Args:
        channels: of every teacher's map at this level.
        out_channels: of the fused map.
        norm: as `SegmentationNetwork`.
        standardise: bring every teacher's channels to mean 0 and standard deviation 1 first.

    Shapes:
        input one map ``(N, channels[i], h, w)`` per teacher, output ``(N, out_channels, h, w)``.
    """

    def __init__(
        self, channels: Sequence[int], out_channels: int, norm: Norm, *, standardise: bool
    ) -> None:
        super().__init__()
        self.channels = tuple(channels)
        self.standards = nn.ModuleList(
            RunningStandardise(c) if standardise else nn.Identity() for c in channels
        )
        # No bias: the norm that follows has one.
        self.mix = nn.Conv2d(sum(channels), out_channels, 1, bias=False)
        self.rest = nn.Sequential(norm_layer(norm, out_channels), nn.GELU())

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Return the fused map."""
        seen = [standard(x) for standard, x in zip(self.standards, maps, strict=True)]
        return self.rest(self.mix(torch.cat(seen, dim=1)))

    def shares(self) -> list[float]:
        r"""Return every teacher's part of the weights, $\lVert W^{(k)}\rVert_F$ over their sum.

        What a share means depends on how loud the teacher's map is; with ``standardise`` all are
        equally loud.
        """
        parts = self.mix.weight.detach().split(self.channels, dim=1)
        norms = torch.stack([part.norm() for part in parts])
        return [float(x) for x in norms / norms.sum()]


class JointTeacher(Levelled):
    """All teachers look at an image; fusers and a fresh decoder make one answer of what they saw.

    The teachers are frozen for good: no gradient, eval mode whatever ``train()`` is called with.
    What is trained are the fusers and the decoder.

    Args:
        teachers: of one layout; maps of a level have one size. They are kept, not copied, and
            lose their decoders: nobody asks for their answers.
        trunk: an untrained network; its decoder and head are used, its encoder is deleted. The
            fused maps have the widths of *its* levels, so a student of this layout needs no
            projector.
        norm: of the fusers.
        standardise: see `Fuser`.

    Raises:
        ValueError: no teacher, teachers with other numbers of levels than the trunk, or a trunk
            that does not read all of its levels, so that some fusers would never learn.

    Source: fusion "at corresponding levels" of encoder and bottleneck is in the captions of
    Ceausescu et al. (arXiv 2605.01563); the operator is not, nor what is frozen. Ours follows the
    code of its ancestor (Iordache et al., arXiv 2410.22184), which fuses at one level: adaptors,
    concatenation, 1x1 convolution, GELU, teachers frozen.
    """

    encoder_parts: ClassVar[tuple[str, ...]] = ("teachers", "fusers")

    def __init__(
        self, teachers: Sequence[Levelled], trunk: Levelled, norm: Norm, *,
        standardise: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        widths = [t.level_channels for t in teachers]
        if not widths or any(len(w) != len(trunk.level_channels) for w in widths):
            raise ValueError(
                f"teachers: expected one or more of {len(trunk.level_channels)} levels, as the "
                f"trunk has, found {[len(w) for w in widths]}; build them of one layout"
            )
        if trunk.read_levels != tuple(range(len(trunk.level_channels))):
            raise ValueError(
                f"trunk: expected one whose answer is made of all {len(trunk.level_channels)} "
                f"levels, found one that reads {trunk.read_levels}; the fusers of the others would "
                "stay random: build a classifier with read='all'"
            )
        self._level_channels = trunk.level_channels
        self.trunk = trunk.without_encoder()
        self.teachers = nn.ModuleList(
            t.without_decoder().requires_grad_(False).eval() for t in teachers
        )
        self.fusers = nn.ModuleList(
            Fuser(channels, out, norm, standardise=standardise)
            for *channels, out in zip(*widths, self._level_channels, strict=True)
        )

    @property
    def level_channels(self) -> tuple[int, ...]:
        """Channels of the fused maps."""
        return self._level_channels

    def train(self, mode: bool = True) -> Self:
        """Set the mode of what is trained; teachers keep the statistics of their own training."""
        super().train(mode)
        self.teachers.eval()
        return self

    @torch.no_grad()
    def told(self, images: Tensor) -> Told:
        """Return the maps of every teacher, teacher by teacher and then level by level."""
        return [cast(Levelled, teacher).encode(images) for teacher in self.teachers]

    def fuse(self, told: Told) -> list[Tensor]:
        """Return one map per level, of maps such as `told` returns, perhaps kept from earlier."""
        return [fuser(maps) for fuser, *maps in zip(self.fusers, *told, strict=True)]

    def encode(self, images: Tensor) -> list[Tensor]:
        """Return the fused maps."""
        return self.fuse(self.told(images))

    def decode(self, maps: Sequence[Tensor], images: Tensor) -> Any:
        """Return the trunk's answer."""
        return self.trunk.decode(maps, images)

    def swap_head(self, head: nn.Module) -> nn.Module:
        """Put another last layer in the trunk's place."""
        return self.trunk.swap_head(head)

    def shares(self) -> list[list[float]]:
        """Return every teacher's part of the fusers' weights, level by level; see `Fuser`."""
        return [cast(Fuser, fuser).shares() for fuser in self.fusers]
