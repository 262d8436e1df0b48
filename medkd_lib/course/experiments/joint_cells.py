"""Lesson 06: the cells of its recorded experiment, and the numbers of one arm."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np
from lightning_fabric import Fabric
from numpy.typing import NDArray

from medkd_lib.course.experiments.joint_arms import ARMS, GEOMETRY, Arm
from medkd_lib.course.experiments.joint_budget import RECORDED, Architecture
from medkd_lib.course.experiments.joint_change import changed, other_masks
from medkd_lib.course.experiments.joint_cohort import JointCohort
from medkd_lib.course.experiments.joint_probe import probe_numbers
from medkd_lib.course.experiments.joint_sets import Foreground
from medkd_lib.course.experiments.joint_sources import folds_in, joint_cohort
from medkd_lib.course.experiments.joint_study import JointStudy
from medkd_lib.course.experiments.mask_measures import (
    joined,
    measured_masks,
    scores,
    usual_place,
)
from medkd_lib.course.experiments.outcome import Measured
from medkd_lib.data.sections import Sections

# Below this a patient's lesion was hardly found.
MISSED = 0.05


def run_cell(
    datasets: Sequence[str], roots: Sequence[str], arm: str, seed: int,
    options: Mapping[str, object], fabric: Fabric,
) -> Measured:  # fmt: skip
    """Run one cell: an arm on the patients of a seed; trainings are shared through the cache.

    The first dataset is the target, those in the option ``external`` are only tested on, all
    others are sources. The real family's target is tested fold by fold. The option ``judged_on``
    names an external set whose cases are measured in the place of the target's test patients: the
    trainings are the same ones.
    """
    folders = {name: Path(root) for name, root in zip(datasets, roots, strict=True)}
    external = [name for name in str(options.get("external", "")).split("+") if name]
    sources = [name for name in datasets[1:] if name not in external]
    way = None if arm == GEOMETRY else ARMS[arm]
    shows: Foreground = "other" if way and way.material == "other structure" else "lesion"
    judged_on = str(options.get("judged_on", ""))
    found = []
    for fold in folds_in(datasets[0]):
        cohort = joint_cohort(
            folders, datasets[0], sources, external, seed, fold=fold, sources_show=shows
        )
        if way is None:
            found.append(guessed(cohort, judged_on))
            continue
        study = JointStudy(
            changed(cohort, way, seed, other_masks), RECORDED, seed, fabric,
            cast(Architecture, options.get("architecture", "unet")),
        )  # fmt: skip
        found.append(answered(study, way, judged_on))
    return joined(found)


def guessed(cohort: JointCohort[Sections], judged_on: str = "") -> Measured:
    """Return what the usual place of a lesson is worth, without one pixel: `GEOMETRY`."""
    guess = usual_place(cohort.train[cohort.target])
    judged = _judged(cohort, judged_on)
    return _measured(cohort.split, judged, np.repeat(guess[None], len(judged), axis=0), {})


def answered(study: JointStudy, arm: Arm, judged_on: str = "") -> Measured:
    """Return what an arm answers for the test patients, with its numbers.

    Beside those of every case: the mean Dice of validation patients and of every external set, the
    share of test patients whose lesion was hardly found, the mean of the worst tenth, and of a
    joint teacher's members what each knows of its own source's training patients, how well a probe
    tells that source from the target, and the upper end of the probe's interval.

    Args:
        study: whose trainings.
        arm: what answers.
        judged_on: an external set to be measured; empty: the target's test patients.
    """
    trained, cohort = study.train(arm), study.cohort
    extras = {"val_dice": _mean_dice(study.masks(trained, cohort.val), cohort.val)}
    for name, sections in cohort.external.items():
        extras[f"dice_{name}"] = _mean_dice(study.masks(trained, sections), sections)
    extras |= probe_numbers(study, arm)
    if arm.teacher == "joint" and arm.members == "sources":
        for source in cohort.sources:
            own = cohort.train[source]
            teacher = study.source_teacher(source, arm.domain)
            extras[f"taught_{source}"] = _mean_dice(study.masks(teacher, own), own)
    judged = _judged(cohort, judged_on)
    found = _measured(cohort.split, judged, study.masks(trained, judged), extras)
    dice = np.sort(np.asarray(found.values["dice"]))
    dice = dice[np.isfinite(dice)]
    tail = {
        "missed": float((dice < MISSED).mean()),
        "dice_median": float(np.median(dice)),
        "dice_worst_tenth": float(dice[: max(1, round(len(dice) / 10))].mean()),
    }
    return Measured(
        found.cases, found.patients, found.split, found.values, found.strata, extras | tail
    )


def tolerance_mm(sections: Sections) -> float:
    """Return the tolerance of the surface Dice: a pixel of the sections."""
    return sections.spacing_mm[0]


def _judged(cohort: JointCohort[Sections], judged_on: str) -> Sections:
    return cohort.external[judged_on] if judged_on else cohort.test


def _measured(
    split: str, judged: Sections, masks: NDArray[np.bool_], extras: Mapping[str, float]
) -> Measured:
    pixel = tolerance_mm(judged)
    return measured_masks(masks, judged, split, extras, tolerance_mm=pixel, least_mm2=4 * pixel**2)


def _mean_dice(masks: NDArray[np.bool_], sections: Sections) -> float:
    found = scores(masks, sections, tolerance_mm=tolerance_mm(sections))
    return float(np.nanmean(found.dice))
