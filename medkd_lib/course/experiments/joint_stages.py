"""Lessons 06 and 07: teachers of several datasets, the joint one, and every way to a student.

What a task adds is a network, images with labels, and the losses between them; see `JointStudy` for
masks.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict
from typing import Any, Generic, cast

import torch
from lightning_fabric import Fabric
from torch import Tensor

from medkd_lib.course.experiments.joint_arms import Arm
from medkd_lib.course.experiments.joint_budget import StageBudget
from medkd_lib.course.experiments.joint_cohort import JointCohort, P
from medkd_lib.course.experiments.joint_views import (
    kept_views,
    named,
    side_by_side,
    with_answers,
)
from medkd_lib.data.batches import Batch
from medkd_lib.data.unpaired import Drawn
from medkd_lib.methods.base import Method
from medkd_lib.methods.joint import JointStudent
from medkd_lib.methods.joint_parts import Domain, Task, Weights
from medkd_lib.methods.many_datasets import ManyDatasets
from medkd_lib.models.joint_teacher import JointTeacher
from medkd_lib.models.levels import Levelled
from medkd_lib.train import Trained, fit_cached

# Added to a run's seed: students of all arms begin alike, teachers as somebody else.
STUDENT, TARGET_TEACHER, SOURCE_TEACHERS, TRUNK = 0, 1000, 2000, 3000
GENTLE = 0.1


class JointStages(ABC, Generic[P]):
    """A cohort and the trainings on it; each is done once and kept.

    Args:
        cohort: of this seed.
        budget: sizes and steps.
        seed: of weights, views and batches.
        fabric: device and precision.
        task: the losses.
        view: augmentation of a batch.
        max_steps: cut every training after so many steps; 0: no.
    """

    def __init__(
        self, cohort: JointCohort[P], budget: StageBudget, seed: int, fabric: Fabric,
        task: Task[Any], view: Callable[[Batch], Batch], max_steps: int = 0,
    ) -> None:  # fmt: skip
        self.cohort, self.budget, self.seed, self.fabric = cohort, budget, seed, fabric
        self.task, self.view, self.max_steps = task, view, max_steps
        # Kept views were drawn before the training.
        self.views = (lambda batch: batch) if budget.kept_views else view

    # What a task adds

    @abstractmethod
    def untrained(self, seed: int) -> Levelled:
        """Return a network with the weights of a seed."""

    def trunk(self, seed: int) -> Levelled:
        """Return one for the joint teacher: its answer is made of all levels."""
        return self.untrained(seed)

    @abstractmethod
    def bank(self, dataset: str, *, more: bool = False) -> Drawn:
        """Return a dataset's ``images`` with labels, with ``more`` the target's further ones."""

    @abstractmethod
    def inputs(self, part: P) -> Tensor:
        """Return a part's images as a network is given them, ``(N, 1, H, W)`` float32."""

    @abstractmethod
    def number_of(self, dataset: str) -> int:
        """Return a number of a dataset, its own whoever the others are."""

    @property
    @abstractmethod
    def layout(self) -> Mapping[str, object]:
        """What beside the budget decides what `untrained` builds; part of the cache key."""

    @property
    def classes(self) -> Mapping[str, int]:
        """Number of classes of those sources that have not as many as the target."""
        return {}

    # The three stages, and the rivals of the first

    def alone(self, offset: int = STUDENT, *, factor: int = 1, more: bool = False) -> Trained:
        """Train on the target alone: a teacher or, with the students' seed, the student alone."""
        return self._labels((self.cohort.target,), offset, factor=factor, more=more)

    def pooled(self) -> Trained:
        """Train one network, a head per dataset, the target's exposures as in every other arm."""
        return self._labels(tuple(self.cohort.train), STUDENT, factor=self.budget.source_factor)

    def source_teacher(self, source: str, domain: Domain | None) -> Trained:
        """Train on a source and the target, both labelled, hiding which of them an image is of."""
        # By its name: it is the same teacher whoever the other sources are.
        offset = SOURCE_TEACHERS + self.number_of(source)
        names = (source, self.cohort.target)
        return self._labels(names, offset, factor=self.budget.source_factor, domain=domain)

    def joint_teacher(self, arm: Arm) -> Trained:
        """Fuse the frozen teachers that an arm names, and train fusers and decoder."""
        members = [self.alone(TARGET_TEACHER), *self._members(arm)]
        names = tuple(self.cohort.train) if arm.joint_on == "all" else (self.cohort.target,)

        def build() -> Method:
            joint = JointTeacher(
                [levelled(m) for m in members], self.trunk(self.seed + TRUNK), self.budget.norm,
                standardise=arm.weights.standardise,
            )  # fmt: skip
            return self._many(joint, names)

        inputs = {"members": [m.key for m in members], "standardise": arm.weights.standardise}
        return self._fit(build, lambda: self.shown(names), names, inputs)

    def train(self, arm: Arm) -> Trained:
        """Train what an arm answers with: its student, or the teacher that it names."""
        if arm.teacher == "nobody":
            return self.finetuned(gentle=arm.gentle) if arm.start == "pooled" else self._plain(arm)
        teacher = self._teacher(arm)
        return teacher if arm.answer == "teacher" else self._student(arm, teacher)

    # What they share

    def _plain(self, arm: Arm) -> Trained:
        # the target, every source, the joint one, the student
        stages = 3 + self.budget.source_factor * len(self.cohort.sources)
        return self.alone(factor=stages if arm.long else 1, more=arm.more)

    def finetuned(self, *, gentle: bool = False) -> Trained:
        """Train the pooled network on the target alone; gently at a tenth of the rate."""
        start, names, rate = self.pooled(), (self.cohort.target,), GENTLE if gentle else 1.0
        return self._fit(
            lambda: self._many(levelled(start), names, rate=rate), lambda: self.shown(names), names,
            {"start": start.key, "rate": rate},
        )  # fmt: skip

    def _teacher(self, arm: Arm) -> Trained:
        if arm.teacher == "joint":
            return self.joint_teacher(arm)
        if arm.teacher == "finetuned":
            return self.finetuned()
        # Not the student's own twin: one who began elsewhere.
        return self.pooled() if arm.teacher == "pooled" else self.alone(TARGET_TEACHER)

    def _student(self, arm: Arm, teacher: Trained) -> Trained:
        start = self.pooled() if arm.start == "pooled" else None
        c, b, weights = self.cohort, self.budget, arm.weights

        def build() -> Method:
            begin = levelled(start) if start else self.untrained(self.seed + STUDENT)
            found = JointStudent(
                begin, levelled(teacher), self.task, weights, learning_rate=b.learning_rate,
                steps=b.steps, seed=self.seed, views=self.views,
            )  # fmt: skip
            # Projectors draw numbers, other arms have none: from here on all draw alike.
            torch.manual_seed(self.seed)
            return found

        def sets() -> dict[str, Drawn]:
            return self.shown_to_student(levelled(teacher), weights)

        inputs = {"weights": asdict(weights), "teacher": teacher.key}
        inputs["start"] = start.key if start else ""
        return self._fit(build, sets, (c.target,), inputs)

    def _members(self, arm: Arm) -> list[Trained]:
        """Return the joint teacher's members beside the target's teacher."""
        names = self.cohort.sources
        if arm.members == "targets":
            return [self.alone(SOURCE_TEACHERS + k) for k in range(len(names))]
        if arm.members == "random":
            return [self.alone(SOURCE_TEACHERS + k, factor=0) for k in range(len(names))]
        return [self.source_teacher(name, arm.domain) for name in names]

    def _labels(
        self, names: tuple[str, ...], offset: int, *, factor: int = 1, more: bool = False,
        domain: Domain | None = None,
    ) -> Trained:  # fmt: skip
        """Train on labels of some datasets; factor 0: a network before its updates."""
        return self._fit(
            lambda: self._many(self.untrained(self.seed + offset), names, max(factor, 1), domain),
            lambda: self.shown(names, more=more), names,
            {"offset": offset, "more": self.cohort.more.fingerprint if more else "",
             "domain": asdict(domain) if domain else {}},
            factor,
        )  # fmt: skip

    def _many(
        self, start: Levelled, names: Sequence[str], factor: int = 1,
        domain: Domain | None = None, rate: float = 1.0,
    ) -> Method:  # fmt: skip
        b = self.budget
        found = ManyDatasets(
            start, names, self.task, learning_rate=rate * b.learning_rate, steps=factor * b.steps,
            domain=domain, views=self.views,
            classes={n: k for n, k in self.classes.items() if n in names}, seed=self.seed,
        )  # fmt: skip
        torch.manual_seed(self.seed)
        return found

    def shown(self, names: Sequence[str], *, more: bool = False) -> dict[str, Drawn]:
        """Return the sets of `ManyDatasets`: ``DATASET/images``, and labels likewise."""
        return {
            name: named(name, self._kept(name, more=more and name == self.cohort.target))
            for name in names
        }

    def shown_to_student(self, teacher: Levelled, weights: Weights) -> dict[str, Drawn]:
        """Return the set of `JointStudent`; beside kept views a frozen teacher's answers."""
        whole = self._kept(self.cohort.target)
        if self.budget.kept_views:
            whole = with_answers(whole, teacher, weights)
        return {self.cohort.target: whole}

    def _kept(self, dataset: str, *, more: bool = False) -> Drawn:
        whole = self.bank(dataset, more=more)
        return kept_views(whole, self.view, self.budget.kept_views, self.seed)

    def _fit(
        self, build: Callable[[], Method], sets: Callable[[], dict[str, Drawn]],
        names: Sequence[str], inputs: Mapping[str, object], factor: int = 1,
    ) -> Trained:  # fmt: skip
        b, steps = self.budget, factor * self.budget.steps
        # What is shown and nothing else: who does not see the sources does not depend on them.
        shown = {name: self.cohort.train[name].fingerprint for name in names}
        return fit_cached(
            build,
            lambda start: side_by_side(sets(), b, self.seed, start),
            min(steps, self.max_steps) if self.max_steps else steps,
            self.fabric,
            inputs={
                **inputs, "budget": asdict(b), "layout": dict(self.layout),
                "shown": list(shown.items()), "factor": factor, "seed": self.seed,
            },
            rooms=("course/experiments",),
        )  # fmt: skip


def levelled(trained: Trained) -> Levelled:
    """Return a trained network as one that shows its levels; every caller gets its own copy."""
    return cast(Levelled, deepcopy(trained.network))
