"""Answers about objects: sigmoids against PyTorch's, boxes by hand."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Bernoulli, kl_divergence

from medkd_lib.distill.boxes import binary_kd, box_terms


def logits(seed: int) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(5, 3, generator=draw, dtype=torch.float64)


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_sigmoids_are_bernoulli_variables(temperature: float) -> None:
    student, teacher = logits(0), logits(1)
    each = kl_divergence(
        Bernoulli(logits=teacher / temperature), Bernoulli(logits=student / temperature)
    )
    expected = temperature**2 * each.sum(dim=1).mean()
    torch.testing.assert_close(binary_kd(student, teacher, temperature), expected)


def test_its_gradient_is_that_of_soft_labels() -> None:
    student, teacher = logits(0).requires_grad_(), logits(1).requires_grad_()
    binary_kd(student, teacher, 1.0).backward()
    assert teacher.grad is None
    taken = student.grad
    other = logits(0).requires_grad_()
    soft = F.binary_cross_entropy_with_logits(other, logits(1).sigmoid(), reduction="sum") / 5
    torch.testing.assert_close(taken, torch.autograd.grad(soft, other)[0])


def box(*numbers: float) -> Tensor:
    return torch.tensor([numbers], dtype=torch.float32)


def test_equal_boxes_are_at_no_distance() -> None:
    assert float(box_terms(box(2, 3, 9, 7), box(2, 3, 9, 7), (10, 20))) == pytest.approx(
        0, abs=1e-6
    )


def test_two_boxes_by_hand() -> None:
    # overlap 2x4 of 32 - 8 = 24 pixels, hull 6x4 = 24: GIoU = 1/3
    mine, theirs = box(0, 0, 4, 4), box(2, 0, 6, 4)
    assert float(box_terms(mine, theirs, (8, 8), l1=0, giou=1)) == pytest.approx(2 / 3)
    # both x edges are 2 pixels away in an image of 8 columns and 16 rows
    assert float(box_terms(mine, theirs, (16, 8), l1=1, giou=0)) == pytest.approx(2 * 2 / 8)
    # boxes that do not meet: union 2 of a hull of 3
    assert float(box_terms(box(0, 0, 1, 1), box(2, 0, 3, 1), (8, 8), l1=0, giou=1)) == (
        pytest.approx(1 + 1 / 3)
    )
    both = box_terms(torch.cat([mine, theirs]), torch.cat([theirs, theirs]), (8, 8), 0, 1)
    assert float(both) == pytest.approx(1 / 3)


def test_the_gradient_pulls_the_student_alone() -> None:
    mine, theirs = box(0, 0, 4, 4).requires_grad_(), box(2, 0, 6, 4).requires_grad_()
    box_terms(mine, theirs, (8, 8)).backward()
    assert theirs.grad is None and mine.grad is not None
    assert float(mine.grad[0, 0]) < 0 and float(mine.grad[0, 2]) < 0  # to the right


@pytest.mark.parametrize("what", ["one pixel", "no area", "far outside"])
def test_odd_boxes_have_a_finite_distance_and_gradient(what: str) -> None:
    odd = {
        "one pixel": box(3, 3, 4, 4), "no area": box(3, 3, 3, 3),
        "far outside": box(900, 900, 901, 901),
    }[what].requires_grad_()  # fmt: skip
    for other in (box(0, 0, 8, 8), box(3, 3, 3, 3)):
        loss = box_terms(odd, other, (8, 8))
        (grad,) = torch.autograd.grad(loss, odd)
        assert torch.isfinite(loss) and torch.isfinite(grad).all()
        assert float(loss.detach()) >= 0


def test_without_rows_both_are_zero_with_a_gradient() -> None:
    nothing = torch.zeros(0, 4, requires_grad=True)
    for loss in (box_terms(nothing, torch.zeros(0, 4), (8, 8)), binary_kd(nothing, nothing)):
        assert float(loss.detach()) == 0 and loss.requires_grad


def test_half_precision_is_lifted() -> None:
    a, b = 1e4 * logits(0).sign(), -1e4 * logits(0).sign()
    found = binary_kd(a.half(), b.half(), 2.0)
    assert found.dtype == torch.float32 and torch.isfinite(found)
    assert float(found) == pytest.approx(float(binary_kd(a, b, 2.0)), rel=1e-3)


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(B, 4\)"):
        box_terms(torch.zeros(2, 4), torch.zeros(3, 4), (8, 8))
    with pytest.raises(ValueError, match="differ in shape"):
        binary_kd(torch.zeros(2, 3), torch.zeros(2, 4))
