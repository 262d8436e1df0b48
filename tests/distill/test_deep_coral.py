"""Deep CORAL: numpy's covariances, what it sees and does not, where it pulls."""

import numpy as np
import pytest
import torch
from torch import Tensor

from medkd_lib.distill.deep_coral import deep_coral
from tests.distill.losses import random


def sets() -> tuple[Tensor, Tensor]:
    """Two sets of different size and spread."""
    return random((7, 4), 0), 2 * random((5, 4), 1) + 3


def test_numpys_covariances_agree() -> None:
    s, t = sets()
    difference = np.cov(s.numpy(), rowvar=False) - np.cov(t.numpy(), rowvar=False)
    expected = np.linalg.norm(difference, "fro") ** 2 / (4 * 4**2)
    assert float(deep_coral(s, t)) == pytest.approx(expected, rel=1e-12)
    # equation 2 as it is printed
    one = np.ones((7, 1))
    x = s.numpy()
    printed = (x.T @ x - (one.T @ x).T @ (one.T @ x) / 7) / 6
    np.testing.assert_allclose(printed, np.cov(x, rowvar=False), atol=1e-12)


def test_one_channel_by_hand() -> None:
    # variances 2 and 8
    s, t = torch.tensor([[0.0], [2.0]]), torch.tensor([[1.0], [5.0]])
    assert float(deep_coral(s, t)) == (2 - 8) ** 2 / 4


def test_zero_where_the_spread_is_the_same() -> None:
    s, _ = sets()
    order = torch.tensor([3, 1, 0, 6, 5, 2, 4])
    for same in (s, s[order], s + 100, -s):
        assert float(deep_coral(s, same)) == pytest.approx(0, abs=1e-20)


def test_what_changes_it_and_what_does_not() -> None:
    s, t = sets()
    value = float(deep_coral(s, t))
    turn = torch.linalg.qr(random((4, 4), 7))[0]
    for same in ((t, s), (s.flip(0), t), (s - 9, t + 4), (s @ turn, t @ turn)):
        assert float(deep_coral(*same)) == pytest.approx(value, rel=1e-9)
    assert float(deep_coral(3 * s, 3 * t)) == pytest.approx(3**4 * value, rel=1e-9)
    assert float(deep_coral(s @ turn, t)) != pytest.approx(value, rel=1e-2)


def test_the_gradient_reaches_both_and_brings_the_spreads_together() -> None:
    s, t = (x.requires_grad_() for x in sets())
    assert torch.autograd.gradcheck(deep_coral, (s, t))
    value = deep_coral(s, t)
    of_s, of_t = torch.autograd.grad(value, (s, t))
    # the wider set shrinks: its gradient points outwards, and that of the narrower one inwards
    outwards = [float(((x - x.mean(0)) * g).sum().detach()) for x, g in ((s, of_s), (t, of_t))]
    assert outwards[0] < 0 < outwards[1]
    assert float(deep_coral(s - 0.01 * of_s, t - 0.01 * of_t).detach()) < float(value.detach())


@pytest.mark.parametrize("size", [1.0, 10.0, 0.0])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_low_precision_is_lifted(dtype: torch.dtype, size: float) -> None:
    s, t = ((size * x).to(dtype).requires_grad_() for x in sets())
    exact = float(deep_coral(s.detach().double(), t.detach().double()))
    value = deep_coral(s, t)
    assert value.dtype == torch.float32
    assert float(value.detach()) == pytest.approx(exact, rel=1e-4)
    value.backward()
    for x in (s, t):
        assert x.grad is not None and x.grad.dtype == dtype and torch.isfinite(x.grad).all()
    with torch.autocast("cpu", torch.bfloat16):
        assert float(deep_coral(s, t).detach()) == pytest.approx(exact, rel=1e-4)


def test_huge_features_stay_finite() -> None:
    s, t = (1e4 * x.float() for x in sets())
    assert torch.isfinite(deep_coral(s, t))


@pytest.mark.parametrize(
    ("s", "t", "message"),
    [
        ((4, 3), (4, 2), "found \\(4, 3\\) and \\(4, 2\\)"),
        ((4, 3, 2, 2), (4, 3, 2, 2), "average maps over their positions"),
        ((1, 3), (4, 3), "found 1 and 4; one has no covariance"),
    ],
)
def test_errors(s: tuple[int, ...], t: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        deep_coral(torch.zeros(s), torch.zeros(t))
