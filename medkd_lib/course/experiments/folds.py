"""Folds by patient, the same for every seed, method and modality."""

from collections.abc import Sequence

import numpy as np

FOLDS = 5


def folds_of(patients: Sequence[str]) -> list[list[str]]:
    """Return the patients of each fold, the same whatever the seed.

    Args:
        patients: of each section or block; a patient may come many times, in any order.
    """
    names = sorted(set(patients))
    order = np.random.default_rng(0).permutation(len(names))
    return [sorted(names[i] for i in order[fold::FOLDS]) for fold in range(FOLDS)]
