"""Lesson 06: whose sections a joint run trains on, real or twins."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from medkd_lib.course.experiments.folds import FOLDS, folds_of
from medkd_lib.course.experiments.joined_sets import check_joined
from medkd_lib.course.experiments.joint_cohort import SectionCohort
from medkd_lib.course.experiments.joint_sections import joint_sections
from medkd_lib.course.experiments.joint_sets import Foreground, joint_set
from medkd_lib.course.experiments.modalities import held_out
from medkd_lib.course.experiments.target_division import as_many
from medkd_lib.data.index import index
from medkd_lib.data.manifest import load_manifest
from medkd_lib.data.sections import Sections
from medkd_lib.data.split import Split

TRAIN, VAL = 14, 6
# Of the real family's small sets fewer patients are left beside a tested fold.
REAL_TRAIN, REAL_VAL = 10, 2


def joint_cohort(
    roots: Mapping[str, Path],
    target: str,
    sources: Sequence[str],
    external: Sequence[str] = (),
    seed: int = 0,
    *,
    fold: int = 0,
    train: int | None = None,
    val: int | None = None,
    sources_show: Foreground = "lesion",
) -> SectionCohort:
    """Return the material of a joint run: few patients of the target, all of the sources.

    Args:
        roots: folder of every set, real or a twin.
        target: id of the set that the student is for.
        sources: ids of the sets that may help it, all of the target's family.
        external: ids of sets that nobody trains on, of which everybody is tested.
        seed: of who trains, who chooses and where windows lie; test patients do not depend on it.
        fold: whose patients are tested, one of `folds_in`; elsewhere than in the real family a
            share is held out once.
        train: labelled patients of the target; None: `TRAIN`, of the real family `REAL_TRAIN`.
        val: patients of the target to choose by; likewise.
        sources_show: ``other`` labels another structure of the sources than what is looked for:
            the control with unrelated sources.

    Raises:
        LeakageError: sets that share patients.
        ValueError: a set without a folder or of another family, too few patients of the target, or
            a fold that there is none of.
    """
    few = joint_set(target).family == "real"
    train = (REAL_TRAIN if few else TRAIN) if train is None else train
    val = (REAL_VAL if few else VAL) if val is None else val
    check_joined(roots, [target, *sources, *external], lambda name: [joint_set(name).family])
    if fold not in folds_in(target):
        raise ValueError(f"fold: expected one of {list(folds_in(target))}, found {fold}")
    still = _sections(target, roots[target], "lesion")
    who = _divided(still, target, seed, fold, train, val)
    moving = _sections(target, roots[target], "lesion", moving=True, seed=seed)
    helping = {
        name: _sections(name, roots[name], sources_show, moving=True, seed=seed) for name in sources
    }
    elsewhere = {name: _sections(name, roots[name], "lesion") for name in external}
    more = as_many(moving.of(who["more"]), who["more"], sum(map(len, helping.values())))
    names = {part: tuple(sorted(people)) for part, people in who.items()}
    names["more"] = tuple(sorted(set(more.patients)))
    names |= {
        name: tuple(sorted(set(sections.patients)))
        for name, sections in {**helping, **elsewhere}.items()
    }
    return SectionCohort(
        target, tuple(sources), {target: moving.of(who["train"]), **helping}, more,
        still.of(who["val"]), still.of(who["test"]), elsewhere,
        Split("+".join([target, *sources]), seed, names).hash,
    )  # fmt: skip


def folds_in(target: str) -> range:
    """Return the folds of a target: five of the real family's small sets, one of any other."""
    return range(FOLDS if joint_set(target).family == "real" else 1)


def _divided(
    sections: Sections, target: str, seed: int, fold: int, train: int, val: int
) -> dict[str, list[str]]:
    """Return the patients of ``test``, ``val``, ``train`` and, all others, ``more``."""
    names = sorted(set(sections.patients))
    several = len(folds_in(target)) > 1
    test = folds_of(names)[fold] if several else list(held_out(names, target))
    rest = [name for name in names if name not in test]
    if min(train, val, len(test)) < 1 or len(rest) < train + val:
        raise ValueError(
            f"{target}: expected {train} patients to train and {val} to choose by beside "
            f"{len(test)} for testing, found {len(rest)}; make or fetch more, or ask for fewer"
        )
    order = np.random.default_rng([seed, fold]).permutation(len(rest))
    drawn = [rest[i] for i in order]
    return {
        "test": test, "val": drawn[:val], "train": drawn[val : val + train],
        "more": drawn[val + train :],
    }  # fmt: skip


def _sections(
    dataset: str, root: Path, foreground: Foreground, *, moving: bool = False, seed: int = 0
) -> Sections:
    """Return the sections of a set; those that are no windows are the same wherever they go."""
    if not (moving and joint_set(dataset).windows):
        moving, seed = False, 0
    return _read(dataset, root.resolve(), foreground, moving, seed)


@lru_cache(maxsize=8)
def _read(dataset: str, root: Path, foreground: Foreground, moving: bool, seed: int) -> Sections:
    found = index(load_manifest(dataset), root)
    return joint_sections(found, foreground, moving=moving, seed=seed)
