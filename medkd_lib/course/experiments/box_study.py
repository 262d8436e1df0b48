"""Lesson 07, boxes: the three stages where labels are boxes."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Tensor

from medkd_lib.course.experiments.box_budget import Architecture, BoxBudget, detector
from medkd_lib.course.experiments.box_cohort import BoxCohort
from medkd_lib.course.experiments.box_sets import BOX_SETS
from medkd_lib.course.experiments.joint_stages import JointStages
from medkd_lib.data.batches import balanced
from medkd_lib.data.box_batches import padded_boxes
from medkd_lib.data.box_views import box_views
from medkd_lib.data.detection_set import DetectionSet
from medkd_lib.data.file_digest import digest
from medkd_lib.data.unpaired import Drawn
from medkd_lib.evaluate.detection import Detections
from medkd_lib.methods.joint_detection import Detection
from medkd_lib.models.detector import detect
from medkd_lib.models.levels import Levelled
from medkd_lib.train import Trained


class BoxStudy(JointStages[DetectionSet]):
    """Images and boxes of one class.

    Args:
        cohort: of this seed.
        budget: sizes and steps.
        seed: of weights, views and batches.
        fabric: device and precision.
        architecture: of teachers and students.
        max_steps: cut every training after so many steps; 0: no.
        weights: a file that every detector starts from, see `detector`; empty: at random.

    Raises:
        DataError: no such file.
    """

    def __init__(
        self, cohort: BoxCohort, budget: BoxBudget, seed: int, fabric: Fabric,
        architecture: Architecture = "faster_rcnn", max_steps: int = 0, weights: str = "",
    ) -> None:  # fmt: skip
        view = partial(box_views, shift=budget.shift, flip=budget.flip)
        own = budget.of(architecture)
        super().__init__(cohort, own, seed, fabric, Detection(), view, max_steps)
        self.architecture, self.sizes = architecture, budget
        self.weights = Path(weights) if weights else None
        self._digest = digest(self.weights) if self.weights else ""

    def untrained(self, seed: int) -> Levelled:
        """Return a detector with the weights of a seed, or of the file."""
        return detector(self.architecture, self.sizes, seed, self.weights)

    def bank(self, dataset: str, *, more: bool = False) -> Drawn:
        """Return images and boxes, those with a box as often as those without."""
        whole = [self.cohort.train[dataset], *([self.cohort.more] if more else [])]
        parts = [
            part.rows(balanced(torch.tensor([len(b) > 0 for b in part.boxes]).long()).tolist())
            for part in whole
            if len(part)
        ]
        images = torch.cat([self.inputs(part) for part in parts])
        boxes = [b.numpy() for part in parts for b in part.boxes]
        patients = tuple(name for part in parts for name in part.patients)
        return Drawn({"images": images, **padded_boxes(boxes)}, patients)

    def inputs(self, part: DetectionSet) -> Tensor:
        """Return the images on [-1, 1]."""
        return 2 * part.inputs() - 1

    def number_of(self, dataset: str) -> int:
        """Return its place in `BOX_SETS`."""
        return list(BOX_SETS).index(dataset)

    @property
    def layout(self) -> Mapping[str, object]:
        """The architecture, and the file it starts from by what it holds."""
        start = {"weights": self._digest} if self._digest else {}
        return {"architecture": self.architecture, **start}

    def detections(self, trained: Trained, part: DetectionSet) -> Detections:
        """Return what a detector finds beside what is marked."""
        found = detect(trained.network, self.inputs(part))
        return Detections.of(
            [one.boxes.numpy() for one in found], [one.scores.numpy() for one in found],
            [b.numpy() for b in part.boxes], part.patients,
        )  # fmt: skip
