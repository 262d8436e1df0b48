"""What lesson 07 does around its classifiers: films, their houses, tables of answers."""

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medkd_lib.course.arm_titles import ARM_TITLES
from medkd_lib.course.experiments.joint_cohort import JointCohort, P
from medkd_lib.course.experiments.label_cohort import LabelCohort, label_cohort, read_labels
from medkd_lib.course.experiments.label_sets import label_set
from medkd_lib.course.experiments.outcome import Measured
from medkd_lib.course.lesson import TRUTH_TABLE, Images, open_images
from medkd_lib.course.lesson_joint import named_in
from medkd_lib.course.lesson_segment import there
from medkd_lib.course.resolve import Config
from medkd_lib.data.images import ImageSet
from medkd_lib.evaluate.classify import Predictions
from medkd_lib.evaluate.intervals import patient_bootstrap
from medkd_lib.phantom.twin import COLLAGES, fair_twin

RULER = "more"
Within = Callable[[NDArray[np.float64], NDArray[np.bool_], NDArray[np.str_]], float]


@dataclass(frozen=True)
class LabelMaterial:
    """The sets of a run, the target's first, and who is where.

    Attributes:
        images: of the target and of each source.
        cohort: who is where.
        houses: id of an image of the target → where it was taken; empty where nobody wrote it down.
        fair: films whose class tells nothing of their house; None where no twin can be made so.
    """

    images: Sequence[Images]
    cohort: LabelCohort
    houses: Mapping[str, str]
    fair: ImageSet | None


def open_labels(config: Config, size: int) -> LabelMaterial:
    """Open what a run's parameters ask for; without ``data_root`` the phantom twins.

    Args:
        config: of lesson 07; ``data_root`` holds a folder per set, named as its manifest.
        size: pixels of a side.

    Raises:
        ValueError: no source; a joint teacher needs one.
    """
    if not config.sources:
        raise ValueError(
            "parameter sources: expected one set or more, found none; name one that may help, such "
            "as covid_qu_ex"
        )
    counts = {config.dataset: config.patients}
    counts |= dict.fromkeys(named_in(config.sources), config.source_patients)
    images = [
        open_images(
            name, f"{config.data_root}/{name}" if config.data_root else "", patients=count,
            difficulty=config.difficulty,
            shortcut=config.shortcut if name in COLLAGES and not config.data_root else None,
        )
        for name, count in counts.items()
    ]  # fmt: skip
    cohort = label_cohort(
        {i.manifest.id: i.root for i in images}, config.dataset, named_in(config.sources),
        config.seed, size=size, train=config.train_patients, val=config.val_patients,
        clean=config.clean,
    )  # fmt: skip
    fair = None
    if config.dataset in COLLAGES and not config.data_root:
        root = fair_twin(images[0].manifest, config.fair_patients, config.difficulty)
        fair = read_labels(config.dataset, root.resolve(), size)
    return LabelMaterial(images, cohort, known_of(config.dataset, images[0].root, "source"), fair)


def known_of(dataset: str, root: Path, what: str) -> dict[str, str]:
    """Return what only a phantom knows of each film, by the names of `label_images`.

    Args:
        dataset: of the films.
        root: its folder; of a real set, which has no truth table, nothing is known.
        what: ``source``, the house; or ``person``, whose film it is, under whatever name.
    """
    place = root / TRUTH_TABLE
    if not place.is_file() or label_set(dataset).slices is not None:
        return {}
    with place.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    return {f"{dataset}:{Path(r['file']).stem}": r[what] for r in rows if r.get(what)}


def met_before(material: LabelMaterial) -> int:
    """Return how many test films show a person of whom somebody trains on another film.

    They are no copies, so nobody who has only the films can tell; a phantom can.
    """
    whose: dict[str, str] = {}
    for images in material.images:
        whose |= known_of(images.manifest.id, images.root, "person")
    trains = {whose.get(i) for part in material.cohort.train.values() for i in part.ids}
    return sum(whose.get(i) in trains - {None} for i in material.cohort.test.ids)


def who_learns(cohort: JointCohort[P], shows: str, share: Mapping[str, float]) -> pd.DataFrame:
    """Return patients and images of each part but the ruler's, and a share of its images.

    Args:
        cohort: whose parts.
        shows: what the share is of.
        share: part → it.
    """
    rows = [
        {"part": name, "patients": len(set(part.patients)), "images": len(part),
         shows: f"{share[name]:.0%}" if len(part) else ""}
        for name, part in cohort.parts.items() if name != RULER
    ]  # fmt: skip
    return pd.DataFrame(rows)


def value_table(
    results: Mapping[str, Measured], measures: Mapping[str, str], extras: Mapping[str, str]
) -> pd.DataFrame:
    """Return one row per arm: measures with 95 % intervals over patients, further numbers.

    Args:
        results: arm → its numbers.
        measures: of every case → title.
        extras: of an arm → title; left out where no arm has them.
    """
    rows = []
    for arm, found in results.items():
        row = {"arm": ARM_TITLES[arm]}
        for name, title in measures.items():
            values, who = there(found.values[name], found.patients)
            low, high = patient_bootstrap(values, who)
            row[title] = f"{values.mean():.3f} [{low:.3f}, {high:.3f}]"
        row |= {t: f"{found.extras[n]:.3f}" for n, t in extras.items() if n in found.extras}
        rows.append(row)
    return pd.DataFrame(rows).fillna("")


def within_houses(
    told: Predictions, ids: Sequence[str], houses: Mapping[str, str], auc: Within
) -> tuple[float, list[int]]:
    """Return the share of pairs from one house that are ranked rightly, over all classes.

    Every pair weighs the same; a class that no house has beside another has none.

    Args:
        told: a network's answers.
        ids: of the same images.
        houses: id → where it was taken.
        auc: ``(scores, is_class, houses) -> float``, such as
            `medkd_lib.course.mended_tasks.auc_within`.

    Returns:
        The share (NaN: there is no pair) and the number of pairs of each class.
    """
    where = np.array([houses[i] for i in ids])
    classes = range(told.probabilities.shape[1])
    pairs = [
        int((where[told.labels == c][:, None] == where[told.labels != c]).sum()) for c in classes
    ]
    right = sum(
        count * auc(told.probabilities[:, c], told.labels == c, where)
        for c, count in zip(classes, pairs, strict=True) if count
    )  # fmt: skip
    return (right / sum(pairs) if sum(pairs) else float("nan")), pairs
