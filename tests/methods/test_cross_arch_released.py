"""The released adversarial term: no gradient for the student, fakes only for the discriminator."""

import pytest
import torch
from torch import Tensor, nn

from medkd_lib.methods.cross_arch_released import (
    adversarial_step,
    released_adversarial_step,
    released_training_step,
)
from medkd_lib.models.projectors import TokenDiscriminator


def scene() -> tuple[nn.Linear, Tensor, Tensor, TokenDiscriminator]:
    """Return a student (one layer), its tokens, the teacher's tokens and a discriminator."""
    torch.manual_seed(0)
    student = nn.Linear(6, 8)
    return student, student(torch.randn(2, 5, 6)), torch.randn(2, 5, 8), TokenDiscriminator(8)


def test_the_released_term_gives_the_student_nothing() -> None:
    _, tokens, teacher, discriminator = scene()
    released = released_adversarial_step(tokens, teacher, discriminator)
    assert released.student is None
    assert released.from_real is None  # its answer to the teacher is cut off too
    assert released.from_fake is not None and released.from_fake > 1e-3


def test_in_the_right_order_all_three_gradients_are_there() -> None:
    student, tokens, teacher, discriminator = scene()
    right = adversarial_step(tokens, teacher, discriminator)
    assert all(g is not None and g > 1e-3 for g in right)
    # and neither re-enactment leaves a gradient behind
    released_adversarial_step(tokens, teacher, discriminator)
    for network in (student, discriminator):
        assert all(p.grad is None for p in network.parameters())


def test_trained_on_fakes_only_it_calls_everything_fake() -> None:
    _, tokens, teacher, discriminator = scene()
    adam = torch.optim.Adam(discriminator.parameters(), lr=1e-2)
    for _ in range(200):
        # It has made its own step by the time PyTorch refuses the student's.
        with pytest.raises(RuntimeError):
            released_training_step(tokens.detach(), teacher, discriminator, adam)
    with torch.no_grad():
        assert torch.sigmoid(discriminator(tokens)).mean() < 0.05
        assert torch.sigmoid(discriminator(teacher)).mean() < 0.2


def test_the_released_order_of_backward_and_step_is_refused_by_pytorch() -> None:
    student, tokens, teacher, discriminator = scene()
    sgd = torch.optim.SGD(discriminator.parameters(), lr=0.1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        released_training_step(tokens, teacher, discriminator, sgd)
    assert all(p.grad is None for p in student.parameters())
