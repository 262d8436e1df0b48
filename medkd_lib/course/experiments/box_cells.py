"""Lesson 07, boxes: the cells of its recorded experiment, and the numbers of one arm."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

from lightning_fabric import Fabric

from medkd_lib.course.experiments.box_budget import LESSON, Architecture
from medkd_lib.course.experiments.box_cohort import box_cohort
from medkd_lib.course.experiments.box_study import BoxStudy
from medkd_lib.course.experiments.joint_arms import ARMS, Arm
from medkd_lib.course.experiments.joint_change import changed
from medkd_lib.course.experiments.joint_probe import probe_numbers
from medkd_lib.course.experiments.outcome import Measured
from medkd_lib.data.detection_set import DetectionSet
from medkd_lib.data.store import key_of
from medkd_lib.evaluate.detection import average_precision
from medkd_lib.evaluate.froc_cases import froc_of_images
from medkd_lib.evaluate.hits import Criterion

# Lesions are a dozen pixels wide: a pixel more on every side halves the IoU.
CRITERION: Criterion = "centre"


def run_cell(
    datasets: Sequence[str], roots: Sequence[str], arm: str, seed: int,
    options: Mapping[str, object], fabric: Fabric,
) -> Measured:  # fmt: skip
    """Run one cell: an arm on the patients of a seed; trainings are shared through the cache.

    The first dataset is the target, all others are sources. With the option ``clean`` sets may
    share patients, who are left out.

    Raises:
        ValueError: an arm whose sources show another structure; the sets mark one thing.
    """
    way = ARMS[arm]
    if way.material == "other structure":
        raise ValueError(f"arm {arm}: expected one for marked lesions, found another structure")
    folders = {name: Path(root) for name, root in zip(datasets, roots, strict=True)}
    cohort = box_cohort(
        folders, datasets[0], datasets[1:], seed, size=LESSON.size,
        clean=bool(options.get("clean", False)),
    )  # fmt: skip
    kind = cast(Architecture, options.get("architecture", "faster_rcnn"))
    cohort = changed(cohort, way, seed, other_boxes)
    return answered(BoxStudy(cohort, LESSON, seed, fabric, kind), way)


def other_boxes(images: DetectionSet, of: Sequence[int]) -> DetectionSet:
    """Return images with the boxes of others."""
    return replace(
        images,
        boxes=tuple(images.boxes[row] for row in of),
        labels=tuple(images.labels[row] for row in of),
        fingerprint=key_of(of=images.fingerprint, boxes=list(of)),
    )


def answered(study: BoxStudy, arm: Arm) -> Measured:
    """Return what an arm finds on the test images, with its numbers.

    Beside those of every image: average precision, the mean sensitivity on validation patients,
    and of a joint teacher's members how well a probe tells a source from the target, with the
    upper end of the probe's interval.
    """
    trained, cohort = study.train(arm), study.cohort
    found = study.detections(trained, cohort.test)
    precision = average_precision(found)
    chosen_by = froc_of_images(study.detections(trained, cohort.val), CRITERION)
    extras = {
        "map_50": precision.at_50, "map_coco": precision.coco,
        "froc_val": float(chosen_by[chosen_by == chosen_by].mean()),
    }  # fmt: skip
    extras |= probe_numbers(study, arm)
    return Measured(
        cases=list(cohort.test.ids),
        patients=list(cohort.test.patients),
        split=cohort.split,
        values={
            "froc": froc_of_images(found, CRITERION).tolist(),
            "froc_iou": froc_of_images(found).tolist(),
        },
        extras=extras,
    )
