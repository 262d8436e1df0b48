"""Three distances of feature maps: definitions, what each is blind to, and the way to collapse."""

from typing import get_args

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from medkd_lib.distill.feature_distance import Distance, feature_distance
from medkd_lib.distill.hints import hint_loss
from medkd_lib.distill.mmd import BANDWIDTHS
from tests.distill.losses import random

KINDS = get_args(Distance)
EACH = pytest.mark.parametrize("kind", KINDS)
BOTH = pytest.mark.parametrize("normalise", [True, False])


def maps(seed: int, *shape: int) -> Tensor:
    return random(shape or (4, 3, 5, 6), seed)


def shuffled(feature_map: Tensor) -> Tensor:
    order = torch.randperm(feature_map[0, 0].numel(), generator=torch.Generator().manual_seed(0))
    return feature_map.flatten(2)[..., order].view_as(feature_map)


def test_raw_l2_is_the_hint_loss() -> None:
    s, t = maps(0), maps(1)
    found = float(feature_distance(s, t, "l2", normalise=False))
    assert found == pytest.approx(float(hint_loss(s, t)), rel=1e-12)


def test_normalised_l2_is_twice_one_minus_correlation() -> None:
    s, t = maps(0), 3 - 2 * maps(0) + 0.5 * maps(1)
    channels = [
        (a.flatten().numpy(), b.flatten().numpy())
        for a, b in zip(s.mT.movedim(1, 0), t.mT.movedim(1, 0), strict=True)
    ]
    rho = np.mean([np.corrcoef(a, b)[0, 1] for a, b in channels])
    # ε = 1e-5 beside variances of about 1
    assert float(feature_distance(s, t, "l2")) == pytest.approx(2 * (1 - rho), rel=1e-4)


@BOTH
def test_cosine_is_pytorchs(normalise: bool) -> None:
    s, t = maps(0), 1 + maps(1)
    theirs = s, t
    if normalise:
        theirs = tuple(
            (m - m.mean((0, 2, 3), keepdim=True))
            / (m.var((0, 2, 3), correction=0, keepdim=True) + 1e-5).sqrt()
            for m in (s, t)
        )  # type: ignore[assignment]
    expected = 1 - F.cosine_similarity(*theirs, dim=1).mean()
    found = feature_distance(s, t, "cosine", normalise)
    assert float(found) == pytest.approx(float(expected), rel=1e-10)


def test_mmd_is_the_sum_over_all_pairs() -> None:
    s, t = maps(0), 1 + 2 * maps(1)

    def k(a: Tensor, b: Tensor, median: float) -> float:
        squared = float((a - b).square().sum())
        return sum(np.exp(-squared / (f * median)) for f in BANDWIDTHS) / len(BANDWIDTHS)

    values = []
    for s_n, t_n in zip(s.flatten(2).mT, t.flatten(2).mT, strict=True):
        pairs = [(t_n[p] - t_n[q]).square().sum() for q in range(30) for p in range(q)]
        median = float(torch.stack(pairs).median())
        means = [
            np.mean([k(a, b, median) for a in x for b in y])
            for x, y in ((s_n, s_n), (t_n, t_n), (s_n, t_n))
        ]
        values.append(means[0] + means[1] - 2 * means[2])
    found = float(feature_distance(s, t, "mmd", normalise=False))
    assert found == pytest.approx(np.mean(values), rel=1e-9)


@EACH
@BOTH
def test_no_weight_depends_on_the_size(kind: Distance, normalise: bool) -> None:
    s, t = maps(0), maps(1)
    value = float(feature_distance(s, t, kind, normalise))
    # every position four times
    twice = [m.repeat_interleave(2, 2).repeat_interleave(2, 3) for m in (s, t)]
    again = float(feature_distance(twice[0], twice[1], kind, normalise))
    # the median is over pairs of different positions, of which some are now equal
    assert again == pytest.approx(value, rel=0.05 if kind == "mmd" else 1e-9)


def test_what_each_is_blind_to() -> None:
    s, t = maps(0), maps(1)
    values = {
        kind: [
            float(feature_distance(a, t, kind, normalise=False)) for a in (s, 3 * s, shuffled(s))
        ]
        for kind in KINDS
    }
    same = {
        kind: [v == pytest.approx(first, rel=1e-9) for v in others]
        for kind, (first, *others) in values.items()
    }
    #                strength  place
    assert same == {
        "l2": [False, False],
        "cosine": [True, False],
        "mmd": [False, True],
    }


@EACH
def test_normalised_no_channels_scale_or_shift_counts(kind: Distance) -> None:
    s, t = maps(0), maps(1)
    scale = torch.tensor([2.0, 30.0, 500.0]).double().view(1, 3, 1, 1)
    value = float(feature_distance(s, t, kind))
    assert float(feature_distance(scale * s - 7, 5 + t / 2, kind)) == pytest.approx(value, rel=1e-4)


