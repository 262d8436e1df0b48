"""Lesson 06: which sections batches are drawn from, and how they are varied."""

from collections.abc import Callable
from functools import partial

from medkd_lib.course.experiments.joint_budget import Budget
from medkd_lib.course.experiments.joint_cohort import JointCohort
from medkd_lib.data.batches import Batch
from medkd_lib.data.section_views import section_views
from medkd_lib.data.sections import Sections, joined
from medkd_lib.data.unpaired import Drawn


def bank(cohort: JointCohort[Sections], dataset: str, share: float, *, more: bool = False) -> Drawn:
    """Return a dataset's ``images`` and ``masks`` as often as they are to be shown.

    Args:
        cohort: whose.
        dataset: one of its training sets.
        share: of the sections that show something.
        more: the target's further patients among them.
    """
    sections = cohort.train[dataset]
    if more:
        sections = joined([sections, cohort.more])
    sections = shown_often(sections, share)
    return Drawn({"images": sections.images["image"], "masks": sections.masks}, sections.patients)


def shown_often(sections: Sections, share: float) -> Sections:
    """Return sections with at least a share of them that show something.

    Where most show it anyway, as a whole body does, nothing is repeated: else the few empty ones
    would fill half of what a network sees.
    """
    shows = float((sections.masks > 0).flatten(1).any(dim=1).float().mean())
    return sections if shows >= share else sections.with_share(share)


def view_of(budget: Budget) -> Callable[[Batch], Batch]:
    """Return the augmentation of a budget."""
    return partial(section_views, shift=budget.shift, flip=budget.flip)
