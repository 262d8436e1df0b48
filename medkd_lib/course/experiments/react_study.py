"""Lesson 05: teachers who see PET and doses, a student who sees CT, and all ways between them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from medkd_lib.course.experiments.react_arms import (
    ALONE,
    ARMS,
    CT_BRANCH,
    TEACHER_BRANCHES,
    TEACHERS,
    TRACERS,
    Arm,
    Teacher,
    nodes_of,
)
from medkd_lib.course.experiments.react_budget import Budget, classifier
from medkd_lib.course.experiments.react_cohort import SEEN, ReactCohort
from medkd_lib.data.batches import balanced, batches, numbered
from medkd_lib.data.blocks import Blocks
from medkd_lib.evaluate.classify import Predictions
from medkd_lib.methods.base import Method, bare
from medkd_lib.methods.modality_dropout import ModalityDropout
from medkd_lib.methods.react_kd import ReactKD
from medkd_lib.models.cbam3d import Attention
from medkd_lib.models.fused_classifier import ROI, AtBedside, FusedClassifier
from medkd_lib.train import Trained, fit_cached, predict

# Boxes are asked about so many at once.
AT_ONCE = 32


class ReactStudy:
    """A cohort and the trainings on it.

    Args:
        cohort: divided for ``seed``.
        budget: sizes and steps.
        seed: of weights, views and batches.
        fabric: device and precision.
        max_steps: cut every training after so many steps; 0: no.
    """

    def __init__(
        self, cohort: ReactCohort, budget: Budget, seed: int, fabric: Fabric, max_steps: int = 0
    ) -> None:
        self.cohort, self.budget, self.seed = cohort, budget, seed
        self.fabric, self.max_steps = fabric, max_steps
        self.bank: Blocks = cohort.bank(budget.views, seed)
        self.rows = balanced(self.bank.labels)
        self._answers: dict[str, tuple[Tensor, Tensor]] = {}

    @property
    def tracers(self) -> tuple[str, ...]:
        """Names of the PET images."""
        return tuple(n for n in TRACERS if n in self.bank.images)

    def branches_of(self, kind: str) -> dict[str, tuple[str, ...]]:
        """Return the branches of a teacher: CT beside each tracer there is, CT of low dose.

        Raises:
            ValueError: a teacher who is to see PET, and there is none.
        """
        if kind != "dose" and not self.tracers:
            raise ValueError(
                f"teacher {kind!r}: expected one of {TRACERS} among the images, found "
                f"{sorted(self.bank.images)}; choose teacher 'dose', or another set"
            )
        known = {*self.tracers, "ct", SEEN}
        return {n: r for n, r in TEACHER_BRANCHES[kind].items() if known.issuperset(r)}

    def teacher(
        self, kind: Teacher, attention: Attention = "shared", *, progress: bool = False
    ) -> Trained:
        """Train a teacher on labels (cached); ``untrained`` is the joint one before its updates."""
        branches = self.branches_of("both" if kind == "untrained" else kind)
        steps = 0 if kind == "untrained" else self._cut(self.budget.steps)
        teacher_kind = self.budget.teacher_encoder

        def build() -> ReactKD:
            network = classifier(
                self.budget, branches, len(self.cohort.class_names), attention=attention,
                kind=teacher_kind,
            )  # fmt: skip
            return self._method(network, tuple(branches), self.budget.steps, ALONE)

        reads = {name for read in branches.values() for name in read}
        return self._fit(build, steps, reads, ALONE, {"branches": branches, "attention": attention},
                         f"teacher {kind}" if progress else "")  # fmt: skip

    def answers(self, kind: Teacher, attention: Attention) -> tuple[Tensor, Tensor]:
        """Return what a teacher says of the bank: logits ``(N, C)`` and fused map."""
        trained = self.teacher(kind, attention)
        if trained.key not in self._answers:
            self._answers[trained.key] = ask(classifier_of(trained), self.bank)
        return self._answers[trained.key]

    def train(self, name: str, *, progress: bool = False) -> Trained:
        """Train the student of a declared arm, or a teacher (cached)."""
        if name in TEACHERS:
            return self.teacher(TEACHERS[name], progress=progress)
        return self.train_arm(ARMS[name], name if progress else "")

    def train_arm(self, arm: Arm, progress: str = "") -> Trained:
        """Train the student as an arm says (cached)."""
        kinds = dict.fromkeys((*arm.teachers, *([arm.map_of] if arm.map_of else [])))
        taught = [self.teacher(kind, arm.attention) for kind in kinds]
        branches = dict(CT_BRANCH) | ({"pet": self.tracers} if arm.pet else {})
        steps = self.budget.student_steps

        def build() -> ReactKD:
            network = classifier(
                self.budget, branches, len(self.cohort.class_names), attention=arm.attention
            )
            return self._method(network, ("ct",), steps, arm)

        reads = {name for read in branches.values() for name in read}
        return self._fit(
            build, self._cut(steps), reads, arm,
            {"arm": asdict(arm), "teachers": [t.key for t in taught]}, progress,
        )  # fmt: skip

    def _fit(
        self, build: Callable[[], ReactKD], steps: int, reads: set[str], arm: Arm,
        inputs: Mapping[str, object], progress: str,
    ) -> Trained:  # fmt: skip
        b = self.budget
        return fit_cached(
            build,
            lambda start: batches(
                self._tensors(reads, arm), b.batch_size, self.seed, start=start, rows=self.rows
            ),
            steps,
            self.fabric,
            inputs={
                "budget": asdict(b), "bank": self.bank.fingerprint, "split": self.cohort.split.hash,
                "seed": self.seed, **inputs,
            },
            rooms=("course/experiments",),
            keep=whole,
            progress=progress,
        )  # fmt: skip

    def _method(
        self, network: FusedClassifier, bedside: tuple[str, ...], steps: int, arm: Arm
    ) -> ReactKD:
        dropout = None
        if arm.pet:
            dropout = ModalityDropout((("ct", "pet"), ("ct",)), (arm.pet, 1 - arm.pet))
        return ReactKD(
            network, bedside=bedside, learning_rate=self.budget.learning_rate, steps=steps,
            weights=arm.weights, regions=max(self._nodes(arm)), spacing_mm=self.bank.spacing_mm,
            dropout=dropout, shuffled=arm.shuffled,
        )  # fmt: skip

    def _nodes(self, arm: Arm) -> tuple[int, ...]:
        return nodes_of(self.bank.region_names, arm.nodes)

    def _tensors(self, reads: set[str], arm: Arm) -> dict[str, Tensor]:
        """Return what batches are drawn from, with the teachers' answers as far as needed."""
        reads = reads | ({ROI} if self.budget.pool == "roi" else set())
        tensors = {name: self.bank.images[name] for name in sorted(reads)}
        tensors["labels"] = self.bank.labels
        w = arm.weights
        if arm.shuffled:
            tensors["patients"] = numbered(self.bank.patients)
        if w.beta or w.cross_image:
            number = torch.tensor((0, *self._nodes(arm)), dtype=torch.uint8)
            tensors["regions"] = number[self.bank.regions.int()]
        if arm.teachers:
            said = [self.answers(kind, arm.attention)[0] for kind in arm.teachers]
            tensors["teacher_logits"] = torch.stack(said, dim=1)
            if w.needs_map:
                drawn_by = arm.map_of or arm.teachers[0]
                tensors["teacher_map"] = self.answers(drawn_by, arm.attention)[1]
        return tensors

    def _cut(self, planned: int) -> int:
        return min(planned, self.max_steps) if self.max_steps else planned

    def predictions(
        self, trained: Trained, part: str = "test", dose: str = "ct",
        shown: Sequence[str] | None = None,
    ) -> Predictions:  # fmt: skip
        """Return a network's probabilities on a part, see `logits_of`."""
        return predictions(trained, self.cohort.parts[part], dose, shown)


