"""How the weights of lesson 03 were chosen: five values for each arm, on validation patients alone.

Seeds 11 to 14 divide the subtle phantom's patients; none of them is recorded, and the test patients
are not looked at. Prints a part of ``notebooks/results/03/choice.csv``: arm, value, seed and the
balanced accuracy on that seed's validation patients. A seed takes about six minutes of one core:

    python tools/choose_weights.py 11
"""

import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from medkd_lib.course.experiments.student_arms import ARMS, CHOSEN, STRENGTHS, Arm
from medkd_lib.course.experiments.students import StudentStudy
from medkd_lib.course.experiments.teacher_arms import LESSON
from medkd_lib.course.experiments.teachers import TeacherStudy, at_most, source_of
from medkd_lib.data.batches import Batch, balanced, batches
from medkd_lib.data.manifest import load_manifest
from medkd_lib.evaluate.classify import balanced_accuracy
from medkd_lib.methods.base import Method
from medkd_lib.methods.feature_kd import FeatureKD
from medkd_lib.phantom.twin import twin
from medkd_lib.train import fit

FACTORS = (10.0, 1.0, 0.1, 0.01, 0.001)
SMOOTHING = (0.02, 0.05, 0.1, 0.2, 0.3)
# alpha and temperature
LOGITS = ((0.9, 4.0), (0.5, 4.0), (0.2, 4.0), (0.5, 2.0), (0.5, 8.0))
ADVERSARIAL = (0.5, 0.05, 0.005, 0.0005, 0.0)


def candidates(study: TeacherStudy) -> dict[tuple[str, str], Callable[[], Method]]:
    """Return how to make every arm's method with each of its five values."""
    teacher = study.train("hybrid").network

    def of(arm: Arm, **settings: Any) -> Method:
        return StudentStudy(study, **settings).method(arm, teacher)

    def weighed(arm: Arm, factor: float) -> Method:
        made = of(replace(arm, usual=True))
        if not isinstance(made, FeatureKD):
            raise TypeError(f"{arm}: expected a method with one weighed term, found {made}")
        made.weight *= factor
        return made

    def smoothed(share: float) -> Method:
        return StudentStudy(study).method(replace(ARMS["smooth"], smoothing=share), None)

    found: dict[tuple[str, str], Callable[[], Method]] = {}
    for share in SMOOTHING:
        found["smooth", f"{share:g}"] = partial(smoothed, share)
    for alpha, temperature in LOGITS:
        value = f"{alpha:g} at T = {temperature:g}"
        found["kd", value] = partial(of, ARMS["kd"], alpha=alpha, temperature=temperature)
    for arm in STRENGTHS:
        for factor in FACTORS:
            found[arm, f"{factor:g}"] = partial(weighed, ARMS[arm], factor)
    for factor in FACTORS:
        parts = replace(CHOSEN, lambda_pca=factor, lambda_gl=factor)
        for part in ("pca", "gl"):
            found[part, f"{factor:g}"] = partial(of, ARMS[part], parts=parts)
    for weight in ADVERSARIAL:
        parts = replace(CHOSEN, lambda_adversarial=weight)
        found["cakd", f"{weight:g}"] = partial(of, ARMS["cakd"], parts=parts)
    return found


def main(seed: int) -> None:
    """Train every candidate once and print its line."""
    torch.set_num_threads(1)
    root = twin(load_manifest("brats2023_gli"), patients=120, difficulty="subtle")
    source = source_of(("brats2023_gli",), (str(root),), LESSON.sampling, "level")
    fabric = Fabric(accelerator="cpu", devices=1)
    study = TeacherStudy(source.divided(seed), LESSON, seed, fabric)
    images = study.cohort.parts["train"]
    tensors = {
        "images": at_most(images.inputs(), LESSON.base),
        "labels": images.labels,
        "labelled": torch.ones(len(images)),
    }
    loader = partial(_from, tensors, balanced(images.labels), seed)
    print("arm,value,seed,val_balanced_accuracy")
    for (arm, value), make in candidates(study).items():
        torch.manual_seed(seed)
        method = make()
        fit(method, loader, LESSON.student_steps, fabric)
        found = balanced_accuracy(study.predictions(method.deployable(), "val"))
        print(f"{arm},{value},{seed},{found:.4f}", flush=True)


def _from(tensors: dict[str, Tensor], rows: Tensor, seed: int, start: int) -> Iterable[Batch]:
    """Return endless batches that begin at a step."""
    return batches(tensors, LESSON.batch_size, seed, start=start, rows=rows)


if __name__ == "__main__":
    main(int(sys.argv[1]))
