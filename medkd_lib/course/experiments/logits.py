"""Lesson 00: who learns what from whom, when labels are few, when they are many, and in controls.

Patients are divided once per seed: *teacher* patients (the teacher's labels), *transfer* patients
(the student's images, of which only some labels may be used), *val*, and the fixed *test* part. So
the teacher never saw the transfer images, and its answers there are not remembered labels.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from medkd_lib.course.experiments.logits_arms import (
    ARMS,
    FRACTIONS,
    TEACHERS,
    Arm,
    Budget,
    TeacherKind,
)
from medkd_lib.course.experiments.outcome import Outcome
from medkd_lib.data.batches import batches
from medkd_lib.data.images import ImageSet, load_images
from medkd_lib.data.index import Index, index
from medkd_lib.data.manifest import load_manifest
from medkd_lib.data.split import Split, split_by_patient
from medkd_lib.evaluate.classify import Predictions
from medkd_lib.methods.base import Method
from medkd_lib.methods.hinton import HintonKD
from medkd_lib.methods.supervised import Supervised
from medkd_lib.models.small_cnn import SmallCNN
from medkd_lib.train import Trained, fit_cached, predict

BuildMethod = Callable[[], Method]


@dataclass
class Study:
    """A dataset divided for one seed, and the trainings on it."""

    index: Index
    budget: Budget
    seed: int
    fabric: Fabric
    temperature: float = 4.0
    alpha: float = 0.9
    max_steps: int = 0
    epochs: int | None = None

    def __post_init__(self) -> None:
        self.split: Split = split_by_patient(self.index.cases, FRACTIONS, self.seed)
        self.channels = 3 if "fundus" in self.index.manifest.modality else 1
        labels = self.index.manifest.labels
        self.class_names = labels.names if labels else []
        self.parts: dict[str, ImageSet] = {
            part: load_images(
                self.split.of(part, self.index.cases),
                self.budget.image_size,
                channels=self.channels,
            )
            for part in self.split.parts
        }
        self.labelled = self._few(self.parts["transfer"])

    def _few(self, images: ImageSet) -> Tensor:
        """Return the mask of the labelled few, the same number of each class, drawn by seed."""
        generator = torch.Generator().manual_seed(self.seed)
        mask = torch.zeros(len(images))
        for label in range(len(self.class_names)):
            rows = (images.labels == label).nonzero().flatten()
            if len(rows) < self.budget.few_per_class:
                raise ValueError(
                    f"few_per_class: expected at most the {len(rows)} images of class "
                    f"{self.class_names[label]!r} in this part, found {self.budget.few_per_class}"
                )
            order = torch.randperm(len(rows), generator=generator)
            mask[rows[order[: self.budget.few_per_class]]] = 1
        return mask

    def network(self, role: Literal["teacher", "student"]) -> SmallCNN:
        """Return an untrained network of the role's size."""
        b = self.budget
        widths, convs = (
            (b.teacher_widths, b.teacher_convs) if role == "teacher" else (b.student_widths, 1)
        )
        return SmallCNN(len(self.class_names), widths, convs, self.channels)

    def teacher(self, kind: TeacherKind = "good", *, progress: bool = False) -> Trained:
        """Train the teacher on its own patients (cached); ``few_labels`` gives it few of them."""
        images = self.parts["teacher"]
        rows = torch.arange(len(images))
        if kind == "few_labels":
            rows = self._few(images).nonzero().flatten()
        steps = 0 if kind == "untrained" else self.budget.teacher_steps
        return self._supervised("teacher", images.rows(rows), steps, 0.0, progress)

    def train(self, arm: str, *, progress: bool = False) -> Trained:
        """Train the student of the named arm (cached)."""
        return self.train_arm(ARMS[arm], arm if progress else "")

    def train_arm(self, arm: Arm, progress: str = "") -> Trained:
        """Train the student as the arm says (cached)."""
        images = self.parts["transfer"]
        labelled = self.labelled if arm.labels == "few" else torch.ones(len(images))
        if arm.teacher is None:
            own = images.rows(labelled.nonzero().flatten())
            return self._supervised(
                "student", own, self.student_steps, arm.smoothing, bool(progress)
            )
        trained = self.teacher(arm.teacher)
        teacher = trained.network
        if arm.pseudo:
            guesses = predict(teacher, images.floats()).argmax(1)
            own = replace(
                images,
                labels=torch.where(labelled.bool(), images.labels, guesses),
                fingerprint=f"{images.fingerprint}-pseudo-{guesses.tolist()}",
            )
            return self._supervised("student", own, self.student_steps, 0.0, bool(progress))
        if not arm.transfer:
            images, labelled = images.rows(labelled.nonzero().flatten()), labelled[labelled > 0]
        tensors = {"images": images.floats(), "labels": images.labels, "labelled": labelled}
        steps = self.steps(self.student_steps)

        def build() -> Method:
            return HintonKD(
                self.network("student"),
                teacher,
                temperature=self.temperature,
                alpha=self.alpha,
                learning_rate=self.budget.learning_rate,
                steps=self.student_steps,
                scale_t2=arm.scale_t2,
                control=arm.control,
            )

        inputs = self._role_inputs("student", self.student_steps) | {
            "arm": asdict(arm),
            "teacher": trained.key,
            "images": images.fingerprint,
            "labelled": labelled.tolist(),
            "temperature": self.temperature,
            "alpha": self.alpha,
        }
        return self._fit(build, tensors, steps, inputs, progress)

    def _supervised(
        self,
        role: Literal["teacher", "student"],
        images: ImageSet,
        steps: int,
        smoothing: float,
        progress: bool,
    ) -> Trained:
        tensors = {"images": images.floats(), "labels": images.labels}
        planned = max(steps, 1)

        def build() -> Method:
            return Supervised(
                self.network(role),
                learning_rate=self.budget.learning_rate,
                steps=planned,
                label_smoothing=smoothing,
            )

        inputs = self._role_inputs(role, planned) | {
            "smoothing": smoothing,
            "images": images.fingerprint,
        }
        return self._fit(build, tensors, self.steps(steps), inputs, role if progress else "")

    def _role_inputs(
        self, role: Literal["teacher", "student"], planned_steps: int
    ) -> dict[str, object]:
        """Return what a training depends on beside its images: sizes of its own role alone."""
        b = self.budget
        shape = (b.teacher_widths, b.teacher_convs) if role == "teacher" else b.student_widths
        return {
            "role": role,
            "shape": shape,
            "planned_steps": planned_steps,
            "batch_size": b.batch_size,
            "learning_rate": b.learning_rate,
            "channels": self.channels,
            "split": self.split.hash,
            "seed": self.seed,
        }

    def _fit(
        self,
        build: BuildMethod,
        tensors: dict[str, Tensor],
        steps: int,
        inputs: dict[str, object],
        progress: str,
    ) -> Trained:
        return fit_cached(
            build,
            lambda start: batches(tensors, self.budget.batch_size, self.seed, start=start),
            steps,
            self.fabric,
            inputs=inputs,
            rooms=("course/experiments",),
            progress=progress,
        )

    @property
    def student_steps(self) -> int:
        """Planned updates of a student: the budget's, or ``epochs`` over the transfer images."""
        if self.epochs is None:
            return self.budget.student_steps
        per_epoch = max(1, len(self.parts["transfer"]) // self.budget.batch_size)
        return self.epochs * per_epoch

    def steps(self, planned: int) -> int:
        """Return the planned steps, cut by ``max_steps`` if that is set."""
        return min(planned, self.max_steps) if self.max_steps else planned

    def predictions(self, network: nn.Module, part: str = "test") -> Predictions:
        """Return the network's probabilities on one part of the split."""
        images = self.parts[part]
        logits = predict(network, images.floats())
        return Predictions.from_logits(logits.numpy(), images.labels.numpy(), images.patients)


def run_arm(study: Study, arm: str) -> Predictions:
    """Train one declared arm (or teacher) and return its test predictions."""
    trained = study.teacher(TEACHERS[arm]) if arm in TEACHERS else study.train(arm)
    return study.predictions(trained.network)


def run_cell(
    datasets: Sequence[str],
    roots: Sequence[str],
    arm: str,
    seed: int,
    options: Mapping[str, object],
    fabric: Fabric,
) -> Outcome:
    """Run one cell of the recorded experiment of lesson 00."""
    found = index(load_manifest(datasets[0]), Path(roots[0]))
    budget = replace(Budget(), few_per_class=int(str(options["few_per_class"])))
    temperature, alpha = (float(str(options[name])) for name in ("temperature", "alpha"))
    study = Study(found, budget, seed, fabric, temperature=temperature, alpha=alpha)
    return Outcome(run_arm(study, arm), study.parts["test"].ids, study.split.hash)
