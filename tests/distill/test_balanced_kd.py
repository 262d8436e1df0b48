"""Balanced dense distillation: each class has its say, however few its pixels are."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from medkd_lib.distill.balanced_kd import balanced_kd
from medkd_lib.distill.logits import hinton_kd
from tests.distill.losses import random


def with_lesion(pixels: int) -> Tensor:
    masks = torch.zeros(2, 64, dtype=torch.long)
    masks[0, :pixels] = 1
    return masks


def test_lesion_and_background_have_the_same_say() -> None:
    s, t, masks = random((2, 3, 64), 0), random((2, 3, 64), 1), with_lesion(3)
    divergence = F.kl_div(
        (s / 2).log_softmax(1), (t / 2).log_softmax(1), reduction="none", log_target=True
    )
    each = 4 * divergence.sum(1)
    expected = (each[masks == 1].mean() + each[masks == 0].mean()) / 2
    assert float(balanced_kd(s, t, masks, 2.0)) == pytest.approx(float(expected), rel=1e-12)


def test_an_empty_batch_is_the_plain_mean() -> None:
    s, t = random((2, 3, 64), 0), random((2, 3, 64), 1)
    plain = hinton_kd(s, t, 2.0, reduction="none").mean()
    assert float(balanced_kd(s, t, with_lesion(0), 2.0)) == pytest.approx(float(plain), rel=1e-12)


def test_silence_about_a_small_lesion_costs_as_much_as_about_a_large_one() -> None:
    """The plain mean over pixels forgives it."""
    costs = {}
    for pixels in (1, 32):
        masks = with_lesion(pixels)
        teacher = 8 * F.one_hot(masks, 2).movedim(-1, 1).double()
        silent = torch.stack([torch.full((2, 64), 8.0), torch.zeros(2, 64)], dim=1).double()
        costs[pixels] = [
            float(balanced_kd(silent, teacher, masks)),
            float(hinton_kd(silent, teacher, 2.0, reduction="none").mean()),
        ]
    assert costs[1][0] == pytest.approx(costs[32][0], rel=1e-9)
    assert costs[1][1] < costs[32][1] / 20


def test_masks_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected \(2, 64\)"):
        balanced_kd(
            random((2, 3, 64), 0), random((2, 3, 64), 1), torch.zeros(2, 32, dtype=torch.long)
        )