def whole(method: Method) -> nn.Module:
    """Return a student with all its branches: what it was shown in training may be asked about."""
    return bare(method.networks["student"]).eval()


def classifier_of(trained: Trained) -> FusedClassifier:
    """Return the classifier of a training, with its branches by name."""
    network = trained.network
    assert isinstance(network, FusedClassifier)
    return network


def bedside(network: FusedClassifier) -> tuple[str, ...]:
    """Return the branches that a network has at the bedside: a student CT, a teacher all."""
    return ("ct",) if "ct" in network.names else network.names


def predictions(
    trained: Trained, boxes: Blocks, dose: str = "ct", shown: Sequence[str] | None = None
) -> Predictions:
    """Return a trained network's probabilities on boxes, see `logits_of`."""
    logits = logits_of(trained, boxes, dose, shown)
    return Predictions.from_logits(logits.numpy(), boxes.labels.numpy(), boxes.patients)


def logits_of(
    trained: Trained, boxes: Blocks, dose: str = "ct", shown: Sequence[str] | None = None
) -> Tensor:
    """Return a trained network's logits on boxes, ``(N, C)``.

    Args:
        trained: of `ReactStudy`.
        boxes: with everything that is shown.
        dose: name of the CT that is ``seen``.
        shown: branches; None: those of the `bedside`.
    """
    network = classifier_of(trained)
    asked = AtBedside(network.only(shown or bedside(network)))
    channels = [boxes.images[dose if name == SEEN else name] for name in asked.reads]
    return predict(asked, torch.cat(channels, dim=1), AT_ONCE)


@torch.no_grad()
def ask(network: FusedClassifier, boxes: Blocks) -> tuple[Tensor, Tensor]:
    """Return logits and fused map for boxes that have every image the network reads."""
    network.eval()
    device = next(network.parameters()).device
    logits, maps = [], []
    for first in range(0, len(boxes), AT_ONCE):
        rows = slice(first, first + AT_ONCE)
        volumes = {n: boxes.images[n][rows].to(device).float() for n in network.needs}
        answer = network(volumes)
        logits.append(answer.logits.float().cpu())
        maps.append(answer.fused.float().cpu())
    return torch.cat(logits), torch.cat(maps)
