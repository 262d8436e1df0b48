"""The switches of joint-teacher distillation, and what it asks of a task."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar, runtime_checkable

from torch import Tensor

from medkd_lib.data.batches import Batch

Alignment = Literal["reversal", "coral", "mmd"]
# Which levels of a network with L of them the student follows.
LevelChoice = Literal["none", "bottleneck", "encoder", "all"]
FeatureDistance = Literal["l2", "cosine", "chopra"]
# Whose maps the student follows: the fused ones, or those of every teacher at once.
Followed = Literal["joint", "each"]
# What a network says while it is trained: logits, or a detector's `Seen`.
Answer = TypeVar("Answer", contravariant=True)


class Task(Protocol[Answer]):
    """What a task adds to networks that know none: its label loss and its logits' loss.

    Both are means over the batch; what a batch holds beside ``images`` is the task's business.
    """

    def label_loss(self, output: Answer, batch: Batch) -> Tensor:
        """Return the loss of an answer against the labels."""

    def logit_loss(
        self, student: Answer, teacher: Tensor, batch: Batch, temperature: float
    ) -> Tensor:
        """Return the loss of a student's answer against a teacher's, a constant."""

    def contrast(self, student_map: Tensor, teacher_map: Tensor, batch: Batch) -> Tensor:
        """Return Chopra's loss of two maps, with places of other classes as impostors."""


@runtime_checkable
class Placed(Protocol):
    """A task of which some places of a map matter and others do not, as in detection.

    Maps are compared everywhere where a task has no say in it.
    """

    def map_distance(
        self, student_map: Tensor, teacher_map: Tensor, batch: Batch, kind: FeatureDistance
    ) -> Tensor:
        """Return the distance of two maps where it matters, image by image, ``(N,)``."""


@dataclass(frozen=True)
class Domain:
    r"""How an encoder is made to hide which dataset an image is from.

    Attributes:
        kind: gradient reversal under a classifier, or Deep CORAL or MMD between pooled features.
        weight: λ at full strength, of what the *encoder* hears; a classifier always learns at full
            strength, so weight 0 shows what it finds where nobody hides anything.
        gamma: of the schedule, see `reversal_strength`; it rises for all kinds.
        level: of the maps, -1 the bottleneck.

    That the mechanism of arXiv 2605.01563 is gradient reversal is an inference from what it cites;
    where it is attached, how strong it is and how it rises are unknown to us.
    """

    kind: Alignment = "reversal"
    weight: float = 1.0
    gamma: float = 10.0
    level: int = -1


@dataclass(frozen=True)
class Weights:
    r"""Weights and switches of the student's loss.

    $$\mathcal L = \alpha\,\mathcal L_{logits}(T)
    + \beta\sum_{l}d\bigl(h^S_l, F_l\bigr) + \gamma\,\mathcal L_y$$

    Attributes:
        logits: α.
        features: β.
        labels: γ.
        temperature: T.
        levels: which l.
        distance: d.
        follow: whose maps.
        standardise: bring the followed channels to mean 0 and standard deviation 1 first.
        dropping: with ``each``, the probability of dropping a teacher that is not the worst
            matched, image by image.

    The ancestor of the method (arXiv 2410.22184) has (.6, .2, .2), T = 2 and the mean square of raw
    features; what the method itself has is unknown to us. (.3, .1, .6) was chosen on throw-away
    pilots of ours, where (.6, .2, .2) with a plain mean over pixels let a student answer nothing.
    """

    logits: float = 0.3
    features: float = 0.1
    labels: float = 0.6
    temperature: float = 2.0
    levels: LevelChoice = "all"
    distance: FeatureDistance = "l2"
    follow: Followed = "joint"
    standardise: bool = False
    dropping: float = 0.0

    def followed_levels(self, count: int) -> tuple[int, ...]:
        """Return which of so many levels are followed; none where features weigh nothing."""
        if not self.features:
            return ()
        chosen: Mapping[LevelChoice, tuple[int, ...]] = {
            "none": (),
            "bottleneck": (count - 1,),
            "encoder": tuple(range(count - 1)),
            "all": tuple(range(count)),
        }
        return chosen[self.levels]


LABELS_ALONE = Weights(logits=0.0, features=0.0, labels=1.0)
