"""Lesson 07, classes: the cells of its recorded experiment, and the numbers of one arm."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
from lightning_fabric import Fabric

from medkd_lib.course.experiments.joint_arms import ARMS, Arm
from medkd_lib.course.experiments.joint_change import changed
from medkd_lib.course.experiments.joint_probe import probe_numbers
from medkd_lib.course.experiments.label_budget import LESSON, Classifier
from medkd_lib.course.experiments.label_cohort import label_cohort
from medkd_lib.course.experiments.label_sets import label_set
from medkd_lib.course.experiments.label_study import LabelStudy
from medkd_lib.course.experiments.outcome import Measured
from medkd_lib.data.images import ImageSet
from medkd_lib.data.store import key_of
from medkd_lib.evaluate.auc import auc_of_cases
from medkd_lib.evaluate.classify import (
    Predictions,
    balanced_accuracy,
    expected_calibration_error,
)
from medkd_lib.evaluate.disagreement import patient_level
from medkd_lib.train import Trained

# Of a film's side: what lies further in is taken away where only the rim is asked.
RIM = 0.15


def run_cell(
    datasets: Sequence[str], roots: Sequence[str], arm: str, seed: int,
    options: Mapping[str, object], fabric: Fabric,
) -> Measured:  # fmt: skip
    """Run one cell: an arm on the patients of a seed; trainings are shared through the cache.

    The first dataset is the target, all others are sources. With the option ``clean`` sets may
    share patients, who are left out.

    Raises:
        ValueError: an arm whose sources show another structure; an image has one class.
    """
    way = ARMS[arm]
    if way.material == "other structure":
        raise ValueError(
            f"arm {arm}: expected one for images with classes, found another structure"
        )
    folders = {name: Path(root) for name, root in zip(datasets, roots, strict=True)}
    cohort = label_cohort(
        folders, datasets[0], datasets[1:], seed, size=LESSON.size,
        clean=bool(options.get("clean", False)),
    )  # fmt: skip
    kind = cast(Classifier, options.get("architecture", "medvit"))
    cohort = changed(cohort, way, seed, other_labels)
    return answered(LabelStudy(cohort, LESSON, seed, fabric, kind), way)


def other_labels(images: ImageSet, of: Sequence[int]) -> ImageSet:
    """Return images with the classes of others."""
    key = key_of(of=images.fingerprint, labels=list(of))
    return replace(images, labels=images.labels[list(of)], fingerprint=key)


def answered(study: LabelStudy, arm: Arm) -> Measured:
    """Return what an arm answers for the test patients, with its numbers.

    A patient of several slices has one answer, the mean of theirs. Beside the numbers of every
    case: AUC on validation patients, calibration error, balanced accuracy; of films the AUC where
    only their rim is shown, to which little of a lung reaches (read it beside the same number where
    the class does not tell the source); and of a joint teacher's members how well a probe tells a
    source from the target, with the upper end of the probe's interval.
    """
    trained, cohort = study.train(arm), study.cohort
    test = told(study, trained, cohort.test)
    extras = {"auc_val": auc(told(study, trained, cohort.val))}
    extras |= {"ece": expected_calibration_error(test), "balanced": balanced_accuracy(test)}
    films = label_set(cohort.target).slices is None
    if films:
        extras["auc_rim"] = auc(told(study, trained, rim_alone(cohort.test)))
    extras |= probe_numbers(study, arm)
    names = list(cohort.test.ids) if films else list(test.patients)
    return Measured(
        cases=names,
        patients=list(test.patients),
        split=cohort.split,
        values={"auc": auc_of_cases(test).tolist(), "accuracy": test.correct.tolist()},
        extras=extras,
    )


def told(study: LabelStudy, trained: Trained, images: ImageSet) -> Predictions:
    """Return answers: one for each film, or one for each patient of several slices."""
    found = study.answers(trained, images)
    several = label_set(study.cohort.target).slices is not None
    return patient_level(found, "mean") if several else found


def auc(p: Predictions) -> float:
    """Return the macro AUC."""
    return float(auc_of_cases(p).mean())


def rim_alone(films: ImageSet, rim: float = RIM) -> ImageSet:
    """Return films of which nothing but the rim is left; the rest is black.

    Args:
        films: whole ones, uint8.
        rim: its width, as a share of the side.
    """
    width = max(1, round(rim * films.images.shape[-1]))
    images = films.images.clone()
    images[..., width:-width, width:-width] = torch.zeros((), dtype=images.dtype)
    return ImageSet(
        images, films.labels, films.patients, films.ids, f"{films.fingerprint} rim {width}"
    )
