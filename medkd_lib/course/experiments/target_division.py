"""Lesson 07: which patients of a target are tested, choose, train, and are kept for the ruler."""

from collections.abc import Mapping, Sequence

import numpy as np

from medkd_lib.course.experiments.folds import FOLDS
from medkd_lib.course.experiments.joint_cohort import P


def divided(
    kinds: Mapping[str, int], target: str, seed: int, fold: int, train: int, val: int
) -> dict[str, list[str]]:
    """Return the patients of ``test``, ``val``, ``train`` and, all others, ``more``.

    Every part has about its share of each kind.

    Args:
        kinds: patient → class, or whatever every part needs some of.
        target: id of the set, for messages.
        seed: of who trains and who chooses; the test patients do not depend on it.
        fold: whose patients are tested, one of five.
        train: how many train.
        val: how many choose.

    Raises:
        ValueError: too few patients, a fold that there is none of, or a part without a patient of
            some kind.
    """
    if not 0 <= fold < FOLDS:
        raise ValueError(f"fold: expected one of {list(range(FOLDS))}, found {fold}")
    # sorted by kind, every fifth one is tested
    order = sorted(_shuffled(kinds, 0), key=lambda name: kinds[name])
    test = order[fold::FOLDS]
    held = set(test)
    rest = {name: kind for name, kind in kinds.items() if name not in held}
    if min(train, val, len(test)) < 1 or len(rest) < train + val:
        raise ValueError(
            f"{target}: expected {train} patients to train and {val} to choose by beside "
            f"{len(test)} for testing, found {len(rest)}; make or fetch more, or ask for fewer"
        )
    drawn = interleaved(rest, seed)
    found = {
        "test": test, "val": drawn[:val], "train": drawn[val : val + train],
        "more": drawn[val + train :],
    }  # fmt: skip
    for part in ("test", "val", "train"):
        if missing := sorted(set(kinds.values()) - {kinds[name] for name in found[part]}):
            raise ValueError(
                f"{target}: expected patients of every kind in {part}, found none of kind "
                f"{missing[0]} among {len(found[part])}; ask for more patients, or fewer kinds"
            )
    return found


def interleaved(kinds: Mapping[str, int], seed: int) -> list[str]:
    r"""Return patients in a random order whose every beginning has its share of each kind.

    The i-th of the n of a kind stands at $(i + u)/n$, with a random $u\in[0,1)$ of the kind.
    """
    names = _shuffled(kinds, seed)
    offset = np.random.default_rng([seed, 1])
    place: dict[str, float] = {}
    for kind in sorted(set(kinds.values())):
        own, u = [name for name in names if kinds[name] == kind], float(offset.random())
        place |= {name: (i + u) / len(own) for i, name in enumerate(own)}
    return sorted(names, key=lambda name: place[name])


def as_many(part: P, order: Sequence[str], wanted: int) -> P:
    """Return whole patients in an order, until there are as many images as wanted."""
    chosen, found = [], 0
    for name in order:
        if found >= wanted:
            break
        chosen.append(name)
        found += list(part.patients).count(name)
    return part.of(chosen)


def _shuffled(kinds: Mapping[str, int], seed: int) -> list[str]:
    names = sorted(kinds)
    return [names[i] for i in np.random.default_rng([seed, 0]).permutation(len(names))]
