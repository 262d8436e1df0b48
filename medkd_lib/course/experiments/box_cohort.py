"""Lesson 07, boxes: whose images a joint run trains on, real or twins."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

import torch

from medkd_lib.course.experiments.box_sets import box_set
from medkd_lib.course.experiments.box_windows import boxed_windows
from medkd_lib.course.experiments.folds import FOLDS
from medkd_lib.course.experiments.joined_sets import check_joined
from medkd_lib.course.experiments.joint_cohort import JointCohort
from medkd_lib.course.experiments.joint_sources import REAL_TRAIN, REAL_VAL
from medkd_lib.course.experiments.look_alike_patients import without_look_alikes
from medkd_lib.course.experiments.target_division import as_many, divided
from medkd_lib.data.detection_set import DetectionSet, load_detections
from medkd_lib.data.index import index
from medkd_lib.data.manifest import load_manifest
from medkd_lib.data.split import Split
from medkd_lib.data.store import key_of

BoxCohort: TypeAlias = JointCohort[DetectionSet]
TRAIN, VAL = 16, 8


def box_cohort(
    roots: Mapping[str, Path], target: str, sources: Sequence[str], seed: int = 0, *,
    fold: int = 0, size: int = 96, train: int | None = None, val: int | None = None,
    clean: bool = False,
) -> BoxCohort:  # fmt: skip
    """Return the material of a joint run: few patients of the target, all of the sources.

    Args:
        roots: folder of every set, real or a twin.
        target: id of the set that the student is for.
        sources: ids of the sets that may help it, of the target's family.
        seed: of who trains, who chooses and where windows lie in training; test images do not
            depend on it.
        fold: whose patients are tested, one of five.
        size: pixels of a side.
        train: labelled patients of the target; None: `TRAIN`, of the real family `REAL_TRAIN`.
        val: patients of the target to choose by; likewise.
        clean: where manifests declare that sets share patients, leave out of the later set every
            patient with an image that looks like one of an earlier one; False: refuse such sets.

    Raises:
        LeakageError: sets that share patients, unless they are to be cleaned.
        ValueError: a set without a folder or of another family, too few patients, or a fold that
            there is none of.
    """
    names = [target, *sources]
    check_joined(roots, names, lambda name: [box_set(name).family])
    few = box_set(target).family == "real"
    train = (REAL_TRAIN if few else TRAIN) if train is None else train
    val = (REAL_VAL if few else VAL) if val is None else val
    still = _images(target, roots[target], size)
    whole = {name: _images(name, roots[name], size, seed) for name in names}
    cleaned: dict[str, int] = {}
    if clean:
        whole, cleaned = without_look_alikes(whole, lambda part: part.inputs())
    mine = whole[target]
    marked: dict[str, int] = {}
    for name, boxes in zip(still.patients, still.boxes, strict=True):
        marked[name] = max(marked.get(name, 0), int(len(boxes) > 0))
    who = divided(marked, target, seed, fold, train, val)
    more = as_many(mine.of(who["more"]), who["more"], sum(len(whole[name]) for name in sources))
    who["more"] = sorted(set(more.patients))
    people = {part: tuple(sorted(group)) for part, group in who.items()}
    people |= {name: tuple(sorted(set(whole[name].patients))) for name in sources}
    return JointCohort(
        target, tuple(sources),
        {target: mine.of(who["train"]), **{name: whole[name] for name in sources}},
        more, still.of(who["val"]), still.of(who["test"]), {},
        Split("+".join(names), seed, people).hash, cleaned,
    )  # fmt: skip


def folds_in(target: str) -> range:
    """Return the folds that answer: all five of the real family's sets, the first of any other."""
    return range(FOLDS if box_set(target).family == "real" else 1)


def _images(dataset: str, root: Path, size: int, seed: int = 0) -> DetectionSet:
    """Return the images of a set; those that are no windows are the same whatever the seed."""
    return _read(dataset, root.resolve(), size, seed if box_set(dataset).windows else 0)


@lru_cache(maxsize=8)
def _read(dataset: str, root: Path, size: int, seed: int) -> DetectionSet:
    """Return a set's images, all boxes of one class, patients named with the dataset."""
    chosen, found = box_set(dataset), index(load_manifest(dataset), root)
    if chosen.windows is None:
        plain = load_detections(found, size, window_hu=chosen.window_hu)
    else:
        assert chosen.window_hu is not None  # windows are of CT
        plain = boxed_windows(found, chosen.windows, chosen.window_hu, size, seed)
    return replace(
        plain,
        labels=tuple(torch.ones_like(kinds) for kinds in plain.labels),
        ids=tuple(f"{dataset}:{i}" for i in plain.ids),
        patients=tuple(f"{dataset}:{p}" for p in plain.patients),
        fingerprint=key_of(of=plain.fingerprint, dataset=dataset),
    )
