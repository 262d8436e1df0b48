"""Detectors in two halves: maps of an image, and a head that makes boxes of them."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from medkd_lib.models.joint_teacher import JointTeacher
from medkd_lib.models.levels import Levelled


class Target(NamedTuple):
    """What is marked in an image.

    Attributes:
        boxes: ``(M, 4)`` float, pixel edges x1, y1, x2, y2.
        classes: ``(M,)`` int64, from 1 on.
    """

    boxes: Tensor
    classes: Tensor


class Boxes(NamedTuple):
    """What a detector found in an image, the surest first.

    Attributes:
        boxes: ``(M, 4)`` float, pixel edges x1, y1, x2, y2.
        scores: ``(M,)`` within 0…1.
        classes: ``(M,)`` int64, from 1 on.
    """

    boxes: Tensor
    scores: Tensor
    classes: Tensor


class Scene(NamedTuple):
    """Maps and the images that they are of: what a head looks at.

    Attributes:
        maps: finest first, ``(N, C, h, w)`` each.
        images: ``(N, C, H, W)``.
    """

    maps: list[Tensor]
    images: Tensor

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the images."""
        return self.images.shape[-2], self.images.shape[-1]

    def split(self, counts: Sequence[int]) -> list["Scene"]:
        """Return the scenes of so many images each, as `torch.Tensor.split` does."""
        parts = zip(
            self.images.split(list(counts)), *(m.split(list(counts)) for m in self.maps),
            strict=True,
        )  # fmt: skip
        return [Scene(list(maps), images) for images, *maps in parts]


class Compared(NamedTuple):
    """A student's and a teacher's answers about the same things.

    Attributes:
        student_logits, teacher_logits: ``(K, C)``, of K proposals or pairs of queries.
        teacher_sure: ``(K,)`` bool, where the teacher sees an object rather than background.
        student_boxes, teacher_boxes: ``(B, 4)`` pixel edges, of the objects that the teacher sees.
        exclusive: whether classes exclude each other, the first being background (a softmax), or
            each is a yes or no of its own (sigmoids).
    """

    student_logits: Tensor
    teacher_logits: Tensor
    teacher_sure: Tensor
    student_boxes: Tensor
    teacher_boxes: Tensor
    exclusive: bool


class Seen(ABC):
    """A detector's answer while it is trained: what its losses need, before labels are known."""

    @abstractmethod
    def loss(self, targets: Sequence[Target]) -> Tensor:
        """Return the sum of the library's own losses, weighed as the library weighs them.

        Args:
            targets: of every image; one without boxes is background all over.
        """

    @abstractmethod
    def compared(self, told: Tensor, score: float) -> Compared:
        """Return this answer beside a frozen teacher's, of the same images.

        Args:
            told: what the teacher's `DetectionHead` returned in eval mode.
            score: from which on a teacher's box counts as an object.
        """


class DetectionHead(nn.Module, ABC):
    """Everything behind the maps: where objects may be, what they are, how large they are.

    In eval mode the answer is one tensor of candidates ``(N, P, …)``, P the same for all images:
    like any network's logits it can be kept, halved, put together and followed by a student. In
    training mode it is a `Seen`: a detector's own losses draw samples by the labels, and a network
    is not told labels when it is called. (The detectors of torchvision answer otherwise in either
    mode, too.)
    """

    @abstractmethod
    def forward(self, scene: Scene) -> Any:
        """Return candidates in eval mode, a `Seen` in training mode."""

    @abstractmethod
    def boxes(self, candidates: Tensor, size: tuple[int, int]) -> list[Boxes]:
        """Return what the library makes of candidates, image by image.

        Args:
            candidates: of eval mode.
            size: height and width of the images, in pixels.
        """


class Detector(Levelled):
    """A detector whose encoder makes the maps and whose head is everything behind them.

    As a `Levelled` it can be fused, followed and trained on several datasets like any other
    network. A dataset's own "last layer" is then the whole head: what is an object, how large and
    how frequent objects are, is what differs between datasets, and the encoder is what the method
    wants to be alike. Likewise a joint teacher gets a fresh head of its own on the fused maps. Both
    are our choice; arXiv 2605.01563 does not say, as far as we could read it.

    Args:
        encoder: images to maps, see `encode`.
        head: maps to boxes.
        level_channels: of the maps.
        in_channels: of the images.
        stride: sides of images must be multiples of it.
    """

    head: nn.Module

    def __init__(
        self, encoder: nn.Module, head: DetectionHead, level_channels: Sequence[int], *,
        in_channels: int, stride: int,
    ) -> None:  # fmt: skip
        super().__init__()
        self.encoder, self.head = encoder, head
        self._level_channels = tuple(level_channels)
        self.in_channels, self.stride = in_channels, stride

    @property
    def level_channels(self) -> tuple[int, ...]:
        """Channels of the maps that `encode` returns."""
        return self._level_channels

    def decode(self, maps: Sequence[Tensor], images: Tensor) -> Any:
        """Return the head's answer, see `DetectionHead`; before it, where it was taken out."""
        return self.head(Scene(list(maps), images))

    def check_images(self, images: Tensor) -> None:
        """Refuse images of another kind than the network was built for.

        Raises:
            ValueError: other channels, or sides that are no multiples of the stride.
        """
        if images.ndim != 4 or images.shape[1] != self.in_channels:
            raise ValueError(
                f"images: expected (N, {self.in_channels}, H, W), found {tuple(images.shape)}; "
                "build the network with the in_channels of your images"
            )
        height, width = images.shape[-2:]
        if height % self.stride or width % self.stride or 0 in (height, width):
            raise ValueError(
                f"images: expected sides that are multiples of {self.stride}, found {height} x "
                f"{width}; pad or crop the images"
            )


def head_of(network: nn.Module) -> DetectionHead:
    """Return the head of a detector, or of a joint teacher made of detectors.

    Raises:
        TypeError: there is none.
    """
    inner = network.trunk if isinstance(network, JointTeacher) else network
    head = getattr(inner, "head", None)
    if not isinstance(head, DetectionHead):
        raise TypeError(
            f"network: expected a detector or a joint teacher of detectors, found "
            f"{type(network).__name__} with the head {type(head).__name__}"
        )
    return head


@torch.no_grad()
def detect(network: nn.Module, images: Tensor, batch_size: int = 16) -> list[Boxes]:
    """Return what a detector finds in images, in eval mode, on the CPU.

    Args:
        network: a detector or a joint teacher of detectors, on any device; left in eval mode.
        images: ``(N, C, H, W)``.
        batch_size: images asked at once.
    """
    head, device = head_of(network), next(network.parameters()).device
    network.eval()
    size = (images.shape[-2], images.shape[-1])
    found: list[Boxes] = []
    for chunk in images.split(batch_size):
        candidates = cast(Tensor, network(chunk.to(device).float()))
        found += head.boxes(candidates.float(), size)
    return [Boxes(*(x.cpu() for x in one)) for one in found]
