"""Lesson 07, boxes: the cells of its recorded experiment, and the numbers of one arm."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import cast

import numpy as np
from lightning_fabric import Fabric

from medkd_lib.course.experiments.box_budget import RECORDED, Architecture
from medkd_lib.course.experiments.box_cohort import BoxCohort, box_cohort, folds_in
from medkd_lib.course.experiments.box_geometry import guessed_boxes
from medkd_lib.course.experiments.box_study import BoxStudy
from medkd_lib.course.experiments.joint_arms import ARMS, GEOMETRY, Arm
from medkd_lib.course.experiments.joint_change import changed
from medkd_lib.course.experiments.joint_probe import probe_numbers
from medkd_lib.course.experiments.mask_measures import joined
from medkd_lib.course.experiments.outcome import Measured
from medkd_lib.data.detection_set import DetectionSet
from medkd_lib.data.store import key_of
from medkd_lib.evaluate.detection import Detections, average_precision
from medkd_lib.evaluate.froc_cases import froc_of_images
from medkd_lib.evaluate.hits import Criterion

# Half of the nodules are under 8 pixels wide: one pixel more on every side takes a quarter of them
# below an IoU of ½. Of a sarcoma that fills half of its window the centre asks little: there, read
# `froc_iou` beside it.
CRITERION: Criterion = "centre"


def run_cell(
    datasets: Sequence[str], roots: Sequence[str], arm: str, seed: int,
    options: Mapping[str, object], fabric: Fabric,
) -> Measured:  # fmt: skip
    """Run one cell: an arm on the patients of a seed; trainings are shared through the cache.

    The first dataset is the target, all others are sources. The real family's target is tested fold
    by fold. With the option ``clean`` sets may share patients, who are left out.

    Raises:
        ValueError: an arm whose sources show another structure; the sets mark one thing.
    """
    way = None if arm == GEOMETRY else ARMS[arm]
    if way and way.material == "other structure":
        raise ValueError(f"arm {arm}: expected one for marked lesions, found another structure")
    folders = {name: Path(root) for name, root in zip(datasets, roots, strict=True)}
    kind = cast(Architecture, options.get("architecture", "faster_rcnn"))
    found = []
    for fold in folds_in(datasets[0]):
        cohort = box_cohort(
            folders, datasets[0], datasets[1:], seed, fold=fold, size=RECORDED.size,
            clean=bool(options.get("clean", False)),
        )  # fmt: skip
        if way is None:
            found.append(guessed(cohort))
            continue
        cohort = changed(cohort, way, seed, other_boxes)
        found.append(answered(BoxStudy(cohort, RECORDED, seed, fabric, kind), way))
    return joined(found)


def other_boxes(images: DetectionSet, of: Sequence[int]) -> DetectionSet:
    """Return images with the boxes of others."""
    return replace(
        images,
        boxes=tuple(images.boxes[row] for row in of),
        labels=tuple(images.labels[row] for row in of),
        fingerprint=key_of(of=images.fingerprint, boxes=list(of)),
    )


def guessed(cohort: BoxCohort) -> Measured:
    """Return what the usual box is worth, without one pixel: `GEOMETRY`."""
    train = cohort.train[cohort.target]
    return _measured(cohort, guessed_boxes(train, cohort.test), guessed_boxes(train, cohort.val))


def answered(study: BoxStudy, arm: Arm) -> Measured:
    """Return what an arm finds on the test images, with its numbers.

    Beside those of every image: average precision, the mean sensitivity on validation patients,
    and of a joint teacher's members how well a probe tells a source from the target, with the
    upper end of the probe's interval.
    """
    trained, cohort = study.train(arm), study.cohort
    found, chosen_by = (study.detections(trained, part) for part in (cohort.test, cohort.val))
    return _measured(cohort, found, chosen_by, probe_numbers(study, arm))


def _measured(
    cohort: BoxCohort, found: Detections, chosen_by: Detections,
    extras: Mapping[str, float] = MappingProxyType({}),
) -> Measured:  # fmt: skip
    """Return the numbers of what was found on the test images, and on validation patients."""
    precision = average_precision(found)
    numbers = {
        "map_50": precision.at_50, "map_coco": precision.coco,
        "froc_val": float(np.nanmean(froc_of_images(chosen_by, CRITERION))),
    }  # fmt: skip
    return Measured(
        cases=list(cohort.test.ids),
        patients=list(cohort.test.patients),
        split=cohort.split,
        values={
            "froc": froc_of_images(found, CRITERION).tolist(),
            "froc_iou": froc_of_images(found).tolist(),
        },
        extras={**numbers, **extras},
    )
