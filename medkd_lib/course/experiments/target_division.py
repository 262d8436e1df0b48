"""Lesson 07: which patients of a target are tested, choose, train, and are kept for the ruler."""

from collections.abc import Sequence

import numpy as np

from medkd_lib.course.experiments.folds import FOLDS, folds_of


def divided(
    patients: Sequence[str], target: str, seed: int, fold: int, train: int, val: int
) -> dict[str, list[str]]:
    """Return the patients of ``test``, ``val``, ``train`` and, all others, ``more``.

    Args:
        patients: of each image.
        target: id of the set, for messages.
        seed: of who trains and who chooses; the test patients do not depend on it.
        fold: whose patients are tested, one of five.
        train: how many train.
        val: how many choose.

    Raises:
        ValueError: too few patients, or a fold that there is none of.
    """
    if not 0 <= fold < FOLDS:
        raise ValueError(f"fold: expected one of {list(range(FOLDS))}, found {fold}")
    names = sorted(set(patients))
    test = folds_of(names)[fold]
    rest = [name for name in names if name not in set(test)]
    if min(train, val, len(test)) < 1 or len(rest) < train + val:
        raise ValueError(
            f"{target}: expected {train} patients to train and {val} to choose by beside "
            f"{len(test)} for testing, found {len(rest)}; make or fetch more, or ask for fewer"
        )
    order = np.random.default_rng([seed, fold]).permutation(len(rest))
    drawn = [rest[i] for i in order]
    return {
        "test": list(test), "val": drawn[:val], "train": drawn[val : val + train],
        "more": drawn[val + train :],
    }  # fmt: skip
