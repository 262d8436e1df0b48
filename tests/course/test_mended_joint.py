"""What lesson 06 goes on with where its exercises are open."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from medkd_lib.course.mended_joint import effects, hide, look_around, same_images


def test_a_gradient_comes_back_turned_round() -> None:
    features = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    arriving = torch.randn(3, 4, dtype=torch.float64)
    hidden = hide(features, 0.25)
    (hidden * arriving).sum().backward()
    assert torch.equal(hidden, features)
    assert features.grad is not None
    torch.testing.assert_close(features.grad, -math.tanh(1.25) * arriving)


def test_an_image_is_alone_with_its_positions() -> None:
    attention = nn.MultiheadAttention(4, 2, batch_first=True).double().eval()
    maps = torch.randn(3, 4, 2, 5, dtype=torch.float64)
    found = look_around(maps, attention)
    assert found.shape == maps.shape
    torch.testing.assert_close(found[1:2], look_around(maps[1:2], attention))
    # a position is what its token became: change one image's last position, and see where
    token = attention(*[maps[:1].flatten(2).transpose(1, 2)] * 3)[0][0, 7]
    torch.testing.assert_close(found[0, :, 1, 2], token)


def test_copies_are_found_in_rising_order() -> None:
    draw = torch.Generator().manual_seed(0)
    ours, theirs = (torch.randn(5, 1, 32, 32, generator=draw) for _ in range(2))
    theirs[0], theirs[4] = 2 * ours[3] + 1, ours[1]
    assert same_images(ours, theirs) == [(1, 4), (3, 0)]
    assert same_images(ours, theirs[1:4]) == []


def test_effects_are_differences_of_means() -> None:
    arms = ("alone", "finetuned", "target_teachers", "self_distilled", "joint")
    dice = {arm: np.array([0.1 * k, 0.2]) for k, arm in enumerate(arms)}
    found, letter = effects(dice)
    expected = {"data": 0.05, "capacity": 0.1, "self": 0.15, "mechanism": 0.15}
    assert found == pytest.approx(expected) and letter == "b"
