"""MMD of two sets of different size: scikit-learn's kernels, invariances, small samples."""

import numpy as np
import pytest
import torch
from sklearn.metrics.pairwise import euclidean_distances, rbf_kernel
from torch import Tensor

from medkd_lib.distill.feature_distance import feature_distance
from medkd_lib.distill.mmd import BANDWIDTHS, mmd, squared_mmd
from tests.distill.losses import random


def sets() -> tuple[Tensor, Tensor]:
    return random((7, 4), 0), 1.5 * random((5, 4), 1) + 0.5


def test_scikit_learns_kernels_agree() -> None:
    s, t = (x.numpy() for x in sets())
    both = np.concatenate([s, t])
    apart = euclidean_distances(both, squared=True)[np.triu_indices(12, 1)]
    median = np.sort(apart)[(len(apart) - 1) // 2]  # the lower one of two, as torch's
    expected = 0.0
    for f in BANDWIDTHS:
        k = [rbf_kernel(a, b, 1 / (f * median)).mean() for a, b in ((s, s), (t, t), (s, t))]
        expected += (k[0] + k[1] - 2 * k[2]) / len(BANDWIDTHS)
    assert float(mmd(*sets())) == pytest.approx(expected, rel=1e-9)


def test_one_image_of_feature_distance_is_the_same_kernel() -> None:
    s, t = random((6, 3), 0), random((6, 3), 1)
    maps = [x.T.reshape(1, 3, 2, 3) for x in (s, t)]
    expected = float(feature_distance(maps[0], maps[1], "mmd", normalise=False))
    assert float(squared_mmd(s[None], t[None], scale_of="t")) == pytest.approx(expected, rel=1e-12)


def test_zero_for_equal_sets_in_any_order_and_above_it_otherwise() -> None:
    s, t = sets()
    assert float(mmd(s, s.flip(0))) == pytest.approx(0, abs=1e-12)
    # every member twice is the same distribution
    assert float(mmd(s, torch.cat([s, s]))) == pytest.approx(0, abs=0.01)
    assert float(mmd(s, t)) > 0.05
    # unlike CORAL it sees the means, alone
    assert float(mmd(s, s + 1)) > 0.05
    same = torch.ones(3, 4)
    assert float(mmd(same, same[:2])) == 0
    # one against one: 2 - 2 k at the median distance
    k = float(np.mean(np.exp(-1 / np.array(BANDWIDTHS))))
    assert float(mmd(s[:1], t[:1])) == pytest.approx(2 - 2 * k, rel=1e-9)


def test_what_does_not_change_it() -> None:
    s, t = sets()
    value = float(mmd(s, t))
    turn = torch.linalg.qr(random((4, 4), 7))[0]
    for a, b in ((t, s), (s.flip(0), t), (s - 9, t - 9), (s @ turn, t @ turn), (50 * s, 50 * t)):
        assert float(mmd(a, b)) == pytest.approx(value, rel=1e-9)
    assert float(mmd(s @ turn, t)) != pytest.approx(value, rel=1e-2)


def test_small_samples_of_one_distribution_are_above_zero() -> None:
    draw = torch.Generator().manual_seed(0)
    values, likeness = [], []
    for _ in range(200):
        s, t = (torch.randn(n, 4, generator=draw, dtype=torch.float64) for n in (8, 12))
        values.append(float(mmd(s, t)))
        apart = euclidean_distances(torch.cat([s, t]).numpy(), squared=True)
        pairs = apart[np.triu_indices(20, 1)]
        kernels = [np.exp(-pairs / (f * np.median(pairs))).mean() for f in BANDWIDTHS]
        likeness.append(np.mean(kernels))
    expected = (1 / 8 + 1 / 12) * (1 - np.mean(likeness))
    assert np.mean(values) == pytest.approx(expected, rel=0.05)
    assert min(values) > 0


def test_the_gradient_reaches_both_and_brings_them_together() -> None:
    s, t = (x.requires_grad_() for x in sets())
    value = mmd(s, t)
    of_s, of_t = torch.autograd.grad(value, (s, t))
    assert min(float(g.abs().max()) for g in (of_s, of_t)) > 1e-3
    assert float(mmd(s - 0.1 * of_s, t - 0.1 * of_t).detach()) < float(value.detach())


def test_gradcheck_of_what_does_not_set_the_median() -> None:
    s, t = sets()
    both = torch.cat([s, t])
    apart = torch.cdist(both, both)
    p, q = torch.triu_indices(12, 12, offset=1)
    middle = int(apart[p, q].sort().indices[(len(p) - 1) // 2])
    # the median is a constant of the loss, not of a difference quotient
    free = [i for i in range(12) if i not in (int(p[middle]), int(q[middle]))]

    def value(rows: Tensor) -> Tensor:
        moved = both.index_put((torch.tensor(free),), rows)
        return mmd(moved[:7], moved[7:])

    assert torch.autograd.gradcheck(value, both[free].requires_grad_(), eps=1e-7, atol=1e-4)


@pytest.mark.parametrize("size", [1.0, 1e3, 0.0])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_low_precision_is_lifted(dtype: torch.dtype, size: float) -> None:
    s, t = ((size * x).to(dtype).requires_grad_() for x in sets())
    exact = float(mmd(s.detach().double(), t.detach().double()))
    value = mmd(s, t)
    assert value.dtype == torch.float32
    assert float(value.detach()) == pytest.approx(exact, rel=1e-4, abs=1e-6)
    value.backward()
    for x in (s, t):
        assert x.grad is not None and x.grad.dtype == dtype and torch.isfinite(x.grad).all()
    with torch.autocast("cpu", torch.bfloat16):
        assert float(mmd(s, t).detach()) == pytest.approx(exact, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize(
    ("s", "t", "message"),
    [
        ((4, 3), (4, 2), "found \\(4, 3\\) and \\(4, 2\\)"),
        ((4, 3, 2, 2), (4, 3, 2, 2), "average maps over their positions"),
        ((0, 3), (4, 3), "one vector or more on each side, found 0 and 4"),
    ],
)
def test_errors(s: tuple[int, ...], t: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mmd(torch.zeros(s), torch.zeros(t))
