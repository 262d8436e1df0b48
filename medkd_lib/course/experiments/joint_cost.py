"""Lesson 06: what one more source costs, in time and memory, while the student is trained."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import nn

from medkd_lib.course.experiments.joint_budget import Architecture, Budget, network
from medkd_lib.data.batches import Batch
from medkd_lib.methods.joint import JointStudent
from medkd_lib.methods.joint_parts import Weights
from medkd_lib.methods.joint_segmentation import Segmentation
from medkd_lib.methods.told import ask_all
from medkd_lib.models.joint_teacher import JointTeacher


@dataclass(frozen=True)
class SourceCost:
    """An update of the student under a joint teacher of so many sources.

    Attributes:
        sources: number of source teachers, beside the target's.
        asked_ms: median time of an update that asks the teachers, in milliseconds.
        kept_ms: of one whose batch brings their answers.
        megabytes: of all weights, and of the maps that the teachers hand over in an update.
        asked_over_kept: ratio of the two times within each round: median, quartiles.
    """

    sources: int
    asked_ms: float
    kept_ms: float
    megabytes: float
    asked_over_kept: tuple[float, float, float]


@dataclass(frozen=True)
class Line:
    """A straight line through numbers by sources: what each adds, and how straight it is."""

    slope: float
    intercept: float
    r_squared: float


def cost_of_sources(
    counts: Sequence[int], budget: Budget, *, size: tuple[int, int] = (64, 64), rounds: int = 5,
    architecture: Architecture = "unet",
) -> list[SourceCost]:  # fmt: skip
    """Time updates under joint teachers of different size, in turns.

    Every round times each of them once, asked and kept, so a busy moment slows all alike. Images
    are noise: the cost does not depend on what they show.

    Args:
        counts: numbers of sources.
        budget: of networks and batch.
        size: of the images.
        rounds: timed updates of each; two more come first, untimed.
        architecture: of teachers and student.
    """
    draw = torch.Generator().manual_seed(0)
    images = torch.randn(budget.batch_size, 1, *size, generator=draw)
    masks = (torch.rand(budget.batch_size, *size, generator=draw) < 0.1).to(torch.uint8)
    plain: Batch = {"images": images, "masks": masks}
    ways: dict[tuple[int, str], tuple[JointStudent, Batch]] = {}
    for count in counts:
        joint = _joint(count, budget, architecture)
        said = ask_all(joint, images, range(len(joint.level_channels)))
        ways[count, "asked"] = _student(joint, budget, architecture), plain
        ways[count, "kept"] = _student(joint, budget, architecture), {**plain, **said}
    times = {way: np.empty(rounds) for way in ways}
    for number in range(-2, rounds):
        for way, (method, batch) in ways.items():
            began = time.perf_counter()
            method.update(batch)
            if number >= 0:
                times[way][number] = 1000 * (time.perf_counter() - began)
    return [
        _cost(count, times[count, "asked"], times[count, "kept"], ways[count, "asked"][0], images)
        for count in counts
    ]


def line_through(costs: Sequence[SourceCost], what: str) -> Line:
    """Return the least-squares line of a number by sources.

    Args:
        costs: two or more.
        what: an attribute of `SourceCost`, such as ``asked_ms``.
    """
    x = np.array([c.sources for c in costs], float)
    y = np.array([getattr(c, what) for c in costs], float)
    slope, intercept = np.polyfit(x, y, 1)
    rest, spread = y - (slope * x + intercept), y - y.mean()
    # R² = 1 - Σ rest² / Σ spread²
    return Line(float(slope), float(intercept), float(1 - (rest @ rest) / (spread @ spread)))


def _joint(sources: int, budget: Budget, architecture: Architecture) -> JointTeacher:
    teachers = [network(architecture, budget, k) for k in range(sources + 1)]
    return JointTeacher(teachers, network(architecture, budget, 99), budget.norm).eval()


def _student(joint: JointTeacher, budget: Budget, architecture: Architecture) -> JointStudent:
    method = JointStudent(
        network(architecture, budget, 100), joint, Segmentation(), Weights(),
        learning_rate=budget.learning_rate, steps=budget.steps,
    )  # fmt: skip
    method.setup(Fabric(accelerator="cpu", devices=1))
    return method


def _cost(
    sources: int, asked: np.ndarray, kept: np.ndarray, method: JointStudent, images: torch.Tensor
) -> SourceCost:
    joint = method.teacher.network
    assert isinstance(joint, JointTeacher)
    maps = sum(m.numel() * m.element_size() for told in joint.told(images) for m in told)
    low, middle, high = np.percentile(asked / kept, [25, 50, 75])
    weights = sum(_bytes(n) for name, n in method.networks.items() if name != "followers")
    return SourceCost(
        sources, float(np.median(asked)), float(np.median(kept)), (weights + maps) / 2**20,
        (float(middle), float(low), float(high)),
    )  # fmt: skip


def _bytes(part: nn.Module) -> int:
    return sum(x.numel() * x.element_size() for x in part.state_dict().values())
