"""Lesson 04: one run of CMEDL with all its students, and what each of them answers."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass, field, replace
from typing import cast

import numpy as np
import pandas as pd
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor, nn

from medkd_lib.course.experiments.cmedl_budget import Architecture, Budget, Translation, method
from medkd_lib.course.experiments.modalities import Modalities
from medkd_lib.data.sections import Sections
from medkd_lib.data.unpaired import UnpairedBatches
from medkd_lib.evaluate.segment import measure_cases
from medkd_lib.evaluate.stack import volumes
from medkd_lib.methods.base import Method, bare
from medkd_lib.methods.bedside import PSEUDO_ONLY, at_bedside
from medkd_lib.methods.cmedl import CMEDL
from medkd_lib.methods.cmedl_parts import STUDENTS, Hints, Student, Weights
from medkd_lib.train import Trained, fit_cached, predict

# An arm that is no student: the teacher on true images of its own modality.
TEACHER = "teacher_true"


@dataclass(frozen=True)
class Plan:
    """What a run is, beside its patients and its budget; all of it is part of the cache key.

    Attributes:
        students: name → what it is given.
        architecture: of teacher and students.
        translation: which translator.
        hints: how features are handed on.
        weights: of everything else.
    """

    students: Mapping[str, Student] = field(default_factory=lambda: dict(STUDENTS))
    architecture: Architecture = "unet"
    translation: Translation = "cyclegan"
    hints: Hints = Hints()  # noqa: RUF009
    weights: Weights = Weights()  # noqa: RUF009


class CmedlStudy:
    """Patients, a budget and a plan; trains once and answers for every arm.

    Args:
        modalities: who trains and who is tested.
        budget: sizes and steps; its views are mirrored only where a mirror image is a patient.
        plan: students and switches; students with true hints need paired modalities.
        seed: of weights and batches.
        fabric: device and precision.
        max_steps: cut the training after so many steps; 0: no.

    Raises:
        ValueError: a student with true hints, and nobody knows the truth.
    """

    def __init__(
        self, modalities: Modalities, budget: Budget, plan: Plan, seed: int, fabric: Fabric,
        max_steps: int = 0,
    ) -> None:  # fmt: skip
        asking = [name for name, s in plan.students.items() if s.hints == "true"]
        if asking and not modalities.paired:
            raise ValueError(
                f"students {asking}: expected the {modalities.teacher} of the student's own "
                "patients, which this set does not hold; leave them out"
            )
        if not modalities.mirrored:
            budget = replace(budget, flip=0.0)
        self.modalities, self.budget, self.plan = modalities, budget, plan
        self.seed, self.fabric, self.max_steps = seed, fabric, max_steps
        self.sets = modalities.sets()

    def train(self, *, progress: bool = False) -> Trained:
        """Train everything at once (cached); the network is a dictionary of all that may leave."""
        m, b, plan = self.modalities, self.budget, self.plan
        inputs: dict[str, object] = {
            "budget": asdict(b),
            "plan": {
                "students": {name: asdict(s) for name, s in plan.students.items()},
                "architecture": plan.architecture,
                "translation": plan.translation,
                "hints": asdict(plan.hints),
                "weights": asdict(plan.weights),
            },
            "modalities": m.fingerprint,
            "split": m.split,
            "seed": self.seed,
        }
        return fit_cached(
            lambda: method(
                b, students=plan.students, architecture=plan.architecture,
                translation=plan.translation, hints=plan.hints, weights=plan.weights,
                seed=self.seed,
            ),
            lambda start: UnpairedBatches(self.sets, b.batch_size, self.seed, start),
            min(b.steps, self.max_steps) if self.max_steps else b.steps,
            self.fabric,
            inputs=inputs,
            rooms=("course/experiments",),
            keep=kept,
            progress="cmedl" if progress else "",
        )  # fmt: skip

    @property
    def arms(self) -> list[str]:
        """What can be asked for an answer: students, the teacher behind the generator, and alone.

        The teacher alone needs test patients who are known in its own modality.
        """
        known = self.modalities.teacher in self.modalities.test.images
        return [*self.plan.students, PSEUDO_ONLY, *([TEACHER] if known else [])]

    def network(self, trained: Trained, arm: str) -> nn.Module:
        """Return what an arm needs at the bedside."""
        parts = cast(nn.ModuleDict, trained.network)
        if arm == TEACHER:
            return parts["teacher"]
        network = parts["teacher" if arm == PSEUDO_ONLY else f"student_{arm}"]
        return at_bedside(network, parts["carrier"], self.plan.students.get(arm))

    def masks(self, trained: Trained, arm: str, part: str = "test") -> NDArray[np.bool_]:
        """Return an arm's answer to every section of a part, ``(N, H, W)``."""
        sections: Sections = getattr(self.modalities, part)
        m = self.modalities
        images = sections.images[m.teacher if arm == TEACHER else m.student]
        logits = predict(self.network(trained, arm), images)
        answer: NDArray[np.bool_] = (logits[:, 1] > logits[:, 0]).numpy()
        return answer

    def translated(self, trained: Trained, part: str = "test") -> Tensor:
        """Return a part's sections in the teacher's modality, as the generator paints them."""
        sections: Sections = getattr(self.modalities, part)
        carrier = cast(nn.ModuleDict, trained.network)["carrier"]
        return predict(carrier, sections.images[self.modalities.student])

    def there_and_back(
        self, trained: Trained, images: Tensor, modality: str
    ) -> tuple[Tensor, Tensor]:
        """Return images in the other modality, and what becomes of those on the way back.

        Args:
            trained: of `train`.
            images: ``(N, 1, H, W)``.
            modality: what they show, the student's or the teacher's.
        """
        parts = cast(nn.ModuleDict, trained.network)
        ways = [parts["carrier"], parts["returner"]]
        first, second = ways if modality == self.modalities.student else ways[::-1]
        there = predict(first, images)
        return there, predict(second, there)

    def scores(
        self, masks: NDArray[np.bool_], part: str = "test", *, tolerance_mm: float
    ) -> pd.DataFrame:
        """Return overlap and distances of each patient of a part, see `measure_cases`."""
        sections: Sections = getattr(self.modalities, part)
        truth = sections.masks.numpy() > 0
        return measure_cases(
            volumes(masks, sections.ids), volumes(truth, sections.ids), sections.spacing_mm,
            tolerance_mm,
        )  # fmt: skip


def kept(trained: Method) -> nn.Module:
    """Return every network that an arm or a figure needs, each once."""
    cmedl = cast(CMEDL, trained)
    parts = {
        "carrier": cmedl.translator.carrier(),
        # Some translators share a network between both ways; a file holds no tensor twice.
        "returner": deepcopy(cmedl.translator.returner()),
        "teacher": bare(cmedl.networks["teacher"]),
    }
    parts |= {
        name: bare(network)
        for name, network in cmedl.networks.items()
        if name.startswith("student_")
    }
    return nn.ModuleDict(parts).eval()
