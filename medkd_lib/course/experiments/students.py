"""Lesson 03: one student, one teacher of another kind, and every way between them.

Teachers and the student alone are those of lesson 02, trained on the same patients.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Literal, TypedDict

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from medkd_lib.course.experiments.cohort import Cohort
from medkd_lib.course.experiments.outcome import Outcome
from medkd_lib.course.experiments.student_arms import ARMS, CHOSEN, TEACHERS, Arm
from medkd_lib.course.experiments.teacher_arms import ARMS as NETWORKS
from medkd_lib.course.experiments.teacher_arms import Budget, size_of
from medkd_lib.course.experiments.teachers import TeacherStudy, at_most, study_of
from medkd_lib.data.batches import balanced, batches
from medkd_lib.data.views import multi_view
from medkd_lib.methods.base import Method
from medkd_lib.methods.cross_arch import CrossArchitectureKD
from medkd_lib.methods.cross_arch_parts import ALL_PARTS, Parts
from medkd_lib.methods.feature_kd import FeatureKD
from medkd_lib.methods.hinton import HintonKD
from medkd_lib.methods.supervised import Supervised
from medkd_lib.methods.terms import (
    AttentionTerm,
    ContrastTerm,
    DkdTerm,
    HintTerm,
    OfaTerm,
    RelationTerm,
    Term,
)
from medkd_lib.models.mobilenet import LAST_MAP
from medkd_lib.train import Trained, fit_cached

LAST_MAP_CHANNELS = 576


class Common(TypedDict):
    """What every method with a teacher is told."""

    learning_rate: float
    steps: int
    temperature: float
    alpha: float
    views: Callable[[Tensor], Tensor]
    control: Literal["none", "shuffled"]


class StudentStudy:
    """A cohort, its teachers, and the students they teach.

    Args:
        teachers: the study of lesson 02 for the same seed.
        teacher: arm of lesson 02 that stands for ``hybrid`` here: the one its verdict chose.
        temperature: T of the logits' terms.
        alpha: weight of the logits' term where an arm has it.
        parts: weights and shares of the cross-architecture parts; the arm decides which are on.
    """

    def __init__(
        self,
        teachers: TeacherStudy,
        *,
        teacher: str = "hybrid",
        temperature: float = 4.0,
        alpha: float = 0.2,
        parts: Parts = CHOSEN,
    ) -> None:
        self.teachers, self.chosen = teachers, teacher
        self.temperature, self.alpha, self.parts = temperature, alpha, parts

    @property
    def cohort(self) -> Cohort:
        """The images of both lessons."""
        return self.teachers.cohort

    @property
    def budget(self) -> Budget:
        """Sizes and steps of both lessons."""
        return self.teachers.budget

    @property
    def student_place(self) -> str:
        """Module path of the student's map that features are compared on."""
        widths = self.budget.student_widths
        return f"network.stages.stage{len(widths)}" if widths else f"network.{LAST_MAP}"

    @property
    def student_channels(self) -> int:
        """Channels of that map."""
        widths = self.budget.student_widths
        return widths[-1] if widths else LAST_MAP_CHANNELS

    def teacher(self, kind: str, *, progress: bool = False) -> Trained:
        """Return a trained teacher; ``untrained`` is the chosen one before its first update."""
        steps = 0 if kind == "untrained" else None
        return self.teachers.train(self.network_of(kind), progress=progress, steps=steps)

    def network_of(self, kind: str) -> str:
        """Return the arm of lesson 02 that a kind of teacher stands for."""
        return self.chosen if kind in ("hybrid", "untrained") else kind

    def train(self, name: str, *, progress: bool = False) -> Trained:
        """Train the student of a declared arm, or a teacher (cached)."""
        if name in TEACHERS:
            return self.teacher(TEACHERS[name], progress=progress)
        return self.train_arm(ARMS[name], name if progress else "")

    def train_arm(self, arm: Arm, progress: str = "") -> Trained:
        """Train the student as an arm says (cached)."""
        if arm == Arm(None):
            return self.teachers.train("student", progress=bool(progress))
        taught = None if arm.teacher is None else self.teacher(arm.teacher)
        images, b, seed = self.cohort.parts["train"], self.budget, self.teachers.seed
        tensors = {
            "images": at_most(images.inputs(), self.size(arm)),
            "labels": images.labels,
            "labelled": torch.ones(len(images)),
        }
        rows = balanced(images.labels)
        inputs: dict[str, object] = {
            "arm": asdict(arm),
            "teacher": "" if taught is None else taught.key,
            "budget": asdict(b),
            "images": images.fingerprint,
            "split": self.cohort.split.hash,
            "temperature": self.temperature,
            "alpha": self.alpha,
            "parts": asdict(self.parts_of(arm)) if arm.crosses else {},
            "seed": seed,
        }
        return fit_cached(
            lambda: self.method(arm, None if taught is None else taught.network),
            lambda start: batches(
                tensors, b.batch_size, self.teachers.seed, start=start, rows=rows
            ),
            self.teachers.steps(arm.times * b.student_steps),
            self.teachers.fabric,
            inputs=inputs,
            rooms=("course/experiments",),
            progress=progress,
        )

    def size(self, arm: Arm) -> int:
        """Return the side that the student or its teacher needs, whichever is larger."""
        names = ["student"]
        if arm.teacher is not None:
            names.append(self.network_of(arm.teacher))
        return max(size_of(NETWORKS[name], self.budget) for name in names)

    def method(self, arm: Arm, teacher: nn.Module | None) -> Method:
        """Return an arm's method, its student untrained."""
        student, b = self.teachers.network("student"), self.budget
        rate, steps = b.rates.student, b.student_steps
        if teacher is None:
            views = partial(strong_views, self.cohort) if arm.multi_view else self.cohort.views
            return Supervised(
                student,
                learning_rate=rate,
                steps=arm.times * steps,
                label_smoothing=arm.smoothing,
                views=views,
            )
        common = Common(
            learning_rate=rate,
            steps=steps,
            temperature=self.temperature,
            alpha=self.alpha if arm.kd else 0.0,
            views=self.cohort.views,
            control="shuffled" if arm.shuffled else "none",
        )
        term = self.term(arm, teacher)
        if arm.crosses:
            return CrossArchitectureKD(
                student,
                teacher,
                student_place=self.student_place,
                student_channels=self.student_channels,
                parts=self.parts_of(arm),
                background=self.cohort.background,
                extra=term,
                **common,
            )
        if term is not None:
            return FeatureKD(student, teacher, term, student_place=self.student_place, **common)
        return HintonKD(student, teacher, **common)

    def parts_of(self, arm: Arm) -> Parts:
        """Return the switches of an arm with the study's weights, or with the usual ones."""
        weights = ALL_PARTS if arm.usual else self.parts
        return replace(
            weights, pca=arm.pca, gl=arm.gl, multi_view=arm.multi_view, adversarial=arm.adversarial
        )

    def term(self, arm: Arm, teacher: nn.Module) -> Term | None:
        """Return an arm's term: its adapters fit student and teacher, its weight is the arm's."""
        if arm.term is None:
            return None
        channels, width = self.student_channels, int(str(teacher.get_submodule("vgg").width))
        terms: dict[str, Callable[[], Term]] = {
            "dkd": lambda: DkdTerm(self.temperature),
            "ofa": lambda: OfaTerm(channels, len(self.cohort.class_names)),
            "hints": lambda: HintTerm(channels, width),
            "attention": AttentionTerm,
            "relations": RelationTerm,
            "contrast": lambda: ContrastTerm(channels, width),
        }
        built = terms[arm.term]()
        built.weight *= arm.strength
        return built

    def outcome(self, name: str) -> Outcome:
        """Train an arm or a teacher and return its answers for the recorder."""
        trained = self.train(name)
        found = self.teachers.outcome("student", trained.network)
        cosine = trained.history.losses.get("token_cosine")
        if cosine is None:
            return found
        return replace(found, extras={**found.extras, "token_cosine": cosine[-1]})


def strong_views(cohort: Cohort, images: Tensor) -> Tensor:
    """Return everyday views, half of them altered strongly: multi-view training without teacher."""
    return multi_view(cohort.views(images), background=cohort.background)


def run_cell(
    datasets: Sequence[str],
    roots: Sequence[str],
    arm: str,
    seed: int,
    options: Mapping[str, object],
    fabric: Fabric,
) -> Outcome:
    """Run one cell of the recorded experiment of lesson 03."""
    teachers = study_of(datasets, roots, seed, options, fabric)
    study = StudentStudy(
        teachers,
        teacher=str(options["teacher"]),
        temperature=float(str(options["temperature"])),
        alpha=float(str(options["alpha"])),
    )
    return study.outcome(arm)
