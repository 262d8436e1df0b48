"""In-batch InfoNCE: pytorch-metric-learning, closed forms, negatives, zero vectors."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from pytorch_metric_learning.losses import NTXentLoss
from torch import Tensor

from medkd_lib.distill.contrast import crd_in_batch
from tests.distill.losses import LABELS, random

OWN = torch.arange(6)


def pair() -> tuple[Tensor, Tensor]:
    return random((6, 8), 0), random((6, 8), 1)


@pytest.mark.parametrize("temperature", [0.07, 0.5])
def test_metric_learning_agrees(temperature: float) -> None:
    """Each image its own class: NT-Xent from the student to the teacher, and back."""
    s, t = pair()
    theirs = NTXentLoss(temperature)
    # a copy: given the same labels object twice, it takes both sides for one and drops i = j
    forth = theirs(s, OWN, ref_emb=t, ref_labels=OWN.clone())
    back = theirs(t, OWN, ref_emb=s, ref_labels=OWN.clone())
    ours = float(crd_in_batch(s, t, temperature))
    assert ours == pytest.approx(float((forth + back) / 2), rel=1e-6)


def test_metric_learning_agrees_on_what_is_a_negative() -> None:
    """Its pairs given by hand: own teacher positive, negatives of other classes only."""
    s, t = pair()
    anchor, negative = (LABELS[:, None] != LABELS[None]).nonzero(as_tuple=True)
    pairs = (OWN, OWN, anchor, negative)
    theirs = NTXentLoss(0.07)
    forth = theirs(s, indices_tuple=pairs, ref_emb=t)
    back = theirs(t, indices_tuple=pairs, ref_emb=s)
    ours = float(crd_in_batch(s, t, labels=LABELS))
    assert ours == pytest.approx(float((forth + back) / 2), rel=1e-6)
    assert ours < float(crd_in_batch(s, t)) - 1e-6  # a negative less


def test_equals_the_definition() -> None:
    s, t = pair()
    unit_s, unit_t = (x / x.norm(dim=1, keepdim=True) for x in (s, t))
    z = (unit_s @ unit_t.T).numpy() / 0.5
    expected = 0.0
    for i in range(6):
        others = [j for j in range(6) if LABELS[j] != LABELS[i] or j == i]
        expected -= math.log(np.exp(z[i, i]) / np.exp(z[i, others]).sum()) / 12
        expected -= math.log(np.exp(z[i, i]) / np.exp(z[others, i]).sum()) / 12
    assert float(crd_in_batch(s, t, 0.5, LABELS)) == pytest.approx(expected, rel=1e-10)


def test_embeddings_that_say_nothing_give_log_n() -> None:
    zero, same = torch.zeros(6, 8), torch.ones(6, 8)
    for student, teacher in ((zero, random((6, 8), 1).float()), (zero, zero), (same, same)):
        assert float(crd_in_batch(student, teacher)) == pytest.approx(math.log(6))


def test_the_bound_holds_for_any_pair() -> None:
    for seed in range(20):
        s = random((4, 3), seed)
        bound = math.log1p(3 * math.exp(-4 / (3 * 0.3)))
        assert float(crd_in_batch(s, s, 0.3)) > bound
        assert float(crd_in_batch(s, random((4, 3), 50 + seed), 0.3)) > bound


def test_the_right_pairing_is_worth_more_than_another() -> None:
    s = random((6, 8), 0)
    assert float(crd_in_batch(s, s)) < 0.1 < float(crd_in_batch(s, s.roll(1, 0)))


def test_a_batch_of_one_class_has_no_negatives() -> None:
    s, t = pair()
    s.requires_grad_()
    value = crd_in_batch(s, t, labels=torch.zeros(6, dtype=torch.long))
    assert float(value.detach()) == 0
    assert not torch.autograd.grad(value, s)[0].any()


def test_a_dead_student_embedding_gets_no_gradient_and_spoils_no_other() -> None:
    s, t = pair()
    s[2] = 0
    s.requires_grad_()
    (gradient,) = torch.autograd.grad(crd_in_batch(s, t), s)
    assert not gradient[2].any()
    assert torch.isfinite(gradient).all() and 0.01 < gradient.abs().max() < 100


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: crd_in_batch(random((6, 8), 0), random((6, 9), 1)), "common dimension"),
        (lambda: crd_in_batch(random((1, 8), 0), random((1, 8), 1)), "at least 2 images"),
        (lambda: crd_in_batch(*pair(), 0.0), "expected > 0"),
        (lambda: crd_in_batch(*pair(), labels=LABELS[:3]), "labels"),
    ],
)
def test_errors_name_what_is_wrong(call: Callable[[], Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
