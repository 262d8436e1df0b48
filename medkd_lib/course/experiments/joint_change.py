"""Lesson 06: what controls do to the sources before anybody trains."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from medkd_lib.course.experiments.joint_arms import Arm
from medkd_lib.course.experiments.joint_cohort import SectionCohort
from medkd_lib.data.sections import Sections
from medkd_lib.data.store import key_of


def changed(cohort: SectionCohort, arm: Arm, seed: int) -> SectionCohort:
    """Return the material of an arm; another structure than the lesion is read, not made here."""
    if arm.material == "shuffled labels":
        cohort = shuffled_labels(cohort, seed)
    if arm.sources < 1:
        cohort = share_of_sources(cohort, arm.sources, seed)
    return cohort if arm.target == 1 else share_of_target(cohort, arm.target, seed)


def shuffled_labels(cohort: SectionCohort, seed: int) -> SectionCohort:
    """Return a cohort in whose sources every image has the mask of another image of its set.

    Lesions, their number and their usual places stay; that a mask belongs to an image does not. If
    a student is helped as much, the source's labels had no part in it.
    """

    def shuffled(sections: Sections, number: int) -> Sections:
        order = np.random.default_rng([seed, number]).permutation(len(sections))
        # One step along a random circle: nobody keeps his own.
        of = np.empty_like(order)
        of[order] = np.roll(order, 1)
        fingerprint = key_of(of=sections.fingerprint, masks=of.tolist())
        return replace(
            sections, masks=sections.masks[torch.from_numpy(of)], fingerprint=fingerprint
        )

    return _with_sources(cohort, shuffled)


def share_of_sources(cohort: SectionCohort, share: float, seed: int) -> SectionCohort:
    """Return a cohort with a share of every source's patients, at least one.

    Smaller shares lie within larger ones.

    Args:
        cohort: whose sources.
        share: of the patients, in (0, 1].
        seed: of the order in which they are taken.

    Raises:
        ValueError: an impossible share.
    """
    return _with_sources(cohort, lambda sections, number: _some(sections, share, (seed, number)))


def share_of_target(cohort: SectionCohort, share: float, seed: int) -> SectionCohort:
    """Return a cohort with a share of the target's training patients, at least one.

    What the target loses, sources may make good, or not: the arms with half of it ask.

    Args:
        cohort: whose target.
        share: of the patients, in (0, 1].
        seed: of the order in which they are taken.

    Raises:
        ValueError: an impossible share.
    """
    fewer = _some(cohort.train[cohort.target], share, (seed, len(cohort.sources)))
    return replace(cohort, train={**cohort.train, cohort.target: fewer})


def _some(sections: Sections, share: float, seed: tuple[int, int]) -> Sections:
    if not 0 < share <= 1:
        raise ValueError(f"share: expected a number in (0, 1], found {share}")
    names = sorted(set(sections.patients))
    order = np.random.default_rng(seed).permutation(len(names))
    return sections.of([names[i] for i in order[: max(1, round(share * len(names)))]])


def _with_sources(
    cohort: SectionCohort, change: Callable[[Sections, int], Sections]
) -> SectionCohort:
    sources = {
        name: change(cohort.train[name], number) for number, name in enumerate(cohort.sources)
    }
    return replace(cohort, train={**cohort.train, **sources})
