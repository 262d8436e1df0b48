"""Lesson 07, classes: whose images a joint run trains on, real or twins."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

from medkd_lib.course.experiments.joined_sets import check_joined
from medkd_lib.course.experiments.joint_cohort import JointCohort
from medkd_lib.course.experiments.label_images import label_images
from medkd_lib.course.experiments.label_sets import label_set
from medkd_lib.course.experiments.look_alike_patients import ALIKE, without_look_alikes
from medkd_lib.course.experiments.target_division import as_many, divided
from medkd_lib.data.images import ImageSet
from medkd_lib.data.index import index
from medkd_lib.data.look_alikes import look_alikes
from medkd_lib.data.manifest import load_manifest
from medkd_lib.data.split import Split
from medkd_lib.data.store import key_of

LabelCohort: TypeAlias = JointCohort[ImageSet]
TRAIN, VAL = 60, 24


def label_cohort(
    roots: Mapping[str, Path],
    target: str,
    sources: Sequence[str],
    seed: int = 0,
    *,
    fold: int = 0,
    size: int = 64,
    train: int = TRAIN,
    val: int = VAL,
    clean: bool = False,
) -> LabelCohort:
    """Return the material of a joint run: few patients of the target, all of the sources.

    Args:
        roots: folder of every set, real or a twin.
        target: id of the set that the student is for.
        sources: ids of the sets that may help it, all of one of the target's families.
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
    check_joined(roots, names, lambda name: label_set(name).families)
    whole = {name: read_labels(name, roots[name].resolve(), size) for name in names}
    cleaned: dict[str, int] = {}
    if clean:
        whole, cleaned = without_look_alikes(whole, lambda images: images.inputs().float())
    mine = whole[target]
    # of a patient with films of several classes the first one counts
    kinds = dict(zip(reversed(mine.patients), mine.labels.flip(0).tolist(), strict=True))
    who = divided(kinds, target, seed, fold, train, val)
    more = as_many(mine.of(who["more"]), who["more"], sum(len(whole[name]) for name in sources))
    who["more"] = sorted(set(more.patients))
    people = {part: tuple(sorted(group)) for part, group in who.items()}
    people |= {name: tuple(sorted(set(whole[name].patients))) for name in names[1:]}
    return JointCohort(
        target, tuple(sources),
        {target: mine.of(who["train"]), **{name: whole[name] for name in sources}}, more,
        mine.of(who["val"]), mine.of(who["test"]), {},
        Split("+".join([target, *sources]), seed, people).hash, cleaned,
    )  # fmt: skip


@lru_cache(maxsize=8)
def read_labels(dataset: str, root: Path, size: int) -> ImageSet:
    """Return the images of a whole set, look-alikes among films as one patient.

    Args:
        dataset: of the table.
        root: its folder, real or a twin.
        size: pixels of a side.
    """
    found = label_images(index(load_manifest(dataset), root), size)
    return found if label_set(dataset).slices else with_groups(found)


def with_groups(films: ImageSet, least: float = ALIKE) -> ImageSet:
    """Return films in which patients with look-alikes have one name, that of the first of them.

    Sets without patients, or with one patient under two names, would else be divided between a
    film and its copy. Another film of the same person is no look-alike and is not found.

    Args:
        films: of one set.
        least: lowest likeness that counts.
    """
    shown = films.inputs().float()
    group = {name: name for name in films.patients}

    def first(name: str) -> str:
        while group[name] != name:
            name = group[name]
        return name

    for pair in look_alikes(shown, shown, least=least):
        a, b = sorted(first(films.patients[row]) for row in (pair.first, pair.second))
        group[b] = a
    patients = tuple(first(name) for name in films.patients)
    key = key_of(of=films.fingerprint, patients=patients)
    return replace(films, patients=patients, fingerprint=key)
