"""Lesson 05: whose boxes a run trains on: livers or sarcomas, real or twins."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import cast

import numpy as np

from medkd_lib.course.experiments.folds import FOLDS, folds_of
from medkd_lib.course.experiments.liver_blocks import DOSES, liver_blocks
from medkd_lib.course.experiments.liver_frame import COARSE_LIVER, LiverFrame
from medkd_lib.course.experiments.react_cohort import ReactCohort, divided, middle
from medkd_lib.course.experiments.sts_blocks import CLASS_NAMES, SHAPE, Target, sts_blocks
from medkd_lib.data.blocks import Blocks
from medkd_lib.data.index import Index, index
from medkd_lib.data.manifest import load_manifest
from medkd_lib.data.split import Split

LIVER, EXTERNAL = "react_kd_private_cohort", "hcc_tace_seg"
SARCOMA = "sts_petctmr"
GRADES = ("well", "moderate", "poor")
# Patients of a sarcoma fold that neither train nor test.
VALIDATE = 3


def livers(found: Index, seed: int, frame: LiverFrame = COARSE_LIVER) -> ReactCohort:
    """Return the liver patients, divided for a seed; of who came twice, every exam is a box.

    Args:
        found: the cohort, or its twin.
        seed: of the division.
        frame: of the boxes.
    """
    blocks = _of_livers(found.manifest.id, found.root, frame)
    return divided(blocks, found.manifest.id, GRADES, frame.shape, ("ct", *DOSES), seed)


def external(found: Index, frame: LiverFrame = COARSE_LIVER) -> Blocks:
    """Return the patients of another hospital: contrast CT of another scanner, never trained on.

    Args:
        found: ``hcc_tace_seg``, or its twin.
        frame: of the boxes.
    """
    return middle(_of_livers(found.manifest.id, found.root, frame), frame.shape)


@lru_cache(maxsize=4)
def _of_livers(dataset: str, root: Path, frame: LiverFrame) -> Blocks:
    return liver_blocks(index(load_manifest(dataset), root), frame)


def sarcomas(found: Index, seed: int, fold: int, target: Target = "hot") -> ReactCohort:
    """Return one fold of the sarcoma patients; training blocks lie elsewhere for every seed.

    Args:
        found: the set, or its twin.
        seed: of everything but the folds and the blocks that are tested.
        fold: whose patients are tested, 0 to `FOLDS` - 1.
        target: of the blocks.
    """
    still = sts_blocks(found, target=target, seed=0)
    moving = sts_blocks(found, target=target, seed=seed + 1)
    folds = folds_of(still.patients)
    rest = [p for k, members in enumerate(folds) if k != fold for p in members]
    order = np.random.default_rng([seed, fold]).permutation(len(rest))
    names = [rest[i] for i in order]
    who = {"train": names[VALIDATE:], "val": names[:VALIDATE], "test": folds[fold]}
    split = Split(SARCOMA, seed, {part: tuple(sorted(ids)) for part, ids in who.items()})
    room = moving.of(who["train"])
    parts = {"train": room, "val": still.of(who["val"]), "test": still.of(who["test"])}
    return ReactCohort(SARCOMA, CLASS_NAMES[target], parts, room, SHAPE, ("ct", *DOSES), split)


def material(
    datasets: Sequence[str], roots: Sequence[str], seed: int, options: Mapping[str, object],
    fold: int = 0,
) -> tuple[ReactCohort, Blocks | None]:  # fmt: skip
    """Return the cohort of a recorded setting, and the other hospital's patients if it has them."""
    found = [
        index(load_manifest(name), Path(root)) for name, root in zip(datasets, roots, strict=True)
    ]
    if datasets[0] == SARCOMA:
        return sarcomas(found[0], seed, fold, cast(Target, options["target"])), None
    return livers(found[0], seed), external(found[1]) if len(found) > 1 else None


def folds_in(dataset: str) -> range:
    """Return the folds of a recorded setting; livers are divided once."""
    return range(FOLDS if dataset == SARCOMA else 1)
