"""Several teachers: weights by hand, the divergence teacher by teacher, constants, errors."""

import numpy as np
import pytest
import torch
from scipy.special import rel_entr, softmax
from torch import Tensor

from medkd_lib.distill.logits import hinton_kd
from medkd_lib.distill.several_teachers import (
    confidence_weights,
    equal_weights,
    kept_teachers,
    weighed_kd,
)
from tests.distill.losses import LABELS, random

TEACHERS = torch.stack([random((6, 5), seed) for seed in (1, 2, 3)])


def logits_with(*p_of_label: float) -> Tensor:
    """One patient of class 0 of 2, each teacher with its own probability of it."""
    p = torch.tensor(p_of_label, dtype=torch.float64)
    return torch.stack([p, 1 - p], dim=1).log()[:, None]


@pytest.mark.parametrize(
    ("p_of_label", "weights"),
    [
        # e^L = 1/p: 5/4 and 5, of 25/4 in all
        ((0.8, 0.2), (0.8, 0.2)),
        # 2, 4, 4 of 10: half of 1 - 0.2, and of 1 - 0.4
        ((0.5, 0.25, 0.25), (0.4, 0.3, 0.3)),
        ((0.7, 0.7), (0.5, 0.5)),
        ((0.1,), (1.0,)),
    ],
)
def test_confidence_by_hand(p_of_label: tuple[float, ...], weights: tuple[float, ...]) -> None:
    found = confidence_weights(logits_with(*p_of_label), torch.tensor([0]))
    assert found.flatten().tolist() == pytest.approx(weights, rel=1e-12)


def test_weights_of_a_patient_sum_to_1_and_are_its_own() -> None:
    for weights in (confidence_weights(TEACHERS, LABELS), equal_weights(TEACHERS)):
        assert weights.shape == (3, 6)
        assert torch.allclose(weights.sum(0), torch.ones(6).double())
    assert (equal_weights(TEACHERS) == 1 / 3).all()
    found = confidence_weights(TEACHERS, LABELS)
    right = TEACHERS.softmax(2)[:, torch.arange(6), LABELS]
    assert torch.equal(found.argmax(0), right.argmax(0))
    assert torch.equal(found.argmin(0), right.argmin(0))
    assert len(set(found.argmax(0).tolist())) > 1  # not the same teacher for everybody


def test_a_teacher_that_is_surely_wrong_weighs_nothing() -> None:
    sure = torch.tensor([[[1e4, -1e4]], [[-1e4, 1e4]]])
    assert confidence_weights(sure, torch.tensor([0])).flatten().tolist() == [1, 0]


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_the_definition_teacher_by_teacher(temperature: float) -> None:
    student, weights = random((6, 5), 0), confidence_weights(TEACHERS, LABELS)
    p_s = softmax(student.numpy() / temperature, axis=1)
    total = 0.0
    for t, teacher in enumerate(TEACHERS.numpy()):
        for b, one in enumerate(teacher):
            p_t = softmax(one / temperature)
            total += float(weights[t, b]) * temperature**2 * np.sum(rel_entr(p_t, p_s[b])) / 6
    found = weighed_kd(student, TEACHERS, weights, temperature)
    assert float(found) == pytest.approx(total, rel=1e-10)


def test_one_teacher_is_hintons_loss() -> None:
    student, expected = random((6, 5), 0), hinton_kd(random((6, 5), 0), TEACHERS[1], 3.0)
    alone = TEACHERS[1:2]
    found = weighed_kd(student, alone, equal_weights(alone), 3.0)
    assert float(found) == pytest.approx(float(expected), rel=1e-12)
    second = torch.tensor([0.0, 1.0, 0.0])[:, None].expand(3, 6)
    assert float(weighed_kd(student, TEACHERS, second, 3.0)) == pytest.approx(float(expected))


def test_neither_teachers_nor_their_weights_are_trained() -> None:
    student, teachers = random((6, 5), 0).requires_grad_(), TEACHERS.clone().requires_grad_()
    weighed_kd(student, teachers, confidence_weights(teachers, LABELS)).backward()
    assert student.grad is not None and student.grad.abs().max() > 1e-3
    assert teachers.grad is None


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected \(T, B\) = \(3, 6\), found \(6, 3\)"):
        weighed_kd(random((6, 5), 0), TEACHERS, equal_weights(TEACHERS).T)
    with pytest.raises(ValueError, match="differ in shape"):
        weighed_kd(random((6, 4), 0), TEACHERS, equal_weights(TEACHERS))


def draw() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_the_worst_matched_teacher_is_always_heard_the_others_at_random() -> None:
    losses = random((3, 4000), 0, torch.float32).abs()
    kept = kept_teachers(losses, 0.3, generator=draw())
    worst = losses.argmax(0)
    assert {*kept.unique().tolist()} == {0.0, 1.0}
    assert (kept.gather(0, worst[None]) == 1).all()
    others = kept.scatter(0, worst[None], torch.nan)
    shares = others.nanmean(1)
    # 0.7 of some 2667 each, standard deviation 0.009
    assert shares.tolist() == pytest.approx([0.7] * 3, abs=0.04)
    # one teacher's fate says nothing about another's, nor one image's about the next
    first_two = kept[:2, worst == 2]
    assert abs(float(first_two.corrcoef()[0, 1])) < 0.1


@pytest.mark.parametrize(("probability", "heard"), [(0.0, 3), (1.0, 1)])
def test_nobody_or_everybody_else_is_dropped(probability: float, heard: int) -> None:
    losses = random((3, 50), 0, torch.float32).abs()
    kept = kept_teachers(losses, probability, generator=draw())
    assert (kept.sum(0) == heard).all()
    assert torch.equal(kept.argmax(0), losses.argmax(0)) or heard > 1


def test_dropping_repeats_with_its_generator_and_is_a_constant() -> None:
    losses = random((2, 40), 0).requires_grad_()
    kept, again = (kept_teachers(losses, generator=draw()) for _ in range(2))
    assert torch.equal(kept, again) and kept.dtype == losses.dtype
    assert not kept.requires_grad
    assert (kept_teachers(losses[:1], 1.0, generator=draw()) == 1).all()


def test_a_dropped_teacher_does_not_reach_the_student() -> None:
    student = random((6, 5), 0).requires_grad_()
    each = torch.stack([hinton_kd(student.detach(), z, reduction="none") for z in TEACHERS])
    kept = kept_teachers(each, 1.0, generator=draw())
    (found,) = torch.autograd.grad(weighed_kd(student, TEACHERS, kept), student)
    loudest = TEACHERS[each.argmax(0), torch.arange(6)]
    (expected,) = torch.autograd.grad(hinton_kd(student, loudest), student)
    torch.testing.assert_close(found, expected)


def test_dropping_refuses_what_is_no_table_or_no_probability() -> None:
    with pytest.raises(ValueError, match=r"losses: expected \(T, B\), found \(3,\)"):
        kept_teachers(torch.zeros(3), generator=draw())
    with pytest.raises(ValueError, match=r"probability: expected within 0…1, found 1\.5"):
        kept_teachers(torch.zeros(3, 2), 1.5, generator=draw())
