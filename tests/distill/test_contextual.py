"""The contextual loss: loop by loop, its extremes, what it does not see, and bounded memory."""

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from medkd_lib.distill.contextual import contextual_loss
from tests.distill.losses import random


def by_loops(x: NDArray[np.float64], y: NDArray[np.float64], h: float) -> float:
    """Return the loss of one image as the formulas are printed; x (C, P), y (C, Q)."""
    mu = y.mean(axis=1)
    d = np.zeros((x.shape[1], y.shape[1]))
    for i in range(x.shape[1]):
        for j in range(y.shape[1]):
            a, b = x[:, i] - mu, y[:, j] - mu
            d[i, j] = 1 - a @ b / np.sqrt((a @ a) * (b @ b))
    cx = np.zeros_like(d)
    for i in range(len(d)):
        w = [math.exp((1 - d[i, j] / (d[i].min() + 1e-5)) / h) for j in range(d.shape[1])]
        cx[i] = np.array(w) / sum(w)
    return -math.log(sum(cx[:, j].max() for j in range(d.shape[1])) / d.shape[1])


@pytest.mark.parametrize("h", [0.1, 0.5, 2.0])
@pytest.mark.parametrize("y_size", [(3, 4), (2, 3), (4, 5)])
def test_brute_force(h: float, y_size: tuple[int, int]) -> None:
    x, y = random((3, 5, 3, 4), 0), 1 + 2 * random((3, 5, *y_size), 1)
    each = [
        by_loops(a.flatten(1).numpy(), b.flatten(1).numpy(), h) for a, b in zip(x, y, strict=True)
    ]
    assert float(contextual_loss(x, y, h)) == pytest.approx(np.mean(each), rel=1e-10)


def test_the_same_features_in_another_order_are_no_loss() -> None:
    y = random((2, 6, 4, 4), 0)
    shuffled = y.flatten(2)[..., torch.randperm(16)].view_as(y)
    assert float(contextual_loss(shuffled, y)) == pytest.approx(0, abs=1e-10)
    # a mean squared error sees nothing but the order
    assert (shuffled - y).square().mean() > 1


def test_one_and_the_same_feature_everywhere_explains_one_in_p() -> None:
    x, y = random((2, 6, 1, 1), 0).expand(2, 6, 4, 4), random((2, 6, 4, 4), 1)
    assert float(contextual_loss(x, y)) == pytest.approx(math.log(16), rel=1e-10)


def test_a_feature_that_is_missing_is_seen() -> None:
    y = random((1, 6, 4, 4), 0)
    without = y.clone()
    without[..., 0, 0] = y[..., 1, 1]  # the tumour's feature is painted over
    # 15 of 16 explained, one hardly at all
    assert float(contextual_loss(without, y)) == pytest.approx(-math.log(15 / 16), rel=0.05)


def test_descent_finds_features_wherever_they_lie() -> None:
    y = random((1, 3, 2, 2), 0)
    x = random((1, 3, 2, 2), 5).requires_grad_()
    sgd = torch.optim.Adam([x], lr=0.1)
    before = contextual_loss(x, y).item()
    for _ in range(60):
        sgd.zero_grad()
        loss = contextual_loss(x, y)
        loss.backward()
        sgd.step()
    assert loss.item() < 0.2 * before


def test_large_maps_are_refused_or_sampled() -> None:
    x, y = random((1, 3, 8, 8), 0), random((1, 3, 8, 8), 1)
    with pytest.raises(ValueError, match=r"8 x 8 = 64 positions, more than max_positions = 16; .*"):
        contextual_loss(x, y, max_positions=16)

    def sampled(seed: int) -> Tensor:
        draw = torch.Generator().manual_seed(seed)
        return contextual_loss(x, y, max_positions=16, generator=draw)

    assert torch.equal(sampled(0), sampled(0))
    assert not torch.equal(sampled(0), sampled(1))
    # what is not too large is not sampled
    draw = torch.Generator().manual_seed(0)
    assert torch.equal(contextual_loss(x, y, generator=draw), contextual_loss(x, y))


def test_a_sample_takes_the_positions_of_either_map() -> None:
    x = random((1, 3, 8, 8), 0).requires_grad_()
    draw = torch.Generator().manual_seed(0)
    contextual_loss(x, random((1, 3, 3, 3), 1), max_positions=16, generator=draw).backward()
    assert x.grad is not None
    assert 0 < int((x.grad.abs().sum(dim=1) > 0).sum()) <= 16


@pytest.mark.parametrize(
    ("x", "y", "settings", "message"),
    [
        ((1, 3, 4, 4), (1, 2, 4, 4), {}, "same layer of the same network"),
        ((2, 3, 4, 4), (1, 3, 4, 4), {}, "as many images"),
        ((2, 3, 16), (2, 3, 16), {}, "expected maps"),
        ((1, 3, 4, 4), (1, 3, 4, 4), {"bandwidth": 0.0}, "bandwidth: expected > 0"),
        ((1, 3, 4, 4), (1, 3, 4, 4), {"max_positions": 1}, "expected 2 or more"),
    ],
)
def test_errors(
    x: tuple[int, ...], y: tuple[int, ...], settings: dict[str, float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        contextual_loss(torch.zeros(x), torch.zeros(y), **settings)  # type: ignore[arg-type]
