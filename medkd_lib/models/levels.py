"""Networks in two halves: maps of an image at several levels, and what is made of them."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple, Self

from torch import Tensor, nn

# Maps, teacher by teacher and level by level.
Told = Sequence[Sequence[Tensor]]


class Levels(NamedTuple):
    """What one pass showed: the answer, and the maps that it was made of, finest first."""

    output: Any
    maps: list[Tensor]


class Levelled(nn.Module, ABC):
    """A network whose encoder may be looked at, or replaced by somebody else's maps.

    Where features of several networks are to be fused level by level, or a student is to follow
    a teacher at every level, both ask for the same four things. Nothing here knows the task: the
    answer may be logits per pixel or per image, a tensor always; or, of a detector, candidates for
    boxes, a tensor in eval mode only (see `medkd_lib.models.detector.DetectionHead`). What is asked
    of any answer is to be ``split`` by images as a tensor is, where datasets share a batch; what
    it means is the business of a task.
    """

    # Names of the submodules that only `encode` uses.
    encoder_parts: ClassVar[tuple[str, ...]] = ("encoder",)
    head: nn.Module

    @property
    @abstractmethod
    def level_channels(self) -> tuple[int, ...]:
        """Channels of the maps that `encode` returns; the last one is the bottleneck."""

    @property
    def read_levels(self) -> tuple[int, ...]:
        """Levels whose maps `decode` reads: all, where a network says nothing else."""
        return tuple(range(len(self.level_channels)))

    @abstractmethod
    def encode(self, images: Tensor) -> list[Tensor]:
        """Return the maps of all levels, finest first."""

    @abstractmethod
    def decode(self, maps: Sequence[Tensor], images: Tensor) -> Any:
        """Return the answer; ``images`` for networks that look at them once more."""

    def forward(self, images: Tensor) -> Any:
        """Return the answer."""
        return self.decode(self.encode(images), images)

    def told(self, images: Tensor) -> Told:
        """Return what never changes while this network is trained; see `fuse`."""
        return [self.encode(images)]

    def fuse(self, told: Told) -> list[Tensor]:
        """Return the maps of all levels, of what `told` returned, perhaps long ago.

        A plain network's only encoder is its own. One that looks through frozen teachers has theirs
        here, and what is trained begins behind them.
        """
        (maps,) = told
        return list(maps)

    def without_encoder(self) -> Self:
        """Delete what only `encode` uses, and return the rest, which can `decode`."""
        for name in self.encoder_parts:
            delattr(self, name)
        return self

    def without_decoder(self) -> Self:
        """Delete what `encode` does not use, and return the rest."""
        for name in [name for name, _ in self.named_children() if name not in self.encoder_parts]:
            delattr(self, name)
        return self

    def swap_head(self, head: nn.Module) -> nn.Module:
        """Put another last layer in its place, and return the old one."""
        old, self.head = self.head, head
        return old


class Whole(nn.Module):
    """Lets a wrapped network show its maps: wrappers of several GPUs see ``forward`` alone.

    Args:
        network: what is shown.
    """

    def __init__(self, network: Levelled) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Levels:
        """Return the answer and the maps."""
        maps = self.network.encode(images)
        return Levels(self.network.decode(maps, images), maps)
