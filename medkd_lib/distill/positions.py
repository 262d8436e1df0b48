"""Losses over pairs of positions: which positions to take when all pairs are too many."""

import torch
from torch import Tensor


def some_positions(
    maps: Tensor, max_positions: int, generator: torch.Generator | None
) -> slice | Tensor:
    """Return which positions of ``maps.flatten(2)`` to take: all, or as many as allowed at random.

    A matrix over all pairs of p positions has p² entries per image: 4 MiB in float32 for a map of
    32², 64 MiB for 64², 1 GiB for 128², times the few copies that autograd keeps.

    Args:
        maps: ``(N, C, h, w)``.
        max_positions: largest number of positions.
        generator: of the draw, on any device; the positions are the same for all images.

    Returns:
        An index along the last axis: everything, or ``(max_positions,)`` distinct positions.

    Raises:
        ValueError: more positions than allowed and no generator to draw them; a limit below 2.
    """
    if max_positions < 2:
        raise ValueError(f"max_positions: expected 2 or more, found {max_positions}")
    height, width = maps.shape[2:]
    count = height * width
    if count <= max_positions:
        return slice(None)
    if generator is None:
        raise ValueError(
            f"maps: {height} x {width} = {count} positions, more than max_positions = "
            f"{max_positions}; a matrix of all pairs would take {4 * count**2 / 2**20:.0f} MiB per "
            "image. Pass a torch.Generator to draw positions, pool the maps, or raise max_positions"
        )
    chosen = torch.randperm(count, generator=generator, device=generator.device)[:max_positions]
    return chosen.to(maps.device)


def places_of_classes(labels: Tensor, per_class: int, generator: torch.Generator | None) -> Tensor:
    """Return which places to take when every class is to have its say: some of each.

    Args:
        labels: ``(P,)`` class of each place.
        per_class: most places of one class, one or more.
        generator: of the draw, on any device.

    Returns:
        ``(K,)`` distinct places in rising order: of a class with no more than ``per_class`` all.

    Raises:
        ValueError: a class with more places and no generator to draw them; no place to take.
    """
    if per_class < 1:
        raise ValueError(f"per_class: expected 1 or more, found {per_class}")
    taken = []
    for label in labels.unique():
        mine = (labels == label).nonzero()[:, 0]
        if len(mine) > per_class:
            if generator is None:
                raise ValueError(
                    f"labels: {len(mine)} places of class {int(label)}, more than per_class = "
                    f"{per_class}; pass a torch.Generator to draw them, or raise per_class"
                )
            order = torch.randperm(len(mine), generator=generator, device=generator.device)
            mine = mine[order[:per_class].to(mine.device)]
        taken.append(mine)
    return torch.cat(taken).sort().values
