"""A classifier with one branch for each group of modalities, and one map that they share.

Teacher and student are both of this kind; they differ by their branches.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medkd_lib.models.cbam3d import ALL, CBAM3D, Attention, attention_of

Volumes = Mapping[str, Tensor]
Pool = Literal["box", "roi"]
# Name of the volume that says where to pool.
ROI = "roi"


@dataclass(frozen=True)
class Branch:
    """One encoder and what it reads.

    Attributes:
        reads: names of the volumes that become its channels, in this order.
        encoder: ``(B, C, D, H, W)`` → ``(B, encoder.channels, d, h, w)``.
    """

    reads: tuple[str, ...]
    encoder: nn.Module


class Answer(NamedTuple):
    """What a classifier says of a batch: logits ``(B, classes)`` and its fused map."""

    logits: Tensor
    fused: Tensor


class FusedClassifier(nn.Module):
    r"""Encode every branch, weigh by attention, take the mean of those present, pool, classify.

    $$F = \frac1{\lvert m\rvert}\sum_{b\in m}\mathrm{CBAM}_b\big(\varphi_b(E_b(x_b))\big),\qquad
    z = W\,\overline F + c$$

    with the branches m that a patient has, a 1×1×1 convolution φ to the common width, and the mean
    of F over places (`Pool`). The mean over *present* branches keeps F of one size, whoever is
    missing.

    Args:
        branches: name → `Branch`; all maps on one grid.
        classes: number of logits.
        channels: of the fused map.
        attention: between branches, see `attention_of`.
        kernel: of the attention's convolution over places.
        dropout: of pooled features.
        pool: ``box`` is global average pooling; ``roi`` the mean over the volume `ROI`, 0 or 1,
            brought to the map's grid by area: where a tumour fills half a per cent of the box, the
            mean over the box hardly hears of it. Who has no such voxel is pooled over the box.

    Raises:
        ValueError: no branch.

    Source: REACT-KD's figure of its pipeline (arXiv 2508.02104): encoders, 1×1×1 convolutions,
    addition and sigmoid, one fused map, global average pooling. Its released code has neither the
    common map nor the pooling. Addition over what is present, and CBAM before it, are our reading
    of "shared CBAM-3D … to maintain consistent attention across modalities".
    """

    def __init__(
        self, branches: Mapping[str, Branch], classes: int, channels: int = 32, *,
        attention: Attention = "shared", kernel: int = 7, dropout: float = 0.0, pool: Pool = "box",
    ) -> None:  # fmt: skip
        super().__init__()
        if not branches:
            raise ValueError("FusedClassifier: expected one branch or more, found none")
        self.reads = {name: branch.reads for name, branch in branches.items()}
        self.encoders = nn.ModuleDict({name: b.encoder for name, b in branches.items()})
        self.narrow = nn.ModuleDict(
            {n: nn.Conv3d(int(b.encoder.channels), channels, 1) for n, b in branches.items()}  # type: ignore[arg-type]
        )
        self.attention = attention_of(attention, tuple(branches), channels, kernel)
        # Does nothing; a place for `tap` and Grad-CAM to find the fused map.
        self.map = nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(channels, classes)
        self.pool: Pool = pool

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the branches, in the order of ``present``."""
        return tuple(self.reads)

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of all volumes that are read, each once; the one to pool over is the last."""
        reads = [x for reads in self.reads.values() for x in reads]
        return tuple(dict.fromkeys([*reads, *([ROI] if self.pool == "roi" else [])]))

    def branch_map(self, name: str, volumes: Volumes) -> Tensor:
        """Return one branch's map after its attention, ``(B, channels, d, h, w)``.

        Raises:
            KeyError: a volume that the branch reads is not there.
        """
        missing = [x for x in self.reads[name] if x not in volumes]
        if missing:
            raise KeyError(
                f"branch {name!r}: expected volumes {self.reads[name]}, found no {missing}; leave "
                "the branch out with `only`, or say who lacks it with `present`"
            )
        seen = torch.cat([volumes[x] for x in self.reads[name]], dim=1)
        features: Tensor = self.narrow[name](self.encoders[name](seen))
        attention = self.attention_to(name)
        return features if attention is None else attention(features)

    def attention_to(self, name: str) -> CBAM3D | None:
        """Return the attention that a branch's map passes through, if any."""
        for key in (name, ALL):
            if key in self.attention:
                return cast(CBAM3D, self.attention[key])
        return None

    def fused_map(self, volumes: Volumes, present: Tensor | None = None) -> Tensor:
        """Return F, ``(B, channels, d, h, w)``.

        Args:
            volumes: name → ``(B, c, D, H, W)``. What nobody of the batch has may be missing.
            present: ``(B, branches)`` bool; None: everybody has every branch.

        Raises:
            ValueError: a patient without any branch, or a mask of another shape.
        """
        if present is None:
            maps = [self.branch_map(name, volumes) for name in self.names]
            return torch.stack(maps).mean(dim=0)
        if present.shape[1:] != (len(self.names),) or not bool(present.any(dim=1).all()):
            raise ValueError(
                f"present: expected (B, {len(self.names)}) for {self.names} with a branch or more "
                f"for every patient, found {present.tolist()}"
            )
        total: Tensor | None = None
        for name, here in zip(self.names, present.T, strict=True):
            rows = here.nonzero().flatten()
            if not len(rows):
                continue
            # Who lacks a branch is not sent through it: no made-up zeros, and no time spent.
            mine = {x: volumes[x][rows] for x in self.reads[name] if x in volumes}
            part = self.branch_map(name, mine)
            if total is None:
                total = part.new_zeros((len(present), *part.shape[1:]))
            total = total.index_add(0, rows, part)
        assert total is not None  # everybody has a branch
        return total / present.sum(dim=1).to(total)[:, None, None, None, None]

    def forward(self, volumes: Volumes, present: Tensor | None = None) -> Answer:
        """Return logits and fused map, see `fused_map`."""
        fused = self.map(self.fused_map(volumes, present))
        return Answer(self.head(self.dropout(self.pooled(fused, volumes))), fused)

    def pooled(self, fused: Tensor, volumes: Volumes) -> Tensor:
        """Return the mean of the fused map over the box, or over the region of interest.

        Raises:
            KeyError: no such volume.
        """
        if self.pool == "box":
            return fused.mean(dim=(2, 3, 4))
        if ROI not in volumes:
            raise KeyError(f"pool 'roi': expected a volume {ROI!r}, found {sorted(volumes)}")
        inside = F.interpolate(volumes[ROI], fused.shape[2:], mode="area").to(fused)
        size = inside.sum(dim=(2, 3, 4), keepdim=True)
        inside = torch.where(size > 0, inside, torch.ones_like(inside))
        return (fused * inside).sum(dim=(2, 3, 4)) / inside.sum(dim=(2, 3, 4))

    def only(self, names: Sequence[str]) -> Self:
        """Return the same network with some of its branches; weights are shared, not copied.

        Raises:
            KeyError: an unknown branch.
        """
        unknown = [n for n in names if n not in self.reads]
        if unknown or not names:
            raise KeyError(f"only: expected some of the branches {self.names}, found {names}")
        part = type(self).__new__(type(self))
        nn.Module.__init__(part)
        part.reads = {n: self.reads[n] for n in names}
        for of_branches in ("encoders", "narrow", "attention"):
            mine = getattr(self, of_branches)
            kept = [n for n in (*names, ALL) if n in mine]
            setattr(part, of_branches, nn.ModuleDict({n: mine[n] for n in kept}))
        part.map, part.dropout, part.head = self.map, self.dropout, self.head
        part.pool = self.pool
        return part.train(self.training)


class AtBedside(nn.Module):
    """A classifier as it is used: one tensor of channels in, logits out.

    Args:
        network: whose branches read volumes of one channel each.

    Attributes:
        reads: names of the channels, in their order.
    """

    def __init__(self, network: FusedClassifier) -> None:
        super().__init__()
        self.network = network
        self.reads = network.needs

    def forward(self, channels: Tensor) -> Tensor:
        """Return the logits of ``(B, len(reads), D, H, W)``.

        Raises:
            ValueError: another number of channels.
        """
        if channels.ndim != 5 or channels.shape[1] != len(self.reads):
            raise ValueError(
                f"AtBedside: expected (B, {len(self.reads)}, D, H, W) with the channels "
                f"{self.reads}, found {tuple(channels.shape)}"
            )
        answer: Answer = self.network(
            dict(zip(self.reads, channels.chunk(len(self.reads), dim=1), strict=True))
        )
        return answer.logits
