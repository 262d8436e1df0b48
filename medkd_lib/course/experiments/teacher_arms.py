"""The arms of lesson 02 and the sizes of its networks and trainings."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal, NamedTuple

from torch import nn

from medkd_lib.course.experiments.cohort import Sampling
from medkd_lib.course.experiments.input_controls import InputControl
from medkd_lib.models import msgff_sizes
from medkd_lib.models.hybrid import Branches, Fusion, HybridTeacher
from medkd_lib.models.mobilenet import mobilenet_v3_small
from medkd_lib.models.msgff import MsgffTeacher
from medkd_lib.models.msgff_sizes import MsgffShape, controls, ladder
from medkd_lib.models.resize import AtSize
from medkd_lib.models.small_cnn import SmallCNN
from medkd_lib.models.vgg import NARROW, VGG19, Layer, VggTrunk
from medkd_lib.models.vit import NARROW_VIT, VIT_B16, VitSize, VitTrunk

Kind = Literal["student", "hybrid", "wide", "msgff"]
# A hybrid at the pyramid's largest size, its attention tokens as few as at the base.
LESSON_SAMPLING = Sampling()
COARSE_VIT = replace(NARROW_VIT, patch=16)


class Rates(NamedTuple):
    """Learning rate of each kind of network; chosen on validation patients of the baselines."""

    student: float = 1e-2
    vgg: float = 4e-3
    vit: float = 1e-3
    both: float = 4e-3


LESSON_RATES = Rates()


@dataclass(frozen=True)
class Budget:
    """Sizes that the profile decides; everything here is part of the cache key.

    Attributes:
        sampling: images as they are given to every network.
        base: side in pixels that students, branches and the hybrid see; MSGFF's middle scale.
        steps: updates of a teacher.
        student_steps: updates of a student.
        batch_size: images of an update.
        student_widths: of `SmallCNN`; empty: MobileNetV3-small.
        vgg: layers of the convolutional trunk.
        vit: size of the attention trunk.
        wide_size: side that the compute-matched hybrid sees.
        wide_vgg: its convolutional layers.
        wide_vit: its attention trunk.
        msgff: the full MSGFF (A4).
        top_from: side that the information control makes the largest scale from.
        rates: learning rate of each kind of network.
    """

    sampling: Sampling = LESSON_SAMPLING
    base: int = 56
    steps: int = 300
    student_steps: int = 300
    batch_size: int = 16
    student_widths: tuple[int, ...] = (8, 16, 32)
    vgg: tuple[Layer, ...] = NARROW
    vit: VitSize = NARROW_VIT
    wide_size: int = 112
    wide_vgg: tuple[Layer, ...] = (10, "M", 20, "M", 40, 40, "M", 80, 80)
    wide_vit: VitSize = COARSE_VIT
    msgff: MsgffShape = msgff_sizes.LESSON
    top_from: int = 56
    rates: Rates = LESSON_RATES


LESSON = Budget()
SMOKE = replace(LESSON, steps=20, student_steps=40, sampling=Sampling(slices=6))
# Full-size networks on full-size slices; its numbers are usual ones, not tuned.
PAPER = Budget(
    sampling=Sampling(size=224, slices=16),
    base=224,
    steps=20000,
    student_steps=20000,
    batch_size=32,
    student_widths=(),
    vgg=VGG19,
    vit=VIT_B16,
    wide_size=448,
    wide_vgg=VGG19,
    wide_vit=replace(VIT_B16, patch=32),
    msgff=msgff_sizes.PAPER,
    top_from=112,
    rates=Rates(student=1e-3, vgg=1e-4, vit=1e-4, both=1e-4),
)
BUDGETS: Mapping[str, Budget] = MappingProxyType({"smoke": SMOKE, "lesson": LESSON, "paper": PAPER})


@dataclass(frozen=True)
class Arm:
    """One network, and what it is shown.

    ``msgff`` names a rung of the ladder, a control of it, ``stn`` / ``deform`` (A2 with another
    alignment), or ``one_scale``: A1 without a pyramid.
    """

    kind: Kind
    branches: Branches = "both"
    fusion: Fusion = "features"
    msgff: str = ""
    shows: InputControl = "images"


ARMS: Mapping[str, Arm] = MappingProxyType(
    {
        "student": Arm("student"),
        "outline": Arm("student", shows="outline"),
        "no_tumour": Arm("student", shows="no_tumour"),
        "hole": Arm("student", shows="hole"),
        "oracle": Arm("student", shows="truth"),
        "vgg": Arm("hybrid", "vgg"),
        "vit": Arm("hybrid", "vit"),
        "hybrid": Arm("hybrid"),
        "hybrid_logits": Arm("hybrid", fusion="logits"),
        "hybrid_wide": Arm("wide"),
        "a0_maps": Arm("msgff", msgff="one_scale"),
        **{name.lower(): Arm("msgff", msgff=name) for name in msgff_sizes.LADDER},
        "a2_stn": Arm("msgff", msgff="stn"),
        "a2_deform": Arm("msgff", msgff="deform"),
        **{f"a4_{name}": Arm("msgff", msgff=name) for name in msgff_sizes.CONTROLS},
    }
)


def network_of(arm: Arm, budget: Budget, classes: int, channels: int) -> nn.Module:
    """Return an arm's untrained network."""
    b = budget
    if arm.kind == "student":
        return AtSize(_student(b, classes, channels), b.base)
    if arm.kind == "wide":
        vgg = VggTrunk(channels, b.wide_vgg)
        vit = VitTrunk(channels, b.wide_size, b.wide_vit)
        return HybridTeacher(classes, vgg, vit, b.wide_size)
    vgg, vit = VggTrunk(channels, b.vgg), VitTrunk(channels, b.base, b.vit)
    if arm.kind == "msgff":
        return MsgffTeacher(classes, vgg, vit, shape_of(arm.msgff, b))
    return HybridTeacher(classes, vgg, vit, b.base, arm.fusion, arm.branches)


def _student(budget: Budget, classes: int, channels: int) -> nn.Module:
    if not budget.student_widths:
        return mobilenet_v3_small(classes, channels)
    return SmallCNN(classes, budget.student_widths, in_channels=channels)


def shape_of(name: str, budget: Budget) -> MsgffShape:
    """Return the shape of a rung, of a control, of A2 with another alignment, or of one scale."""
    rungs, full = ladder(budget.msgff), budget.msgff
    others = {align: replace(rungs["A2"], align=align) for align in ("stn", "deform")}
    # A1 differs from the hybrid by its maps and its read-out as well as by its scales; this does
    # not have the scales.
    cells = full.grids[full.sizes.index(budget.base)]
    others["one_scale"] = replace(rungs["A1"], sizes=(budget.base,), grids=(cells,))
    return {**rungs, **controls(budget.msgff, budget.top_from), **others}[name]


def size_of(arm: Arm, budget: Budget) -> int:
    """Return the largest side in pixels that an arm's network brings its images to."""
    if arm.kind == "msgff":
        return max(shape_of(arm.msgff, budget).sizes)
    return budget.wide_size if arm.kind == "wide" else budget.base


def rate_of(arm: Arm, budget: Budget) -> float:
    """Return an arm's learning rate."""
    return float(getattr(budget.rates, "student" if arm.kind == "student" else arm.branches))
