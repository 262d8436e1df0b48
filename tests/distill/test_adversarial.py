"""Discriminator and fooling loss: closed forms, PyTorch as oracle, and design §3's properties."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from medkd_lib.distill.adversarial import discriminator_loss, fooling_loss


def logits(seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return 2 * torch.randn(6, 5, generator=torch.Generator().manual_seed(seed), dtype=dtype)


LOSSES: dict[str, Callable[[Tensor], Tensor]] = {
    "fooling": fooling_loss,
    "saturating": lambda a: fooling_loss(a, saturating=True),
    "discriminator, real": lambda a: discriminator_loss(a, torch.zeros_like(a)),
    "discriminator, fake": lambda a: discriminator_loss(torch.zeros_like(a), a),
}


def test_a_discriminator_that_cannot_tell_costs_two_log_two() -> None:
    zero = torch.zeros(4, 3)
    assert float(discriminator_loss(zero, zero)) == pytest.approx(2 * math.log(2))
    assert float(fooling_loss(zero)) == pytest.approx(math.log(2))
    assert float(fooling_loss(zero, saturating=True)) == pytest.approx(-math.log(2))


def test_equations_8_and_9() -> None:
    real, fake = logits(0), logits(1)
    d_real, d_fake = torch.sigmoid(real), torch.sigmoid(fake)
    expected = (-d_real.log()).mean() + (-(1 - d_fake).log()).mean()
    assert float(discriminator_loss(real, fake)) == pytest.approx(float(expected), rel=1e-10)
    minimax = (1 - d_fake).log().mean()
    assert float(fooling_loss(fake, saturating=True)) == pytest.approx(float(minimax), rel=1e-10)
    assert float(fooling_loss(fake)) == pytest.approx(float((-d_fake.log()).mean()), rel=1e-10)


def test_pytorchs_binary_cross_entropy_agrees() -> None:
    real, fake = logits(0), logits(1)
    bce = F.binary_cross_entropy_with_logits
    expected = bce(real, torch.ones_like(real)) + bce(fake, torch.zeros_like(fake))
    assert float(discriminator_loss(real, fake)) == pytest.approx(float(expected), rel=1e-10)
    assert float(fooling_loss(fake)) == pytest.approx(float(bce(fake, torch.ones_like(fake))))


def test_where_the_discriminator_is_sure_only_one_form_still_pulls() -> None:
    gradients = {}
    for saturating in (False, True):
        fake = torch.tensor([-12.0], requires_grad=True)  # D = 6e-6: "this is the student"
        fooling_loss(fake, saturating=saturating).backward()
        assert fake.grad is not None and float(fake.grad) < 0  # both push the logit up
        gradients[saturating] = -float(fake.grad)
    assert gradients[False] == pytest.approx(1.0, abs=1e-4)
    assert gradients[True] < 1e-5


@pytest.mark.parametrize("name", LOSSES)
def test_gradcheck_and_gradient(name: str) -> None:
    a = logits(0).requires_grad_()
    assert torch.autograd.gradcheck(LOSSES[name], a)
    (gradient,) = torch.autograd.grad(LOSSES[name](a), a)
    assert gradient.abs().max() > 1e-3


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("name", LOSSES)
def test_finite_in_half_precision_and_at_huge_logits(name: str, dtype: torch.dtype) -> None:
    a = (1e4 * torch.sign(logits(0))).to(dtype).requires_grad_()
    value = LOSSES[name](a)
    value.backward()
    assert value.dtype == torch.float32 and torch.isfinite(value) and value.abs().item() > 1e3
    assert a.grad is not None and torch.isfinite(a.grad).all()
