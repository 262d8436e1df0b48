"""Lessons 06 and 07: what batches are drawn from: kept views of a set, and a teacher's answers."""

from collections.abc import Callable, Mapping

import torch

from medkd_lib.course.experiments.joint_budget import StageBudget
from medkd_lib.data.batches import Batch
from medkd_lib.data.unpaired import Drawn, UnpairedBatches, root_sizes
from medkd_lib.methods.joint_parts import Weights
from medkd_lib.methods.told import ask_all
from medkd_lib.models.levels import Levelled


def kept_views(whole: Drawn, view: Callable[[Batch], Batch], number: int, seed: int) -> Drawn:
    """Return so many fixed views of every image; with number 0 the images as they are.

    They are the same ones for every arm: what an arm learns from is never another draw of shifts.

    Args:
        whole: images and labels.
        view: the augmentation.
        number: of views.
        seed: of the views.
    """
    if not number:
        return whole
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        views = [view(dict(whole.tensors)) for _ in range(number)]
    return Drawn(
        {name: torch.cat([v[name] for v in views]) for name in whole.tensors},
        tuple(whole.patients) * number,
    )


def named(dataset: str, whole: Drawn) -> Drawn:
    """Return a set whose tensors are called ``DATASET/NAME``."""
    return Drawn({f"{dataset}/{n}": x for n, x in whole.tensors.items()}, whole.patients)


def with_answers(whole: Drawn, teacher: Levelled, weights: Weights) -> Drawn:
    """Return kept views with what a frozen teacher says of each, asked once.

    Args:
        whole: the views.
        teacher: who is asked.
        weights: what of the answers a student follows; where that is nothing nobody is asked.
    """
    levels = weights.followed_levels(len(teacher.level_channels))
    if not (levels or weights.logits):
        return whole
    said = ask_all(teacher.eval(), whole.tensors["images"], levels, weights.follow)
    return Drawn({**whole.tensors, **said}, whole.patients)


def side_by_side(
    sets: Mapping[str, Drawn], budget: StageBudget, seed: int, start: int
) -> UnpairedBatches:
    """Return endless batches of all sets, as many images of each as a budget's sampling says.

    Args:
        sets: name → what to draw from.
        budget: of batch size and sampling.
        seed: of the orders.
        start: step to begin at.
    """
    size: int | dict[str, int] = budget.batch_size
    if budget.sampling == "root":
        lengths = {name: len(found) for name, found in sets.items()}
        size = root_sizes(lengths, budget.batch_size * len(sets))
    return UnpairedBatches(sets, size, seed, start)
