"""Cross-image relations: definition by loops, absent regions, lone patients, widths, errors."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from medkd_lib.distill.cross_image import cross_image_relations
from tests.distill.losses import random

PRESENT = torch.tensor([[1, 1, 1], [1, 0, 1], [0, 0, 1], [0, 0, 0]]).bool()


def nodes(seed: int, width: int = 5) -> Tensor:
    return random((4, 3, width), seed)


def by_loops(student: Tensor, teacher: Tensor, present: Tensor, tau: float) -> float:
    """Region by region of one patient, and all regions of the others."""
    regions = [(b, r) for b in range(len(present)) for r in range(present.shape[1])]
    regions = [(b, r) for b, r in regions if present[b, r]]
    terms = []
    for b, r in regions:
        others = [(c, q) for c, q in regions if c != b]
        if not others:
            continue
        likeness = [
            [math.exp(float(F.cosine_similarity(x[b, r], x[c, q], dim=0)) / tau) for c, q in others]
            for x in (teacher, student)
        ]
        p, q = ([value / sum(row) for value in row] for row in likeness)
        terms.append(sum(a * math.log(a / b) for a, b in zip(p, q, strict=True)))
    return sum(terms) / len(terms)


@pytest.mark.parametrize("tau", [0.1, 1.0])
@pytest.mark.parametrize("present", [PRESENT, torch.ones(4, 3).bool()], ids=["some", "all"])
def test_loops_over_regions_agree(present: Tensor, tau: float) -> None:
    student, teacher = nodes(0), nodes(1, width=9)  # widths may differ
    found = cross_image_relations(student, teacher, present, tau)
    assert float(found) == pytest.approx(by_loops(student, teacher, present, tau), rel=1e-9)


def test_an_absent_region_neither_asks_nor_is_asked() -> None:
    student, teacher = nodes(0).requires_grad_(), nodes(1)
    value = cross_image_relations(student, teacher, PRESENT)
    (slope,) = torch.autograd.grad(value, student)
    assert not slope[~PRESENT].any() and (slope[PRESENT].abs().amax(1) > 0).all()
    elsewhere = torch.where(PRESENT[..., None], student.detach(), nodes(7))
    assert float(cross_image_relations(elsewhere, teacher, PRESENT)) == value.item()


@pytest.mark.parametrize("who", [[], [2]])
def test_nobody_to_compare_with_is_0_and_pulls_on_nothing(who: list[int]) -> None:
    present = torch.zeros(4, 3).bool()
    present[who] = True
    student = nodes(0).requires_grad_()
    value = cross_image_relations(student, nodes(1), present)
    assert value.item() == 0 and not torch.autograd.grad(value, student)[0].any()


def test_regions_of_the_same_patient_are_not_compared() -> None:
    """Two patients of one region each have but one other region: nothing can differ."""
    both = torch.ones(2, 1).bool()
    assert float(cross_image_relations(nodes(0)[:2, :1], nodes(1)[:2, :1], both)) == 0
    with_own = torch.ones(2, 2).bool()
    assert float(cross_image_relations(nodes(0)[:2, :2], nodes(1)[:2, :2], with_own)) > 0.01


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_small_temperature_does_not_reach_the_patients_own(dtype: torch.dtype) -> None:
    # Every other region points away: likenesses of -1 / τ, below any fixed number.
    towards = torch.tensor([[[1.0, 0.0]], [[-1.0, 0.0]], [[-1.0, 0.1]]], dtype=dtype)
    away = towards.flip(0).requires_grad_()
    everybody = torch.ones(3, 1).bool()
    value = cross_image_relations(away, towards, everybody, temperature=1e-5)
    assert torch.isfinite(value)
    assert torch.isfinite(torch.autograd.grad(value, away)[0]).all()
    same = cross_image_relations(towards, towards, everybody, temperature=1e-5)
    assert float(same) == pytest.approx(0, abs=1e-6)
    assert float(cross_image_relations(towards[:2], away[:2], everybody[:2], 1e-5)) == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cross_image_relations(nodes(0), nodes(1)[:3], PRESENT), "expected nodes"),
        (lambda: cross_image_relations(nodes(0), nodes(1), PRESENT[:, :2]), "present"),
        (lambda: cross_image_relations(nodes(0), nodes(1), PRESENT, 0.0), "expected > 0"),
    ],
)
def test_errors_name_what_is_wrong(call: Callable[[], Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
