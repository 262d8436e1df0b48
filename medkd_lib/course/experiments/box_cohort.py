"""Lesson 07, boxes: whose images a joint run trains on, real or twins."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

import torch

from medkd_lib.course.experiments.box_sets import box_set
from medkd_lib.course.experiments.joined_sets import check_joined
from medkd_lib.course.experiments.joint_cohort import JointCohort
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
    fold: int = 0, size: int = 96, train: int = TRAIN, val: int = VAL, clean: bool = False,
) -> BoxCohort:  # fmt: skip
    """Return the material of a joint run: few patients of the target, all of the sources.

    Args:
        roots: folder of every set, real or a twin.
        target: id of the set that the student is for.
        sources: ids of the sets that may help it, of the target's family.
        seed: of who trains and who chooses; test patients do not depend on it.
        fold: whose patients are tested, one of five.
        size: pixels of a side.
        train: labelled patients of the target.
        val: patients of the target to choose by.
        clean: where manifests declare that sets share patients, leave out of the later set every
            patient with an image that looks like one of an earlier one; False: refuse such sets.

    Raises:
        LeakageError: sets that share patients, unless they are to be cleaned.
        ValueError: a set without a folder or of another family, too few patients, or a fold that
            there is none of.
    """
    names = [target, *sources]
    check_joined(roots, names, lambda name: [box_set(name).family])
    whole = {name: _read(name, roots[name].resolve(), size) for name in names}
    cleaned: dict[str, int] = {}
    if clean:
        whole, cleaned = without_look_alikes(whole, lambda part: part.inputs())
    mine = whole[target]
    marked: dict[str, int] = {}
    for name, boxes in zip(mine.patients, mine.boxes, strict=True):
        marked[name] = max(marked.get(name, 0), int(len(boxes) > 0))
    who = divided(marked, target, seed, fold, train, val)
    more = as_many(mine.of(who["more"]), who["more"], sum(len(whole[name]) for name in sources))
    who["more"] = sorted(set(more.patients))
    people = {part: tuple(sorted(group)) for part, group in who.items()}
    people |= {name: tuple(sorted(set(whole[name].patients))) for name in sources}
    return JointCohort(
        target, tuple(sources),
        {target: mine.of(who["train"]), **{name: whole[name] for name in sources}},
        more, mine.of(who["val"]), mine.of(who["test"]), {},
        Split("+".join(names), seed, people).hash, cleaned,
    )  # fmt: skip


@lru_cache(maxsize=8)
def _read(dataset: str, root: Path, size: int) -> DetectionSet:
    """Return a set's images, all boxes of one class, patients named with the dataset."""
    chosen = box_set(dataset)
    plain = load_detections(index(load_manifest(dataset), root), size, window_hu=chosen.window_hu)
    return replace(
        plain,
        labels=tuple(torch.ones_like(kinds) for kinds in plain.labels),
        ids=tuple(f"{dataset}:{i}" for i in plain.ids),
        patients=tuple(f"{dataset}:{p}" for p in plain.patients),
        fingerprint=key_of(of=plain.fingerprint, dataset=dataset),
    )
