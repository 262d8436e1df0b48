"""Lesson 07, boxes: sizes of its detectors and trainings, and how they are built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal, get_args

import torch

from medkd_lib.course.experiments.joint_budget import StageBudget
from medkd_lib.models.detector import Detector
from medkd_lib.models.faster_rcnn import resnet50_faster_rcnn, small_faster_rcnn
from medkd_lib.models.rf_detr import published_rf_detr, rf_detr_from, small_rf_detr
from medkd_lib.models.segmentation import Norm

Architecture = Literal["faster_rcnn", "rf_detr"]


@dataclass(frozen=True)
class BoxBudget(StageBudget):
    """Sizes that the profile decides.

    Attributes:
        size: pixels of a side.
        shift: of the views, in pixels.
        flip: probability of a mirrored view.
        kept_views: 0: a training looks at fewer images than there are slices, so asking a frozen
            teacher about every slice beforehand would be the longer way.
        norm: of the small Faster R-CNN and of fusers. Batch norm found more discs than instance
            norm (.57 against .48); where sets share a batch it learns their mixture.
        published: the published detectors, for sides that they were made for.
        rf_detr_rate, rf_detr_batch: of RF-DETR, which hardly learns from four images at a time;
            ``learning_rate`` and ``batch_size`` are Faster R-CNN's. On drawn discs (100 images of
            96 pixels, 400 steps) they had a mAP@.5 of .34 and .57; all other rates tried had less.
    """

    batch_size: int = 4
    kept_views: int = 0
    norm: Norm = "batch"
    learning_rate: float = 2e-3
    size: int = 96
    shift: int = 4
    flip: float = 0.5
    published: bool = False
    rf_detr_rate: float = 1e-3
    rf_detr_batch: int = 8

    def of(self, kind: Architecture) -> BoxBudget:
        """Return the budget with a detector's own learning rate and batch."""
        _known(kind)
        if kind == "faster_rcnn":
            return self
        return replace(self, learning_rate=self.rf_detr_rate, batch_size=self.rf_detr_batch)


RECORDED = BoxBudget(steps=400)
# Half the updates of the recorded trainings.
LESSON = replace(RECORDED, steps=200)
SMOKE = replace(RECORDED, steps=3)
# Sides as published for RF-DETR's nano; steps, rates and batch of nobody's paper.
PAPER = BoxBudget(
    steps=20000, batch_size=8, learning_rate=1e-4, size=384, shift=16,
    published=True, rf_detr_rate=1e-4,
)  # fmt: skip
BUDGETS: Mapping[str, BoxBudget] = MappingProxyType(
    {"smoke": SMOKE, "lesson": LESSON, "paper": PAPER}
)


def detector(
    kind: Architecture, budget: BoxBudget, seed: int, weights: Path | None = None
) -> Detector:
    """Return a detector of one class on grey images, the same for a seed.

    Args:
        kind: which.
        budget: of its size.
        seed: of what starts at random.
        weights: a file that a published one starts from: torchvision's ``fasterrcnn_resnet50_fpn``,
            or that in a folder of `rf_detr_from`; None: everything starts at random.

    Raises:
        ValueError: an unknown kind, weights for a small detector, or a file that does not fit.
        FileNotFoundError: no such file.
    """
    _known(kind)
    if weights and not budget.published:
        raise ValueError(
            f"weights {weights}: expected none, for those of published detectors fit no small one; "
            "take the profile paper"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if kind == "faster_rcnn":
            if budget.published:
                return resnet50_faster_rcnn(1, 1, weights)
            return small_faster_rcnn(1, 1, norm=budget.norm)
        if weights:
            return rf_detr_from(weights.parent, 1, 1)
        if budget.published:
            return published_rf_detr("nano", 1, 1)
        return small_rf_detr(1, 1, budget.size)


def _known(kind: Architecture) -> None:
    if kind not in get_args(Architecture):
        raise ValueError(f"architecture: expected one of {get_args(Architecture)}, found {kind!r}")
