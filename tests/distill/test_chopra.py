"""Contrastive loss in both forms: pytorch-metric-learning, closed forms, who pulls, who pushes."""

import math
from typing import Any, get_args

import pytest
import torch
from pytorch_metric_learning.losses import ContrastiveLoss
from pytorch_metric_learning.reducers import DoNothingReducer
from torch import Tensor

from medkd_lib.distill.chopra import Form, chopra, chopra_of_maps
from tests.distill.losses import LABELS, random

OWN = torch.arange(6)
BOTH = pytest.mark.parametrize("form", get_args(Form))


def pair() -> tuple[Tensor, Tensor]:
    return random((6, 8), 0), random((6, 8), 1)


@pytest.mark.parametrize("margin", [0.8, 1.5, 2.0])
def test_metric_learning_agrees(margin: float) -> None:
    """Its D and max(0, m - D) of each pair, squared and halved."""
    s, t = pair()
    anchor, negative = (LABELS[:, None] != LABELS).nonzero(as_tuple=True)
    theirs = ContrastiveLoss(0.0, margin, reducer=DoNothingReducer())
    terms: dict[str, Any] = theirs(s, indices_tuple=(OWN, OWN, anchor, negative), ref_emb=t)
    expected = sum(
        float((terms[name]["losses"].square() / 2).mean()) for name in ("pos_loss", "neg_loss")
    )
    assert float(chopra(s, t, LABELS, "margin", margin)) == pytest.approx(expected, rel=1e-9)


def test_energy_equals_the_definition() -> None:
    s, t = pair()
    bound = 2 * math.sqrt(8)
    genuine, impostors = [], []
    for i in range(6):
        for j in range(6):
            energy = float((s[i] / s[i].norm() - t[j] / t[j].norm()).abs().sum())
            assert energy <= bound
            if i == j:
                genuine.append(2 / bound * energy**2)
            elif LABELS[i] != LABELS[j]:
                impostors.append(2 * bound * math.exp(-2.77 * energy / bound))
    expected = sum(genuine) / 6 + sum(impostors) / len(impostors)
    assert len(impostors) == 28  # 30 pairs less the two of one class
    assert float(chopra(s, t, LABELS, "energy")) == pytest.approx(expected, rel=1e-12)


def test_by_hand() -> None:
    s = torch.tensor([[3.0, 0.0], [0.0, 2.0]])
    t = torch.tensor([[0.0, 5.0], [0.0, 1.0]])
    classes = torch.tensor([0, 1])
    # genuine: D² = 2 and 0; impostors: s_0 t_1 at √2, s_1 t_0 at 0
    assert float(chopra(s, t, classes, "margin", 1.0)) == pytest.approx(0.5 + 0.25)
    q = 2 * math.sqrt(2)
    expected = (2 / q * 4) / 2 + (2 * q * math.exp(-2.77 * 2 / q) + 2 * q) / 2
    assert float(chopra(s, t, classes, "energy")) == pytest.approx(expected, rel=1e-6)


@BOTH
def test_one_class_has_no_impostors(form: Form) -> None:
    s, t = pair()
    one = torch.zeros(6, dtype=torch.long)
    assert float(chopra(s, s, one, form)) == 0
    assert float(chopra(s, t, one, form)) < float(chopra(s, t, OWN, form, 2.0))


def impostor_gradient(form: Form, degrees: float) -> float:
    """How hard a student's vector is pushed away from one of another class, along the circle."""
    angle = torch.tensor(math.radians(degrees), dtype=torch.float64, requires_grad=True)
    moving = torch.stack([angle.cos(), angle.sin()])
    fixed = torch.tensor([1.0, 0.0]).double()
    # its own teacher is where it stands, so that only the impostor pulls at it
    teacher = torch.stack([moving.detach(), fixed])
    student = torch.stack([moving, fixed])
    classes = torch.tensor([0, 1])
    (slope,) = torch.autograd.grad(chopra(student, teacher, classes, form, 1.0), angle)
    return -float(slope)


def test_who_is_pushed_and_how_far() -> None:
    # within the margin of 1, which is 60 degrees, and beyond
    assert impostor_gradient("margin", 40) > 0.1
    assert impostor_gradient("margin", 80) == 0
    assert impostor_gradient("energy", 40) > 0.1 < impostor_gradient("energy", 80)
    # neither is on a plateau where impostors coincide, as a squared distance would be
    for form in get_args(Form):
        assert impostor_gradient(form, 0.01) > 0.2


