"""What lesson 06 goes on with where its exercises are open."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from medkd_lib.data.look_alikes import look_alikes
from medkd_lib.distill.gradient_reversal import reversal_strength, reverse_gradient


def hide(features: Tensor, progress: float, gamma: float = 10.0) -> Tensor:
    """Return features whose gradient comes back turned round, by as much as the training is old.

    Args:
        features: any shape.
        progress: share of the training that is done.
        gamma: of `reversal_strength`.
    """
    return reverse_gradient(features, reversal_strength(progress, gamma))


def look_around(maps: Tensor, attention: nn.MultiheadAttention) -> Tensor:
    """Return maps in which every position has looked at all positions of its own image.

    Args:
        maps: ``(N, C, h, w)``.
        attention: of width C, batch first.
    """
    tokens = maps.flatten(2).transpose(1, 2)
    seen: Tensor = attention(tokens, tokens, tokens, need_weights=False)[0]
    return seen.transpose(1, 2).unflatten(2, maps.shape[-2:])


def same_images(ours: Tensor, theirs: Tensor, least: float = 0.95) -> list[tuple[int, int]]:
    """Return the pairs of rows that show the same image, see `look_alikes`."""
    return sorted((p.first, p.second) for p in look_alikes(ours, theirs, least=least))


def effects(dice: Mapping[str, NDArray[np.float64]]) -> tuple[dict[str, float], str]:
    """Return what each comparison is worth, and the letter of exercise 4.

    Args:
        dice: arm → Dice of the same patients: ``alone``, ``finetuned``, ``target_teachers``,
            ``self_distilled`` and ``joint``.
    """
    pairs = {
        "data": ("finetuned", "alone"), "capacity": ("target_teachers", "alone"),
        "self": ("self_distilled", "alone"), "mechanism": ("joint", "finetuned"),
    }  # fmt: skip
    return {name: float(np.mean(dice[a] - dice[b])) for name, (a, b) in pairs.items()}, "b"
