"""Lesson 06: what batches are drawn from: sections, or kept views with a teacher's answers."""

from collections.abc import Callable, Sequence
from functools import partial

import torch

from medkd_lib.course.experiments.joint_budget import Budget
from medkd_lib.course.experiments.joint_cohort import JointCohort
from medkd_lib.data.batches import Batch
from medkd_lib.data.section_views import section_views
from medkd_lib.data.sections import Sections, joined
from medkd_lib.data.unpaired import Drawn
from medkd_lib.methods.joint_parts import Weights
from medkd_lib.methods.told import ask_all
from medkd_lib.models.levels import Levelled


def bank(
    cohort: JointCohort, dataset: str, budget: Budget, seed: int, *, more: bool = False
) -> Drawn:
    """Return a dataset's ``images`` and ``masks`` as often as they are to be shown.

    With ``kept_views`` in the budget, so many views of each section, the same ones for every arm:
    what an arm learns from is never another draw of shifts.

    Args:
        cohort: whose.
        dataset: one of its training sets.
        budget: of the share that shows something, and of the views.
        seed: of the views.
        more: the target's further patients among them.
    """
    sections = cohort.train[dataset]
    if more:
        sections = joined([sections, cohort.more])
    sections = shown_often(sections, budget.share)
    tensors: Batch = {"images": sections.images["image"], "masks": sections.masks}
    if not budget.kept_views:
        return Drawn(tensors, sections.patients)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        views = [view_of(budget)(tensors) for _ in range(budget.kept_views)]
    return Drawn(
        {name: torch.cat([v[name] for v in views]) for name in tensors},
        sections.patients * budget.kept_views,
    )


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


def drawn(
    cohort: JointCohort, datasets: Sequence[str], budget: Budget, seed: int, *, more: bool = False
) -> dict[str, Drawn]:
    """Return the sets of `ManyDatasets`: ``DATASET/images`` and ``DATASET/masks``."""
    found = {}
    for name in datasets:
        whole = bank(cohort, name, budget, seed, more=more and name == cohort.target)
        found[name] = Drawn({f"{name}/{n}": x for n, x in whole.tensors.items()}, whole.patients)
    return found


def drawn_for_student(
    cohort: JointCohort, budget: Budget, seed: int, teacher: Levelled, weights: Weights
) -> dict[str, Drawn]:
    """Return the set of `JointStudent`; beside kept views a frozen teacher's answers.

    Args:
        cohort: whose.
        budget: of the views.
        seed: of the views.
        teacher: who is asked, once about each kept view.
        weights: what of its answers the student follows.
    """
    whole = bank(cohort, cohort.target, budget, seed)
    tensors = dict(whole.tensors)
    levels = weights.followed_levels(len(teacher.level_channels))
    if budget.kept_views and (levels or weights.logits):
        tensors |= ask_all(teacher.eval(), tensors["images"], levels, weights.follow)
    return {cohort.target: Drawn(tensors, whole.patients)}