@EACH
def test_a_dead_channel_stays_dead(kind: Distance) -> None:
    s, t = maps(0).float(), maps(1).float()
    s[:, 1] = 0.1  # float32: the mean of many 0.1 is not quite 0.1
    s.requires_grad_()
    value = feature_distance(s, t, kind)
    value.backward()
    assert torch.isfinite(value) and s.grad is not None
    # ε = 1e-5 bounds the norm's slope by 316; the rounding's own scale would be 1e8
    assert s.grad.abs().max() < 316 * 0.1


@EACH
@BOTH
def test_the_teacher_hears_nothing_unless_it_is_told_to(kind: Distance, normalise: bool) -> None:
    s, t = maps(0).requires_grad_(), maps(1).requires_grad_()
    feature_distance(s, t, kind, normalise).backward()
    assert t.grad is None and s.grad is not None
    value = feature_distance(s, t, kind, normalise)
    open_value = feature_distance(s, t, kind, normalise, detach=False)
    assert torch.equal(open_value, value)
    open_value.backward()
    assert t.grad is not None and t.grad.abs().max() > 1e-4
    if kind != "mmd":  # whose bandwidth is a constant
        assert torch.autograd.gradcheck(
            lambda a, b: feature_distance(a, b, kind, normalise, detach=False), (s, t)
        )


@pytest.mark.parametrize(
    ("normalise", "detach", "student_left", "teacher_left"),
    [(False, True, 0.0, 1.0), (False, False, 0.0, 0.0), (True, False, 1.0, 1.0)],
    ids=["frozen teacher", "missing detach", "missing detach, normalised"],
)
def test_two_networks_that_may_both_move_fall_silent(
    normalise: bool, detach: bool, student_left: float, teacher_left: float
) -> None:
    """Two gains on features that have nothing in common: what is left of them?"""
    gains = torch.ones(2, dtype=torch.float64, requires_grad=True)
    s, t = maps(0, 8, 3, 8, 8), maps(1, 8, 3, 8, 8)
    sgd = torch.optim.SGD([gains], lr=0.2)
    for _ in range(30):
        sgd.zero_grad()
        feature_distance(gains[0] * s, gains[1] * t, "l2", normalise, detach=detach).backward()
        sgd.step()
    assert gains.tolist() == pytest.approx([student_left, teacher_left], abs=0.1)


@EACH
def test_maps_that_say_nothing_are_equal(kind: Distance) -> None:
    zero = torch.zeros(2, 3, 4, 4, requires_grad=True)
    for normalise in (True, False):
        value = feature_distance(zero, torch.zeros(2, 3, 4, 4), kind, normalise)
        value.backward()
        assert float(value.detach()) == 0
    assert zero.grad is not None and not zero.grad.any()


def test_mmd_samples_student_and_teacher_at_the_same_positions() -> None:
    t = maps(1, 2, 3, 8, 8)
    with pytest.raises(ValueError, match="64 positions, more than max_positions = 16"):
        feature_distance(t, t, "mmd", max_positions=16)
    draw = torch.Generator().manual_seed(0)
    s = t.clone().requires_grad_()
    value = feature_distance(s, t, "mmd", max_positions=16, generator=draw)
    assert float(value.detach()) == pytest.approx(0, abs=1e-12)
    # only mmd has pairs
    assert float(feature_distance(maps(0, 2, 3, 8, 8), t, "l2", max_positions=16)) > 0


@pytest.mark.parametrize(
    ("s", "t", "kind", "message"),
    [
        ((2, 3, 4, 4), (2, 2, 4, 4), "l2", r"nn\.Conv2d"),
        ((2, 3, 4, 4), (2, 3, 8, 8), "cosine", "pool the larger map"),
        ((2, 3, 16), (2, 3, 16), "mmd", "one shape"),
        ((2, 3, 4, 4), (2, 3, 4, 4), "l1", "kind: expected one of"),
        ((1, 3, 1, 1), (1, 3, 1, 1), "l2", "no standard deviation|has no"),
        ((2, 3, 1, 1), (2, 3, 1, 1), "mmd", "found one position"),
    ],
)
def test_errors(s: tuple[int, ...], t: tuple[int, ...], kind: Distance, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        feature_distance(torch.zeros(s), torch.zeros(t), kind)


@EACH
def test_image_by_image_it_has_the_same_mean(kind: Distance) -> None:
    s, t = maps(0), maps(1)
    each = feature_distance(s, t, kind, normalise=False, reduction="none")
    assert each.shape == (len(s),)
    whole = float(feature_distance(s, t, kind, normalise=False))
    assert float(each.mean()) == pytest.approx(whole, rel=1e-12)
    alone = float(feature_distance(s[2:3], t[2:3], kind, normalise=False))
    assert float(each[2]) == pytest.approx(alone, rel=1e-12)
