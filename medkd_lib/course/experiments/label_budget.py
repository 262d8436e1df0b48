"""Lesson 07, classes: sizes of its networks and trainings, and how they are built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal, get_args

import torch

from medkd_lib.course.experiments.joint_budget import StageBudget
from medkd_lib.models.efficientnet import NARROW_B0, EfficientNet
from medkd_lib.models.levels import Levelled
from medkd_lib.models.medvit import NARROW, SMALL, MedViT, MedViTSize
from medkd_lib.models.read_out import Read
from medkd_lib.models.segmentation import Norm

Classifier = Literal["medvit", "efficientnet"]


@dataclass(frozen=True)
class LabelBudget(StageBudget):
    """Sizes that the profile decides.

    Attributes:
        size: pixels of a side.
        medvit: depth and width.
        efficientnet: width and depth, as shares of B0's.
        path_dropout: of EfficientNet; MedViT's is part of its size.
        efficientnet_rate: its learning rate; ``learning_rate`` is MedViT's.
        norm: of fusers; a mean over positions behind an instance norm would say nothing.
    """

    batch_size: int = 16
    norm: Norm = "batch"
    learning_rate: float = 1e-3
    size: int = 64
    medvit: MedViTSize = NARROW
    efficientnet: tuple[float, float] = NARROW_B0
    path_dropout: float = 0.0
    efficientnet_rate: float = 1e-2

    def of(self, kind: Classifier) -> LabelBudget:
        """Return the budget with a network's own learning rate."""
        _known(kind)
        if kind == "medvit":
            return self
        return replace(self, learning_rate=self.efficientnet_rate)


RECORDED = LabelBudget(steps=300)
# Half the updates of the recorded trainings: of films of twin seed 1 whose class tells nothing of
# their source (subtle, 60 patients, training seeds 11 and 12) MedViT alone had an AUC of .82 and
# .86 with all of them, .78 and .78 with half.
LESSON = replace(RECORDED, steps=150)
SMOKE = replace(RECORDED, steps=4, kept_views=1)
# Small as published, B0 as published; steps, rate and batch of nobody's paper.
PAPER = LabelBudget(
    steps=20000, batch_size=32, learning_rate=1e-4, kept_views=0, size=224, medvit=SMALL,
    efficientnet=(1.0, 1.0), path_dropout=0.2, efficientnet_rate=1e-4,
)  # fmt: skip
BUDGETS: Mapping[str, LabelBudget] = MappingProxyType(
    {"smoke": SMOKE, "lesson": LESSON, "paper": PAPER}
)


def classifier(
    kind: Classifier, classes: int, budget: LabelBudget, seed: int, *, read: Read = "last"
) -> Levelled:
    """Return an untrained network for grey images, the same for a seed.

    Args:
        kind: which.
        classes: number of logits.
        budget: of its size.
        seed: of its weights.
        read: see `ReadOut`; what fuses teachers needs ``all``.
    """
    _known(kind)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if kind == "medvit":
            return MedViT(1, classes, budget.medvit, read=read)
        return EfficientNet(
            1, classes, *budget.efficientnet, read=read, path_dropout=budget.path_dropout
        )


def _known(kind: Classifier) -> None:
    if kind not in get_args(Classifier):
        raise ValueError(f"architecture: expected one of {get_args(Classifier)}, found {kind!r}")
