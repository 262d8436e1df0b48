"""Lesson 04: the cells of its recorded experiment, and the numbers of one arm."""

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
from lightning_fabric import Fabric
from numpy.typing import NDArray

from medkd_lib.course.experiments.cmedl_budget import RECORDED, Architecture, Translation
from medkd_lib.course.experiments.cmedl_sources import SARCOMA, material
from medkd_lib.course.experiments.cmedl_study import CmedlStudy, Plan
from medkd_lib.course.experiments.cmedl_translation import translation_report
from medkd_lib.course.experiments.folds import FOLDS
from medkd_lib.course.experiments.mask_measures import joined, measured_masks, usual_place
from medkd_lib.course.experiments.modalities import Modalities
from medkd_lib.course.experiments.outcome import Measured
from medkd_lib.methods.bedside import PSEUDO_ONLY
from medkd_lib.methods.cmedl_parts import STUDENTS
from medkd_lib.train import Trained

# An arm that is no network: a guess without pixels.
GEOMETRY = "geometry"
# Of the surface Dice: a voxel of the chest sections. The paper's tolerance could not be read.
TOLERANCE_MM = 5.0
# A region of four pixels of a chest section on a section without tumour is a false positive.
LEAST_MM2 = 100.0


def run_cell(
    datasets: Sequence[str], roots: Sequence[str], arm: str, seed: int,
    options: Mapping[str, object], fabric: Fabric,
) -> Measured:  # fmt: skip
    """Run one cell: an arm of one training, or of one training per fold.

    All arms of a seed share the training (and a fold has one of its own), which is cached: a
    recording that was cut off goes on where it was.
    """
    folds = range(FOLDS) if datasets[0] == SARCOMA else range(1)
    found = []
    for fold in folds:
        modalities = material(datasets, roots, seed, options, fold)
        found.append(answered(study_of(modalities, seed, options, fabric), arm))
    return joined(found)


def study_of(
    modalities: Modalities, seed: int, options: Mapping[str, object], fabric: Fabric
) -> CmedlStudy:
    """Return the study of a recorded cell, at the budget of the lesson's default profile."""
    names = str(options["students"]).split("+")
    plan = Plan(
        students={name: STUDENTS[name] for name in names},
        architecture=cast(Architecture, options["architecture"]),
        translation=cast(Translation, options["translation"]),
    )
    return CmedlStudy(modalities, RECORDED, plan, seed, fabric)


def answered(study: CmedlStudy, arm: str) -> Measured:
    """Return what an arm answers for the test patients, with its numbers."""
    if arm == GEOMETRY:
        guess = usual_place(study.modalities.train)
        return measured(study, np.repeat(guess[None], len(study.modalities.test), axis=0), {})
    trained = study.train()
    masks = study.masks(trained, arm)
    on_val = study.scores(study.masks(trained, arm, "val"), "val", tolerance_mm=TOLERANCE_MM)
    extras = {"val_dice": float(np.nanmean(on_val.dice))}
    if arm == PSEUDO_ONLY:
        extras |= translation(study, trained, masks)
    return measured(study, masks, extras)


def measured(study: CmedlStudy, masks: NDArray[np.bool_], extras: Mapping[str, float]) -> Measured:
    """Return the numbers of every test case from the masks of its sections."""
    m = study.modalities
    return measured_masks(
        masks, m.test, m.split, extras, tolerance_mm=TOLERANCE_MM, least_mm2=LEAST_MM2
    )


def translation(study: CmedlStudy, trained: Trained, masks: NDArray[np.bool_]) -> dict[str, float]:
    """Return what became of the translated test images; ``masks`` are the teacher's on them."""
    m = study.modalities
    found = study.scores(masks, tolerance_mm=TOLERANCE_MM)
    return translation_report(
        study.translated(trained), m.test, m.teaching, student=m.student, teacher=m.teacher,
        teacher_dice=float(np.nanmean(found.dice)),
    )  # fmt: skip
