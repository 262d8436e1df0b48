"""Lesson 05: sizes of its networks and trainings, and how they are built."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from torch import nn

from medkd_lib.models.cbam3d import Attention
from medkd_lib.models.fused_classifier import Branch, FusedClassifier, Pool
from medkd_lib.models.segresnet_encoder import SegResNetEncoder
from medkd_lib.models.swin_encoder import SwinEncoder

Encoder = Literal["segresnet", "swin"]


@dataclass(frozen=True)
class Budget:
    """Sizes that the profile decides; everything here is part of the cache key.

    Attributes:
        steps: updates of a teacher.
        student_steps: updates of a student.
        batch_size: boxes of an update.
        views: places of the box, and doses, of each patient in training.
        filters: of the first level of `SegResNetEncoder`, teachers' and student's.
        blocks: residual blocks of its levels. With the stem of 2 a single level keeps voxels of
            12 mm; at 24 mm a mass of 30 mm is one voxel, half of it liver, and a line through its
            mean CT ranks grades by .62 instead of .75.
        stem_stride: of its first convolution.
        teacher_encoder: ``swin`` at paper size, as drawn for REACT-KD.
        channels: of the fused map.
        kernel: of CBAM's convolution over places. At this learning rate 7, of 686 weights, ended
            two of eighteen pilot trainings with one answer for everybody; 3 none of eight.
        dropout: of pooled features.
        pool: see `FusedClassifier`.
        learning_rate: of Adam.
    """

    steps: int = 150
    student_steps: int = 150
    batch_size: int = 8
    views: int = 4
    filters: int = 8
    blocks: tuple[int, ...] = (2,)
    stem_stride: int = 2
    teacher_encoder: Encoder = "segresnet"
    channels: int = 16
    kernel: int = 3
    dropout: float = 0.0
    pool: Pool = "roi"
    learning_rate: float = 3e-3


LESSON = Budget()
SMOKE = replace(LESSON, steps=6, student_steps=6, views=1)
# As drawn: Swin teachers, a SegResNet student; T, α and learning rate of nobody's paper.
PAPER = Budget(
    steps=20000, student_steps=20000, batch_size=2, views=1, blocks=(1, 2, 2, 4), stem_stride=1,
    teacher_encoder="swin", channels=64, kernel=7, dropout=0.3, learning_rate=1e-4,
)  # fmt: skip
# Sets whose boxes say where to pool.
OUTLINED = ("react_kd_private_cohort", "hcc_tace_seg")
BUDGETS: Mapping[str, Budget] = MappingProxyType({"smoke": SMOKE, "lesson": LESSON, "paper": PAPER})


def budget_for(dataset: str, budget: Budget) -> Budget:
    """Return a budget for a set: where nobody outlines the tumour, the whole box is pooled."""
    return budget if dataset in OUTLINED else replace(budget, pool="box")


def encoder(budget: Budget, channels: int, kind: Encoder) -> nn.Module:
    """Return an untrained encoder of volumes of so many channels."""
    if kind == "swin":
        return SwinEncoder(channels, checkpoint=True)
    return SegResNetEncoder(
        channels, budget.filters, budget.blocks, stem_stride=budget.stem_stride,
        groups=min(8, budget.filters),
    )  # fmt: skip


def classifier(
    budget: Budget, branches: Mapping[str, Sequence[str]], classes: int, *,
    attention: Attention = "shared", kind: Encoder = "segresnet",
) -> FusedClassifier:  # fmt: skip
    """Return an untrained classifier.

    Args:
        budget: sizes.
        branches: name → the volumes that it reads.
        classes: number of logits.
        attention: between branches.
        kind: of all encoders.
    """
    made = {n: Branch(tuple(r), encoder(budget, len(r), kind)) for n, r in branches.items()}
    return FusedClassifier(
        made, classes, budget.channels, attention=attention, kernel=budget.kernel,
        dropout=budget.dropout, pool=budget.pool,
    )  # fmt: skip