@BOTH
def test_genuine_pairs_are_pulled_together(form: Form) -> None:
    s, t = pair()
    one = torch.zeros(6, dtype=torch.long)
    s.requires_grad_()
    value = chopra(s, t, one, form)
    (gradient,) = torch.autograd.grad(value, s)
    assert float(chopra(s - 0.1 * gradient, t, one, form).detach()) < float(value.detach())
    nearer = (torch.nn.functional.cosine_similarity(s - 0.1 * gradient, t)).mean()
    assert nearer > torch.nn.functional.cosine_similarity(s, t).mean()


def test_nearly_equal_vectors_keep_their_distance_in_float32() -> None:
    s = random((40, 8), 0, torch.float32)
    t = (s + 1e-4 * random((40, 8), 1, torch.float32)).float()
    labels = torch.zeros(40, dtype=torch.long)
    exact = float(chopra(s.double(), t.double(), labels))
    assert float(chopra(s, t, labels)) == pytest.approx(exact, rel=1e-2)


def masks() -> Tensor:
    """Two images of 8²: one pixel of class 1 in the first, a corner of class 2 in the second."""
    found = torch.zeros(2, 8, 8, dtype=torch.long)
    found[0, 5, 3] = 1
    found[1, :4, 4:] = 2
    return found


@BOTH
def test_places_of_maps_have_the_class_that_lies_in_them(form: Form) -> None:
    s, t = random((2, 3, 4, 4), 0), random((2, 3, 4, 4), 1)
    labels = torch.zeros(2, 4, 4, dtype=torch.long)
    labels[0, 2, 1] = 1  # one pixel of four is enough
    labels[1, :2, 2:] = 2
    vectors = [m.permute(0, 2, 3, 1).reshape(32, 3) for m in (s, t)]
    expected = chopra(vectors[0], vectors[1], labels.flatten(), form)
    assert float(chopra_of_maps(s, t, masks(), form)) == pytest.approx(float(expected), rel=1e-12)


def test_places_are_drawn_alike_from_student_and_teacher() -> None:
    t = random((2, 3, 4, 4), 1)
    with pytest.raises(ValueError, match="27 places of class 0, more than per_class = 6"):
        chopra_of_maps(t, t, masks(), per_class=6)
    draw = torch.Generator().manual_seed(0)
    s = t.clone().requires_grad_()
    # tiny margin: equal maps leave impostors that happen to be close, and no genuine pair
    value = chopra_of_maps(s, t, masks(), margin=1e-6, per_class=6, generator=draw)
    assert float(value.detach()) == 0
    moved = (t + random((2, 3, 4, 4), 2)).requires_grad_()
    chopra_of_maps(moved, t, masks(), per_class=6, generator=draw).backward()
    assert moved.grad is not None
    heard = moved.grad.abs().amax(1) > 0
    # all places of classes 1 and 2, six of the background
    assert int(heard.sum()) == 1 + 4 + 6
    assert heard[0, 2, 1] and heard[1, :2, 2:].all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"student": random((6, 7), 0)}, r"found \(6, 7\), \(6, 8\) and \(6,\)"),
        ({"student": random((6, 8, 2, 2), 0)}, "chopra_of_maps"),
        ({"labels": LABELS[:3]}, r"\(3,\)"),
        ({"form": "energetic"}, "form: expected one of"),
        ({"margin": 0.0}, "margin: expected within"),
        ({"margin": 2.1}, "distances of unit vectors, found 2.1"),
    ],
)
def test_errors(change: dict[str, Any], message: str) -> None:
    s, t = pair()
    call: dict[str, Any] = {"student": s, "teacher": t, "labels": LABELS}
    with pytest.raises(ValueError, match=message):
        chopra(**{**call, **change})


def test_masks_that_do_not_lie_on_the_map_are_refused() -> None:
    s = random((2, 3, 4, 4), 0)
    for shape in ((2, 9, 8), (1, 8, 8), (2, 1, 8, 8)):
        with pytest.raises(ValueError, match="masks: expected"):
            chopra_of_maps(s, s, torch.zeros(shape, dtype=torch.long))
