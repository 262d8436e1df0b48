"""Lesson 06: teachers of several datasets, the joint one, and every way to a student."""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict
from typing import cast

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray

from medkd_lib.course.experiments.joint_arms import Arm
from medkd_lib.course.experiments.joint_banks import drawn, drawn_for_student, view_of
from medkd_lib.course.experiments.joint_budget import Architecture, Budget, network
from medkd_lib.course.experiments.joint_cohort import JointCohort
from medkd_lib.course.experiments.joint_sets import JOINT_SETS
from medkd_lib.data.sections import Sections
from medkd_lib.data.unpaired import Drawn, UnpairedBatches, root_sizes
from medkd_lib.methods.base import Method
from medkd_lib.methods.joint import JointStudent
from medkd_lib.methods.joint_parts import Domain
from medkd_lib.methods.joint_segmentation import Segmentation
from medkd_lib.methods.many_datasets import ManyDatasets
from medkd_lib.models.joint_teacher import JointTeacher
from medkd_lib.models.levels import Levelled
from medkd_lib.train import Trained, fit_cached, predict

# Added to a run's seed: students of all arms begin alike, teachers as somebody else.
STUDENT, TARGET_TEACHER, SOURCE_TEACHERS, TRUNK = 0, 1000, 2000, 3000
GENTLE = 0.1


class JointStudy:
    """A cohort and the trainings on it; each is done once and kept.

    Args:
        cohort: of this seed.
        budget: sizes and steps.
        seed: of weights, views and batches.
        fabric: device and precision.
        architecture: of teachers and students.
        max_steps: cut every training after so many steps; 0: no.
    """

    def __init__(
        self, cohort: JointCohort, budget: Budget, seed: int, fabric: Fabric,
        architecture: Architecture = "unet", max_steps: int = 0,
    ) -> None:  # fmt: skip
        self.cohort, self.budget, self.seed, self.fabric = cohort, budget, seed, fabric
        self.architecture, self.max_steps = architecture, max_steps
        self.task = Segmentation()
        # Kept views were drawn before the training.
        self.views = (lambda batch: batch) if budget.kept_views else view_of(budget)

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
        offset = SOURCE_TEACHERS + list(JOINT_SETS).index(source)
        names = (source, self.cohort.target)
        return self._labels(names, offset, factor=self.budget.source_factor, domain=domain)

    def joint_teacher(self, arm: Arm) -> Trained:
        """Fuse the frozen teachers that an arm names, and train fusers and decoder."""
        members = [self.alone(TARGET_TEACHER), *self._members(arm)]
        names = tuple(self.cohort.train) if arm.joint_on == "all" else (self.cohort.target,)

        def build() -> Method:
            joint = JointTeacher(
                [levelled(m) for m in members], self._network(TRUNK), self.budget.norm,
                standardise=arm.weights.standardise,
            )  # fmt: skip
            return self._many(joint, names)

        inputs = {"members": [m.key for m in members], "standardise": arm.weights.standardise}
        return self._fit(build, lambda: self._sets(names), names, inputs)

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
            lambda: self._many(levelled(start), names, rate=rate), lambda: self._sets(names), names,
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
            found = JointStudent(
                self._network(STUDENT) if start is None else levelled(start), levelled(teacher),
                self.task, weights, learning_rate=b.learning_rate, steps=b.steps, seed=self.seed,
                views=self.views,
            )  # fmt: skip
            # Projectors draw numbers, other arms have none: from here on all draw alike.
            torch.manual_seed(self.seed)
            return found

        def sets() -> dict[str, Drawn]:
            return drawn_for_student(c, b, self.seed, levelled(teacher), weights)

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
            lambda: self._many(self._network(offset), names, max(factor, 1), domain),
            lambda: self._sets(names, more=more), names,
            {"offset": offset, "more": self.cohort.more.fingerprint if more else "",
             "domain": asdict(domain) if domain else {}},
            factor,
        )  # fmt: skip

    def _network(self, offset: int) -> Levelled:
        return network(self.architecture, self.budget, self.seed + offset)

    def _many(
        self, start: Levelled, names: Sequence[str], factor: int = 1,
        domain: Domain | None = None, rate: float = 1.0,
    ) -> Method:  # fmt: skip
        b = self.budget
        found = ManyDatasets(
            start, names, self.task, learning_rate=rate * b.learning_rate, steps=factor * b.steps,
            domain=domain, views=self.views,
        )  # fmt: skip
        torch.manual_seed(self.seed)
        return found

    def _sets(self, names: Sequence[str], *, more: bool = False) -> dict[str, Drawn]:
        return drawn(self.cohort, names, self.budget, self.seed, more=more)

    def _fit(
        self, build: Callable[[], Method], sets: Callable[[], dict[str, Drawn]],
        names: Sequence[str], inputs: Mapping[str, object], factor: int = 1,
    ) -> Trained:  # fmt: skip
        b, steps = self.budget, factor * self.budget.steps
        # What is shown and nothing else: who does not see the sources does not depend on them.
        shown = {name: self.cohort.train[name].fingerprint for name in names}
        return fit_cached(
            build,
            lambda start: self._batches(sets(), start),
            min(steps, self.max_steps) if self.max_steps else steps,
            self.fabric,
            inputs={
                **inputs, "budget": asdict(b), "architecture": self.architecture,
                "shown": list(shown.items()), "factor": factor, "seed": self.seed,
            },
            rooms=("course/experiments",),
        )  # fmt: skip

    def _batches(self, sets: dict[str, Drawn], start: int) -> UnpairedBatches:
        size: int | dict[str, int] = self.budget.batch_size
        if self.budget.sampling == "root":
            lengths = {name: len(found) for name, found in sets.items()}
            size = root_sizes(lengths, self.budget.batch_size * len(sets))
        return UnpairedBatches(sets, size, self.seed, start)

    # What is asked of a trained network

    def masks(self, trained: Trained, sections: Sections) -> NDArray[np.bool_]:
        """Return a network's answer to sections, ``(N, H, W)``."""
        logits = predict(trained.network, sections.images["image"])
        answer: NDArray[np.bool_] = (logits[:, 1] > logits[:, 0]).numpy()
        return answer


def levelled(trained: Trained) -> Levelled:
    """Return a trained network as one that shows its levels; every caller gets its own copy."""
    return cast(Levelled, deepcopy(trained.network))
