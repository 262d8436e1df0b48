"""Token loss and token cosine: closed forms, their relation, and design §3's properties."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from medkd_lib.distill.tokens import token_cosine, token_loss


def tokens(seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def test_closed_form() -> None:
    """Two features: layer norm leaves the sign of their difference, so tokens agree or oppose."""
    teacher = torch.tensor([[[0.0, 2.0], [5.0, 1.0]]])
    student = torch.tensor([[[7.0, 9.0], [1.0, 5.0]]])  # the first agrees, the second opposes
    # differences (0, 0) and (2, -2): mean square (0 + 0 + 4 + 4) / 4
    assert float(token_loss(student, teacher)) == pytest.approx(2.0, rel=1e-4)
    assert float(token_cosine(student, teacher)) == pytest.approx(0.0, abs=1e-6)
    assert float(token_loss(student, teacher, normalise=False)) == pytest.approx(
        (49 + 49 + 16 + 16) / 4
    )


def test_the_raw_loss_and_cosine_are_pytorchs() -> None:
    s, t = tokens(0), tokens(1)
    assert float(token_loss(s, t, normalise=False)) == pytest.approx(float(F.mse_loss(s, t)))
    expected = ((s * t).sum(-1) / (s.norm(dim=-1) * t.norm(dim=-1))).mean()
    assert float(token_cosine(s, t, normalise=False)) == pytest.approx(float(expected))


def test_the_loss_is_two_minus_two_cosines() -> None:
    s, t = 5 * tokens(0), 5 * tokens(1)
    assert float(token_loss(s, t)) == pytest.approx(2 - 2 * float(token_cosine(s, t)), rel=1e-5)


def test_unrelated_tokens_cost_about_two() -> None:
    generator = torch.Generator().manual_seed(0)
    s, t = (torch.randn(50, 49, 64, generator=generator) for _ in range(2))
    assert float(token_loss(s, t)) == pytest.approx(2.0, abs=0.05)
    assert float(token_cosine(s, t)) == pytest.approx(0.0, abs=0.03)


@pytest.mark.parametrize("normalise", [True, False])
def test_zero_at_equality(normalise: bool) -> None:
    assert float(token_loss(tokens(0), tokens(0), normalise=normalise)) == 0
    assert float(token_cosine(tokens(0), tokens(0), normalise=normalise)) == pytest.approx(1.0)


def test_normed_tokens_have_neither_scale_nor_offset() -> None:
    s, t = 10 * tokens(0), 10 * tokens(1)
    moved = float(token_loss(7 * s + 3, 0.5 * t - 2))
    assert moved == pytest.approx(float(token_loss(s, t)), rel=1e-5)


@pytest.mark.parametrize("normalise", [True, False])
def test_the_gradient_reaches_the_student_alone(normalise: bool) -> None:
    s, t = tokens(0).requires_grad_(), tokens(1).requires_grad_()
    token_loss(s, t, normalise=normalise).backward()
    assert s.grad is not None and s.grad.abs().max() > 1e-3
    assert t.grad is None
    assert not token_cosine(s, t, normalise=normalise).requires_grad


@pytest.mark.parametrize("normalise", [True, False])
def test_gradcheck(normalise: bool) -> None:
    t = tokens(1)
    assert torch.autograd.gradcheck(
        lambda s: token_loss(s, t, normalise=normalise), tokens(0).requires_grad_()
    )


@pytest.mark.parametrize("scale", [0.0, 1.0, 1e3])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("normalise", [True, False])
def test_finite_in_half_precision(normalise: bool, dtype: torch.dtype, scale: float) -> None:
    s, t = (scale * tokens(0)).to(dtype).requires_grad_(), (scale * tokens(1)).to(dtype)
    value = token_loss(s, t, normalise=normalise)
    value.backward()
    assert value.dtype == torch.float32 and torch.isfinite(value)
    assert s.grad is not None and torch.isfinite(s.grad).all()
    assert torch.isfinite(token_cosine(s, t, normalise=normalise))


@pytest.mark.parametrize("measure", [token_loss, token_cosine])
def test_a_class_token_left_on_is_named(measure: Callable[[Tensor, Tensor], Tensor]) -> None:
    with pytest.raises(ValueError, match=r"\(3, 5, 8\) and teacher tokens \(3, 4, 8\)"):
        measure(tokens(0), tokens(1)[:, 1:])
