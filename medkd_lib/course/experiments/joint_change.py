"""Lessons 06 and 07: what controls do to the sources before anybody trains."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from medkd_lib.course.experiments.joint_arms import Arm
from medkd_lib.course.experiments.joint_cohort import JointCohort, P
from medkd_lib.data.sections import Sections
from medkd_lib.data.store import key_of

# A part whose images have the labels of its images at other rows.
Relabelled = Callable[[P, Sequence[int]], P]


def changed(
    cohort: JointCohort[P], arm: Arm, seed: int, relabelled: Relabelled[P]
) -> JointCohort[P]:
    """Return the material of an arm; another structure than the lesion is read, not made here.

    Args:
        cohort: as it is.
        arm: what is done to it.
        seed: of every draw.
        relabelled: gives images the labels of others.
    """
    if arm.material == "shuffled labels":
        cohort = shuffled_labels(cohort, seed, relabelled)
    if arm.sources < 1:
        cohort = share_of_sources(cohort, arm.sources, seed)
    return cohort if arm.target == 1 else share_of_target(cohort, arm.target, seed)


def shuffled_labels(cohort: JointCohort[P], seed: int, relabelled: Relabelled[P]) -> JointCohort[P]:
    """Return a cohort in whose sources every image has the label of another image of its set.

    Labels and their number stay (of masks their usual places, too); that one belongs to an image
    does not. If a student is helped as much, the source's labels had no part in it.
    """

    def shuffled(part: P, number: int) -> P:
        order = np.random.default_rng([seed, number]).permutation(len(part))
        # One step along a random circle: nobody keeps his own.
        of = np.empty_like(order)
        of[order] = np.roll(order, 1)
        return relabelled(part, of.tolist())

    return _with_sources(cohort, shuffled)


def other_masks(sections: Sections, of: Sequence[int]) -> Sections:
    """Return sections with the masks of others."""
    fingerprint = key_of(of=sections.fingerprint, masks=list(of))
    return replace(sections, masks=sections.masks[list(of)], fingerprint=fingerprint)


def share_of_sources(cohort: JointCohort[P], share: float, seed: int) -> JointCohort[P]:
    """Return a cohort with a share of every source's patients, at least one.

    Smaller shares lie within larger ones.

    Args:
        cohort: whose sources.
        share: of the patients, in (0, 1].
        seed: of the order in which they are taken.

    Raises:
        ValueError: an impossible share.
    """
    return _with_sources(cohort, lambda part, number: _some(part, share, (seed, number)))


def share_of_target(cohort: JointCohort[P], share: float, seed: int) -> JointCohort[P]:
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


def _some(part: P, share: float, seed: tuple[int, int]) -> P:
    if not 0 < share <= 1:
        raise ValueError(f"share: expected a number in (0, 1], found {share}")
    names = sorted(set(part.patients))
    order = np.random.default_rng(seed).permutation(len(names))
    return part.of([names[i] for i in order[: max(1, round(share * len(names)))]])


def _with_sources(cohort: JointCohort[P], change: Callable[[P, int], P]) -> JointCohort[P]:
    sources = {
        name: change(cohort.train[name], number) for number, name in enumerate(cohort.sources)
    }
    return replace(cohort, train={**cohort.train, **sources})
