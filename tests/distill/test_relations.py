"""RKD: torchdistill, definition by loops, and coincident or collapsed embeddings."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torchdistill.losses.mid_level import RKDLoss

from medkd_lib.distill.relations import rkd, rkd_angle, rkd_distance
from tests.distill.losses import random

Loss = Callable[[Tensor, Tensor], Tensor]


def huber(x: float) -> float:
    return x * x / 2 if abs(x) <= 1 else abs(x) - 0.5


def of_torchdistill(s: Tensor, t: Tensor, distance: float, angle: float) -> float:
    theirs = RKDLoss("layer", "layer", distance, angle, reduction="mean")
    return float(theirs({"layer": {"output": s}}, {"layer": {"output": t}}))


def test_torchdistill_agrees() -> None:
    s, t = random((7, 4), 0), random((7, 9), 1)
    assert float(rkd_distance(s, t)) == pytest.approx(of_torchdistill(s, t, 1, 0), rel=1e-9)
    assert float(rkd_angle(s, t)) == pytest.approx(of_torchdistill(s, t, 0, 1), rel=1e-9)
    assert float(rkd(s, t)) == pytest.approx(of_torchdistill(s, t, 25, 50), rel=1e-9)


def test_distances_equal_the_definition() -> None:
    # far apart enough that Huber's linear part is reached
    s, t = random((5, 2), 0) ** 3, random((5, 3), 1)
    sides = []
    for e in (s.numpy(), t.numpy()):
        d = np.array([[np.linalg.norm(a - b) for b in e] for a in e])
        sides.append(d / d[d > 0].mean())
    terms = [huber(a - b) for a, b in zip(sides[0].flat, sides[1].flat, strict=True)]
    assert np.abs(sides[0] - sides[1]).max() > 1
    assert float(rkd_distance(s, t)) == pytest.approx(sum(terms) / 25, rel=1e-10)


def test_angles_equal_the_definition() -> None:
    s, t = random((4, 2), 0), random((4, 3), 1)

    def cosine(e: np.ndarray, i: int, j: int, k: int) -> float:
        a, b = e[i] - e[j], e[k] - e[j]
        return 0.0 if i == j or k == j else a @ b / (np.linalg.norm(a) * np.linalg.norm(b))

    triples = list(itertools.product(range(4), repeat=3))
    terms = [huber(cosine(s.numpy(), *x) - cosine(t.numpy(), *x)) for x in triples]
    assert float(rkd_angle(s, t)) == pytest.approx(sum(terms) / 64, rel=1e-10)


def test_a_right_angle_against_a_straight_line() -> None:
    """By hand: one angle of 90° becomes one of 180°, two of 45° become 0."""
    corner = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    line = torch.tensor([[0.0], [1.0], [-1.0]])
    # cosines 0 against -1, and twice √½ against 1; each angle is counted from both sides
    expected = 2 * (1 / 2 + 2 * (1 - 0.5**0.5) ** 2 / 2) / 27
    assert float(rkd_angle(corner, line)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("loss", [rkd_distance, rkd_angle])
def test_coincident_embeddings_pull_on_nothing(loss: Loss) -> None:
    """Two equal rows, different in the teacher: a bounded gradient, not one of 1 / 1e-12."""
    student = random((6, 4), 0)
    student[3] = student[1]
    student.requires_grad_()
    value = loss(student, random((6, 4), 1))
    (gradient,) = torch.autograd.grad(value, student)
    assert torch.isfinite(value) and 1e-4 < gradient.abs().max() < 1


@pytest.mark.parametrize("loss", [rkd_distance, rkd_angle])
def test_a_collapsed_side_gives_a_finite_value(loss: Loss) -> None:
    point, spread = torch.ones(5, 4, dtype=torch.float64), random((5, 4), 1)
    collapsed = point.clone().requires_grad_()
    value = loss(collapsed, spread)
    assert torch.isfinite(value) and value > 0.05
    assert not torch.autograd.grad(value, collapsed)[0].any()
    assert torch.isfinite(loss(spread, point))
    assert float(loss(point, point)) == 0


def test_close_neighbours_keep_their_distance() -> None:
    """‖a‖² + ‖b‖² - 2ab would cancel here: embeddings 1e-4 apart, 1000 from the origin."""
    offset = 1e-4 * random((6, 4), 0)
    far = (offset + 1000).clone()
    assert float(rkd(far, offset)) == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rkd_distance(random((1, 4), 0), random((1, 4), 1)), "at least 2 images"),
        (lambda: rkd_angle(random((2, 4), 0), random((2, 4), 1)), "at least 3 images"),
        (lambda: rkd(random((2, 4), 0), random((2, 4), 1)), "at least 3 images"),
        (lambda: rkd(random((4, 4), 0), random((5, 4), 1)), "same images"),
        (lambda: rkd(random((4, 4, 2, 2), 0), random((4, 4), 1)), "pool maps"),
    ],
)
def test_errors_name_what_is_wrong(call: Callable[[], Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_two_images_have_one_distance_and_it_is_always_the_mean() -> None:
    assert float(rkd_distance(random((2, 4), 0), random((2, 4), 1))) == pytest.approx(0, abs=1e-12)
