"""Lesson 07, classes: the three stages where labels are one class per image."""

from collections.abc import Mapping
from functools import partial

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from medkd_lib.course.experiments.joint_stages import JointStages
from medkd_lib.course.experiments.label_budget import Classifier, LabelBudget, classifier
from medkd_lib.course.experiments.label_cohort import LabelCohort
from medkd_lib.course.experiments.label_sets import LABEL_SETS
from medkd_lib.data.augment import augment
from medkd_lib.data.batches import Batch, balanced
from medkd_lib.data.images import ImageSet
from medkd_lib.data.unpaired import Drawn
from medkd_lib.evaluate.classify import Predictions
from medkd_lib.methods.joint_classification import Classification
from medkd_lib.models.levels import Levelled
from medkd_lib.train import Trained, predict


class LabelStudy(JointStages[ImageSet]):
    """Images and classes; sets with other classes than the target's have a head of their own.

    Args:
        cohort: of this seed.
        budget: sizes and steps.
        seed: of weights, views and batches.
        fabric: device and precision.
        architecture: of teachers and students.
        max_steps: cut every training after so many steps; 0: no.
    """

    def __init__(
        self, cohort: LabelCohort, budget: LabelBudget, seed: int, fabric: Fabric,
        architecture: Classifier = "medvit", max_steps: int = 0,
    ) -> None:  # fmt: skip
        own = budget.of(architecture)
        super().__init__(cohort, own, seed, fabric, Classification(), _view, max_steps)
        self.architecture, self.sizes = architecture, budget
        self.names = LABEL_SETS[cohort.target].names
        self._built = partial(classifier, architecture, len(self.names), budget)

    def untrained(self, seed: int) -> Levelled:
        """Return a network with the weights of a seed."""
        return self._built(seed)

    def trunk(self, seed: int) -> Levelled:
        """Return one whose answer is made of all levels."""
        return self._built(seed, read="all")

    def bank(self, dataset: str, *, more: bool = False) -> Drawn:
        """Return images and ``labels``, every class as often as the most frequent one."""
        parts = [self.cohort.train[dataset], *([self.cohort.more] if more else [])]
        shown = [part.rows(balanced(part.labels)) for part in parts if len(part)]
        images = [self.inputs(part) for part in shown]
        labels = [part.labels for part in shown]
        return Drawn(
            {"images": torch.cat(images), "labels": torch.cat(labels)},
            tuple(name for part in shown for name in part.patients),
        )

    def inputs(self, part: ImageSet) -> Tensor:
        """Return the images on [-1, 1]."""
        return part.inputs().float()

    def number_of(self, dataset: str) -> int:
        """Return its place in `LABEL_SETS`."""
        return list(LABEL_SETS).index(dataset)

    @property
    def layout(self) -> Mapping[str, object]:
        """The architecture, and how many classes."""
        return {"architecture": self.architecture, "classes": len(self.names)}

    @property
    def classes(self) -> Mapping[str, int]:
        """Number of classes of the sources."""
        return {name: len(LABEL_SETS[name].names) for name in self.cohort.sources}

    def answers(self, trained: Trained, images: ImageSet) -> Predictions:
        """Return a network's class probabilities for images."""
        logits = predict(trained.network, self.inputs(images))
        return Predictions.from_logits(
            logits.double().numpy(), images.labels.numpy().astype(np.int64), images.patients
        )


def _view(batch: Batch) -> Batch:
    return {**batch, "images": augment(batch["images"])}
