"""Lesson 04: sizes of its networks and trainings, and how they are built."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Literal

import torch

from medkd_lib.data.section_views import section_views
from medkd_lib.methods.cmedl import CMEDL
from medkd_lib.methods.cmedl_parts import STUDENTS, Hints, Student, Weights
from medkd_lib.methods.cycle_translator import CycleTranslator
from medkd_lib.methods.latent_translator import LatentTranslator
from medkd_lib.methods.translate import Translator
from medkd_lib.models.fc_densenet import FCDenseNet
from medkd_lib.models.mrrn import MRRN
from medkd_lib.models.patch_discriminator import patch_discriminator
from medkd_lib.models.resnet_generator import ResnetGenerator
from medkd_lib.models.segmentation import SegmentationNetwork
from medkd_lib.models.shared_latent import SharedLatentTranslator
from medkd_lib.models.unet import UNet

Architecture = Literal["unet", "densefcn", "mrrn"]
Translation = Literal["cyclegan", "latent"]


@dataclass(frozen=True)
class Budget:
    """Sizes that the profile decides; everything here is part of the cache key.

    Attributes:
        steps: updates of all networks.
        batch_size: sections of each modality in an update.
        unet: widths of teacher and students.
        densefcn: first width, growth, layers of a block, blocks.
        mrrn: width and levels.
        generator: width and residual blocks.
        judge: width and halvings of the discriminators.
        up: the generator's way up, see `ResnetGenerator`.
        skips: whether the generator has skip connections, see `ResnetGenerator`.
        dropout: of the generator.
        learning_rate: of teacher and students.
        gan_rate: of generators and discriminators.
        slices: at most so many sections of a scan in training; 0: all.
        shift: of the views, in pixels.
        flip: probability of a mirrored view; a tumour may lie on either side.
        norm: of teacher and students; ``instance`` keeps real and translated images apart.
    """

    steps: int = 600
    batch_size: int = 2
    unet: tuple[int, ...] = (8, 16, 32, 64)
    densefcn: tuple[int, int, int, int] = (8, 4, 2, 3)
    mrrn: tuple[int, int] = (6, 3)
    generator: tuple[int, int] = (8, 2)
    judge: tuple[int, int] = (16, 2)
    up: Literal["transposed", "resize"] = "resize"
    skips: bool = True
    dropout: float = 0.0
    learning_rate: float = 3e-3
    gan_rate: float = 1e-3
    slices: int = 0
    shift: int = 8
    flip: float = 0.5
    norm: Literal["batch", "instance"] = "instance"


RECORDED = Budget()
# Half the updates of the recorded trainings: what a reader waits for.
LESSON = replace(RECORDED, steps=300)
SMOKE = replace(RECORDED, steps=8)
# The published layouts at 256² pixels; rates are those of the public code of the same group.
PAPER = Budget(
    steps=40000, unet=(64, 128, 256, 512, 512), densefcn=(48, 12, 4, 5), mrrn=(32, 4),
    generator=(64, 9), judge=(64, 3), up="transposed", skips=False, dropout=0.5,
    learning_rate=2e-4, gan_rate=2e-4, shift=16, norm="batch",
)  # fmt: skip
BUDGETS: Mapping[str, Budget] = MappingProxyType({"smoke": SMOKE, "lesson": LESSON, "paper": PAPER})


def network(kind: Architecture, budget: Budget, channels: int = 1) -> SegmentationNetwork:
    """Return an untrained segmentation network of one class beside background."""
    if kind == "unet":
        return UNet(channels, 2, budget.unet, budget.norm)
    if kind == "densefcn":
        first, growth, layers, blocks = budget.densefcn
        return FCDenseNet(
            channels, 2, first, growth, (layers,) * blocks, layers, (layers,) * blocks,
            norm=budget.norm,
        )  # fmt: skip
    width, levels = budget.mrrn
    return MRRN(channels, 2, width, levels, norm=budget.norm)


def translator(kind: Translation, budget: Budget, weights: Weights, seed: int) -> Translator:
    """Return an untrained translator of either kind."""
    width, blocks = budget.generator
    judges = (patch_discriminator(*budget.judge), patch_discriminator(*budget.judge))
    if kind == "cyclegan":
        there, back = (
            ResnetGenerator(
                width=width,
                blocks=blocks,
                up=budget.up,
                dropout=budget.dropout,
                skips=budget.skips,
            )
            for _ in range(2)
        )
        return CycleTranslator(
            (there, back), judges, learning_rate=budget.gan_rate, steps=budget.steps,
            weights=weights, seed=seed,
        )  # fmt: skip
    shared = SharedLatentTranslator(
        ("source", "target"), width=width, private_blocks=max(1, blocks - 1), up=budget.up
    )
    return LatentTranslator(
        shared, judges, learning_rate=budget.gan_rate, steps=budget.steps, weights=weights,
        seed=seed,
    )  # fmt: skip


def method(
    budget: Budget,
    *,
    students: Mapping[str, Student] = STUDENTS,
    architecture: Architecture = "unet",
    translation: Translation = "cyclegan",
    hints: Hints,
    weights: Weights,
    seed: int,
) -> CMEDL:
    """Return the method with all its untrained networks.

    Every student begins with the same weights (one with two channels cannot, and begins with its
    own), so that they differ by what they are given.
    """
    made: dict[str, tuple[SegmentationNetwork, Student]] = {}
    for name, plan in students.items():
        torch.manual_seed(seed + 1)
        made[name] = network(architecture, budget, 2 if plan.concatenated else 1), plan
    torch.manual_seed(seed + 2)
    teacher = network(architecture, budget)
    torch.manual_seed(seed)
    return CMEDL(
        translator(translation, budget, weights, seed), teacher, made, hints=hints, weights=weights,
        learning_rate=budget.learning_rate, steps=budget.steps,
        views=partial(section_views, shift=budget.shift, flip=budget.flip),
    )  # fmt: skip
