"""Lesson 07, classes: the cells of its recorded experiment, and the numbers of one arm."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
from lightning_fabric import Fabric

from medkd_lib.course.experiments.joint_arms import ALONE, ARMS, Arm
from medkd_lib.course.experiments.joint_change import changed
from medkd_lib.course.experiments.joint_probe import probe_numbers
from medkd_lib.course.experiments.label_budget import RECORDED, Classifier
from medkd_lib.course.experiments.label_cohort import LabelCohort, label_cohort, read_labels
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
# An arm that is trained and tested on the target's rims.
RIM_ALONE = "rim"


def run_cell(
    datasets: Sequence[str], roots: Sequence[str], arm: str, seed: int,
    options: Mapping[str, object], fabric: Fabric,
) -> Measured:  # fmt: skip
    """Run one cell: an arm on the patients of a seed; trainings are shared through the cache.

    The first dataset is the target, all others are sources; one folder more holds a fair twin of
    the target (`medkd_lib.phantom.twin.fair_twin`). With the option ``judged_on: fair`` its films
    are measured in the place of the target's test patients: the trainings are the same ones. With
    the option ``clean`` sets may share patients, who are left out.

    Raises:
        ValueError: an arm whose sources show another structure; an image has one class.
    """
    way = ALONE if arm == RIM_ALONE else ARMS[arm]
    if way.material == "other structure":
        raise ValueError(
            f"arm {arm}: expected one for images with classes, found another structure"
        )
    names = len(datasets)
    folders = {name: Path(root) for name, root in zip(datasets, roots[:names], strict=True)}
    cohort = label_cohort(
        folders, datasets[0], datasets[1:], seed, size=RECORDED.size,
        clean=bool(options.get("clean", False)),
    )  # fmt: skip
    fair = None
    if roots[names:]:
        fair = read_labels(datasets[0], Path(roots[names]).resolve(), RECORDED.size)
    if arm == RIM_ALONE:
        cohort, fair = rim_cohort(cohort), None if fair is None else rim_alone(fair)
    kind = cast(Classifier, options.get("architecture", "medvit"))
    study = LabelStudy(changed(cohort, way, seed, other_labels), RECORDED, seed, fabric, kind)
    return answered(study, way, fair, str(options.get("judged_on", "")))


def other_labels(images: ImageSet, of: Sequence[int]) -> ImageSet:
    """Return images with the classes of others."""
    key = key_of(of=images.fingerprint, labels=list(of))
    return replace(images, labels=images.labels[list(of)], fingerprint=key)


def answered(
    study: LabelStudy, arm: Arm, fair: ImageSet | None = None, judged_on: str = ""
) -> Measured:
    """Return what an arm answers for the test patients, with its numbers.

    A patient of several slices has one answer, the mean of theirs. Beside the numbers of every
    case: AUC on validation patients, calibration error, balanced accuracy; of films the AUC where
    only their rim is shown, to which little of a lung reaches (read it beside the same number where
    the class does not tell the source); and of a joint teacher's members how well a probe tells a
    source from the target, with the upper end of the probe's interval.

    Args:
        study: whose trainings.
        arm: what answers.
        fair: films whose class tells nothing of their source; None: there are none.
        judged_on: ``fair`` to measure those; empty: the target's test patients.

    Raises:
        ValueError: fair films are to be measured and not there, or something else is.
    """
    if judged_on not in ("", "fair") or (judged_on and fair is None):
        raise ValueError(
            f"judged_on: expected fair, with films of a fair twin, or nothing, found {judged_on!r} "
            f"and {'no' if fair is None else len(fair)} films; give the setting `fair`"
        )
    trained, cohort = study.train(arm), study.cohort
    judged = fair if judged_on and fair is not None else cohort.test
    test = told(study, trained, judged)
    extras = {"auc_val": auc(told(study, trained, cohort.val))}
    extras |= {"ece": expected_calibration_error(test), "balanced": balanced_accuracy(test)}
    films = label_set(cohort.target).slices is None
    if films:
        extras["auc_rim"] = auc(told(study, trained, rim_alone(judged)))
    if fair is not None:
        extras["auc_fair"] = auc(told(study, trained, fair))
    extras |= probe_numbers(study, arm)
    names = list(judged.ids) if films else list(test.patients)
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


def rim_cohort(cohort: LabelCohort) -> LabelCohort:
    """Return a cohort of whose target nothing but the rim is left, and nobody else: `RIM_ALONE`.

    What is learnt from it is learnt from no lung.

    Raises:
        ValueError: a target of stripped brains, whose rim is black.
    """
    if label_set(cohort.target).slices is not None:
        raise ValueError(f"{RIM_ALONE}: expected films, found {cohort.target}, whose rim is black")
    mine = {cohort.target: rim_alone(cohort.train[cohort.target])}
    return replace(
        cohort, sources=(), train=mine, more=rim_alone(cohort.more), val=rim_alone(cohort.val),
        test=rim_alone(cohort.test),
    )  # fmt: skip


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
