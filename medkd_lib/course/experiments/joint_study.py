"""Lesson 06: the three stages where labels are masks."""

from collections.abc import Mapping

import numpy as np
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor

from medkd_lib.course.experiments.joint_banks import bank, view_of
from medkd_lib.course.experiments.joint_budget import Architecture, Budget, network
from medkd_lib.course.experiments.joint_cohort import JointCohort
from medkd_lib.course.experiments.joint_sets import JOINT_SETS
from medkd_lib.course.experiments.joint_stages import JointStages
from medkd_lib.data.sections import Sections
from medkd_lib.data.unpaired import Drawn
from medkd_lib.methods.joint_segmentation import Segmentation
from medkd_lib.models.levels import Levelled
from medkd_lib.train import Trained, predict


class JointStudy(JointStages[Sections]):
    """Sections and masks.

    Args:
        cohort: of this seed.
        budget: sizes and steps.
        seed: of weights, views and batches.
        fabric: device and precision.
        architecture: of teachers and students.
        max_steps: cut every training after so many steps; 0: no.
    """

    def __init__(
        self, cohort: JointCohort[Sections], budget: Budget, seed: int, fabric: Fabric,
        architecture: Architecture = "unet", max_steps: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(cohort, budget, seed, fabric, Segmentation(), view_of(budget), max_steps)
        self.sections, self.sizes, self.architecture = cohort, budget, architecture

    def untrained(self, seed: int) -> Levelled:
        """Return a network with the weights of a seed."""
        return network(self.architecture, self.sizes, seed)

    def bank(self, dataset: str, *, more: bool = False) -> Drawn:
        """Return sections and masks, see `bank`."""
        return bank(self.sections, dataset, self.sizes.share, more=more)

    def inputs(self, part: Sections) -> Tensor:
        """Return the sections."""
        return part.images["image"].float()

    def number_of(self, dataset: str) -> int:
        """Return its place in `JOINT_SETS`."""
        return list(JOINT_SETS).index(dataset)

    @property
    def layout(self) -> Mapping[str, object]:
        """The architecture."""
        return {"architecture": self.architecture}

    def masks(self, trained: Trained, sections: Sections) -> NDArray[np.bool_]:
        """Return a network's answer to sections, ``(N, H, W)``."""
        logits = predict(trained.network, self.inputs(sections))
        answer: NDArray[np.bool_] = (logits[:, 1] > logits[:, 0]).numpy()
        return answer
