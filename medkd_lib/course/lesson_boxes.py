"""What lesson 07 does around its detectors: sets with boxes, and what to look at."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medkd_lib.course.experiments.box_cohort import BoxCohort, box_cohort
from medkd_lib.course.lesson import Images, open_images
from medkd_lib.course.lesson_joint import named_in
from medkd_lib.course.resolve import Config
from medkd_lib.data.detection_set import DetectionSet
from medkd_lib.evaluate.detection import Detections


@dataclass(frozen=True)
class BoxMaterial:
    """The sets of a run, the target's first, and who is where."""

    images: Sequence[Images]
    cohort: BoxCohort


def open_boxes(config: Config, size: int) -> BoxMaterial:
    """Open what a run's parameters ask for; without ``data_root`` the phantom twins.

    Args:
        config: of lesson 07; ``data_root`` holds a folder per set, named as its manifest.
        size: pixels of a side.
    """
    sources = named_in(config.box_sources)
    counts = {config.box_dataset: config.box_patients}
    counts |= dict.fromkeys(sources, config.box_source_patients)
    images = [
        open_images(
            name, f"{config.data_root}/{name}" if config.data_root else "", patients=count,
            difficulty=config.box_difficulty,
        )
        for name, count in counts.items()
    ]  # fmt: skip
    cohort = box_cohort(
        {i.manifest.id: i.root for i in images}, config.box_dataset, sources, config.seed,
        size=size, train=config.box_train_patients, val=config.box_val_patients, clean=config.clean,
    )  # fmt: skip
    return BoxMaterial(images, cohort)


def typical_boxes(part: DetectionSet, number: int = 3) -> list[int]:
    """Return images with a small, … and a large box, of different patients, by its area."""
    best: dict[str, tuple[float, int]] = {}
    for row, (boxes, patient) in enumerate(zip(part.boxes, part.patients, strict=True)):
        if len(boxes):
            sides = boxes[:, 2:] - boxes[:, :2]
            largest = float(sides.prod(dim=1).max())
            best[patient] = max(best.get(patient, (0.0, row)), (largest, row))
    rows = [row for _, row in sorted(best.values())]
    places = np.linspace(0, len(rows) - 1, min(number, len(rows))).round().astype(int)
    return [rows[k] for k in places]


def some_of(found: Detections, rows: Sequence[int]) -> Detections:
    """Return what was found and what is marked on some images."""
    return Detections(
        boxes=tuple(found.boxes[row] for row in rows),
        scores=tuple(found.scores[row] for row in rows),
        truths=tuple(found.truths[row] for row in rows),
        patients=tuple(found.patients[row] for row in rows),
        classes=tuple(found.classes[row] for row in rows),
        truth_classes=tuple(found.truth_classes[row] for row in rows),
    )
