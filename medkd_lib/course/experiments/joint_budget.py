"""Lesson 06: sizes of its networks and trainings, and how they are built."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

import torch

from medkd_lib.models.levels import Levelled
from medkd_lib.models.segmentation import Norm
from medkd_lib.models.trans_resunet import TransResUNet
from medkd_lib.models.unet import UNet

Architecture = Literal["unet", "transresunet"]


@dataclass(frozen=True)
class StageBudget:
    """Sizes of the three stages, whatever the task; everything is part of the cache key.

    Attributes:
        steps: updates of every teacher and of every student.
        source_factor: times as many updates of what learns from sources: their teachers, and the
            network for all datasets.
        batch_size: images of each dataset in an update.
        sampling: ``equal``: of each dataset as many; ``root``: as many in all, and large sets more
            often, see `root_sizes`.
        norm: ``instance``: nothing passes from one image of a batch to another, so datasets cannot
            mix their statistics.
        learning_rate: of Adam.
        kept_views: so many fixed views of each image, for every arm, about which a frozen teacher
            is asked once; 0: a fresh view, and a question, at every step. With one to six sources
            an asked update took 1.6 to 2.7 times as long as one with kept answers
            (`benchmarks/joint_sources.py`).
    """

    steps: int = 400
    source_factor: int = 1
    batch_size: int = 4
    sampling: Literal["equal", "root"] = "equal"
    norm: Norm = "instance"
    learning_rate: float = 3e-3
    kept_views: int = 4


@dataclass(frozen=True)
class Budget(StageBudget):
    """Sizes that the profile decides.

    Attributes:
        unet: widths.
        transresunet: width, and blocks of its three stages.
        share: of training sections that show something, see `Sections.with_share`.
        shift: of the views, in pixels.
        flip: probability of a mirrored view.
    """

    unet: tuple[int, ...] = (8, 16, 32, 64)
    transresunet: tuple[int, tuple[int, int, int]] = (8, (1, 1, 1))
    share: float = 0.5
    shift: int = 6
    flip: float = 0.5


RECORDED = Budget()
# Half the updates of the recorded trainings: what a reader waits for.
LESSON = replace(RECORDED, steps=200)
SMOKE = replace(RECORDED, steps=4, kept_views=1)
# Widths as published for either network; steps, rate and batch of nobody's paper.
PAPER = Budget(
    steps=20000, batch_size=8, unet=(64, 128, 256, 512, 1024), transresunet=(64, (3, 4, 6)),
    norm="batch", learning_rate=1e-4, shift=24, kept_views=0,
)  # fmt: skip
BUDGETS: Mapping[str, Budget] = MappingProxyType({"smoke": SMOKE, "lesson": LESSON, "paper": PAPER})


def network(kind: Architecture, budget: Budget, seed: int) -> Levelled:
    """Return an untrained network of one class beside background, the same for a seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if kind == "unet":
            return UNet(1, 2, budget.unet, budget.norm)
        width, depths = budget.transresunet
        return TransResUNet(1, 2, width, depths, budget.norm)
