"""Lesson 04: whose sections a run trains on: chests, sarcomas, abdomens; real or twins."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import cast

import numpy as np

from medkd_lib.course.experiments.abdomen_sections import (
    COARSE_ABDOMEN,
    paired_sections,
    t1_sections,
)
from medkd_lib.course.experiments.folds import folds_of
from medkd_lib.course.experiments.lung_sections import COARSE, Frame, lung_sections, true_mr
from medkd_lib.course.experiments.modalities import Modalities, divide, held_out, with_truth
from medkd_lib.course.experiments.sts_sections import sts_sections
from medkd_lib.data.index import Index, index
from medkd_lib.data.manifest import load_manifest
from medkd_lib.data.sections import Sections
from medkd_lib.data.split import Split
from medkd_lib.phantom.chest_settings import Difficulty, Size

# What a chest set shows; the first of two joined sets is the student's.
CHESTS: Mapping[str, str] = {
    "msd_task06_lung": "ct",
    "nsclc_radiomics": "ct",
    "cmedl_private_mr_cohort": "mr",
}
SARCOMA = "sts_petctmr"
VALIDATE = 2
ABDOMEN = "chaos"
# Fewer cannot be divided into train, more and val; a collapse shows between two teachers or more.
FEWEST_STUDENTS, FEWEST_TEACHERS = 5, 2


def chests(
    student: Index, teacher: Index, seed: int, *, difficulty: str = "", truth: bool = True,
    frame: Frame = COARSE, size: str = "small",
) -> Modalities:  # fmt: skip
    """Return the material of a run on chests: the student's set is divided, the teacher's teaches.

    Args:
        student: the student's set; its test patients are the same for all seeds.
        teacher: the teacher's set, other patients.
        seed: of the division.
        difficulty: of the twins; without it, or without ``truth``, nobody knows the true images.
        truth: look up what the student's patients look like in the teacher's modality.
        frame: of the sections.
        size: of the twins' voxels.
    """
    mine, theirs = CHESTS[student.manifest.id], CHESTS[teacher.manifest.id]
    known = difficulty if truth and mine == "ct" else ""
    source = _of_chests(student.manifest.id, student.root, known, frame, size)
    split, parts = divide(source, student.manifest.id, seed)
    return Modalities(
        mine, theirs, parts["train"], parts["more"],
        _of_chests(teacher.manifest.id, teacher.root, "", frame, size), parts["val"], parts["test"],
        split.hash,
    )  # fmt: skip


@lru_cache(maxsize=4)
def _of_chests(dataset: str, root: Path, difficulty: str, frame: Frame, size: str) -> Sections:
    """Return all sections of a set; with a difficulty, their true counterparts beside them."""
    found = index(load_manifest(dataset), root)
    sections = lung_sections(found, CHESTS[dataset], frame)
    if not difficulty:
        return sections
    known = true_mr(found, frame, difficulty=cast(Difficulty, difficulty), size=cast(Size, size))
    return with_truth(sections, "mr", known)


def sarcomas(found: Index, seed: int, fold: int, *, teacher: str = "mr") -> Modalities:
    """Return the material of one fold on sarcomas: CT is the student's, pairing is dropped.

    Of the patients that are not tested, one half shows the student its CT, the other half shows
    the teacher its modality: nobody is in both. The other modality of the first half, and of the
    test patients, is kept for the paired oracle and for measuring the translation.

    Args:
        found: the set, or its twin.
        seed: of everything but the folds, which are the same for all seeds.
        fold: whose patients are tested, 0 to `folds.FOLDS` - 1.
        teacher: ``mr`` or ``pet``.
    """
    moving = _of_sarcomas(found.root, moving=True, seed=seed)
    still = _of_sarcomas(found.root, moving=False, seed=0)
    folds = folds_of(still.patients)
    rest = [p for k, members in enumerate(folds) if k != fold for p in members]
    order = np.random.default_rng([seed, fold]).permutation(len(rest))
    names = [rest[i] for i in order]
    val, train, teaching = names[:VALIDATE], names[VALIDATE::2], names[VALIDATE + 1 :: 2]
    parts = {"train": train, "teaching": teaching, "val": val, "test": folds[fold]}
    split = Split(SARCOMA, seed, {part: tuple(sorted(ids)) for part, ids in parts.items()})
    return Modalities(
        "ct", teacher, moving.of(train), moving.rows([]), moving.of(teaching), still.of(val),
        still.of(folds[fold]), split.hash, share=None, teaching_share=None,
    )  # fmt: skip


@lru_cache(maxsize=8)
def _of_sarcomas(root: Path, *, moving: bool, seed: int) -> Sections:
    return sts_sections(index(load_manifest(SARCOMA), root), moving=moving, seed=seed)


def abdomens(found: Index, seed: int, *, organ: str, frame: Frame = COARSE_ABDOMEN) -> Modalities:
    """Return the material of a run on abdomens: T2 is the student's, T1 in phase the teacher's.

    Of the patients who are not tested, about one half shows the student its T2, the other half the
    teacher its T1, on its own grid with its own mask: nobody is in both. The T1 of the first half,
    and of the test patients, is kept for the paired oracle and for measuring the translation.

    Args:
        found: the set, or its twin; its CT patients are passed over.
        seed: of everything but the test patients, who are the same for all seeds.
        organ: the foreground, see `paired_sections`.
        frame: of the sections.

    Raises:
        ValueError: an unknown organ, or too few MR patients.
    """
    both = _of_abdomens(found.root, organ, frame, paired=True)
    names = sorted(set(both.patients))
    test = held_out(names, ABDOMEN)
    rest = [name for name in names if name not in test]
    teachers = min(len(rest) // 2, len(rest) - FEWEST_STUDENTS)
    if teachers < FEWEST_TEACHERS:
        raise ValueError(
            f"{ABDOMEN}: expected {FEWEST_STUDENTS + FEWEST_TEACHERS} MR patients or more beside "
            f"{len(test)} for testing, found {len(rest)}; half of a twin's patients are CT: make "
            "more"
        )
    order = np.random.default_rng(seed).permutation(len(rest))
    teaching = sorted(rest[i] for i in order[:teachers])
    mine = both.of([name for name in names if name not in teaching])
    split, parts = divide(mine, ABDOMEN, seed, test=test)
    whole = Split(ABDOMEN, seed, {**split.parts, "teaching": tuple(teaching)})
    theirs = _of_abdomens(found.root, organ, frame, paired=False).of(teaching)
    return Modalities(
        "t2", "t1", parts["train"], parts["more"], theirs, parts["val"], parts["test"], whole.hash,
        mirrored=False,
    )  # fmt: skip


@lru_cache(maxsize=4)
def _of_abdomens(root: Path, organ: str, frame: Frame, *, paired: bool) -> Sections:
    found = index(load_manifest(ABDOMEN), root)
    return (paired_sections if paired else t1_sections)(found, organ, frame)


def material(
    datasets: Sequence[str], roots: Sequence[str], seed: int, options: Mapping[str, object],
    fold: int = 0,
) -> Modalities:  # fmt: skip
    """Return the material of a recorded setting."""
    found = [
        index(load_manifest(name), Path(root)) for name, root in zip(datasets, roots, strict=True)
    ]
    if datasets[0] == SARCOMA:
        return sarcomas(found[0], seed, fold, teacher=str(options["teacher"]))
    if datasets[0] == ABDOMEN:
        return abdomens(found[0], seed, organ=str(options["organ"]))
    return chests(found[0], found[1], seed, difficulty=str(options["difficulty"]))
