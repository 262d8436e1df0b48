"""KL of a code from its prior, and reconstruction."""

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from medkd_lib.distill.vae import kl_to_standard_normal, reconstruction_loss
from tests.distill.losses import random

SHAPE = (3, 4, 2, 5)


def test_pytorchs_distributions_agree() -> None:
    mean, s = random(SHAPE, 0), random(SHAPE, 1)
    theirs = kl_divergence(Normal(mean, (s / 2).exp()), Normal(0.0, 1.0)).mean()
    assert float(kl_to_standard_normal(mean, s)) == pytest.approx(float(theirs), rel=1e-12)


def test_zero_at_the_prior_alone_and_at_unit_variance_half_the_mean_square() -> None:
    mean, zero = random(SHAPE, 0), torch.zeros(SHAPE, dtype=torch.float64)
    assert float(kl_to_standard_normal(zero, zero)) == 0
    assert float(kl_to_standard_normal(mean, zero)) == pytest.approx(
        float(mean.square().mean()) / 2
    )
    for s in (-0.1, 0.1):
        assert float(kl_to_standard_normal(zero, zero + s)) > 1e-3


def test_a_mean_over_images_and_elements_in_any_order() -> None:
    mean, s = random(SHAPE, 0), random(SHAPE, 1)
    single = [float(kl_to_standard_normal(m, v)) for m, v in zip(mean, s, strict=True)]
    assert float(kl_to_standard_normal(mean, s)) == pytest.approx(sum(single) / len(single))


def test_gradcheck() -> None:
    inputs = tuple(random(SHAPE, seed).requires_grad_() for seed in (0, 1))
    assert torch.autograd.gradcheck(kl_to_standard_normal, inputs)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32], ids=str)
@pytest.mark.parametrize("s", [-1e4, -1e-4, 0.0, 1e-4, 60.0])
def test_finite_and_exact_in_low_precision(dtype: torch.dtype, s: float) -> None:
    mean = (1e3 * random(SHAPE, 0)).to(dtype).requires_grad_()
    log_variance = torch.full(SHAPE, s).to(dtype).requires_grad_()
    value = kl_to_standard_normal(mean, log_variance)
    exact = kl_to_standard_normal(mean.detach().double(), log_variance.detach().double())
    assert value.dtype == torch.float32
    assert float(value.detach()) == pytest.approx(float(exact), rel=1e-4)
    value.backward()
    assert mean.grad is not None and torch.isfinite(mean.grad).all()


def test_near_the_prior_small_variances_do_not_cancel() -> None:
    s = torch.full(SHAPE, 1e-3)
    exact = float(kl_to_standard_normal(torch.zeros(SHAPE).double(), s.double()))
    assert float(kl_to_standard_normal(torch.zeros(SHAPE), s)) == pytest.approx(exact, rel=1e-3)


def test_shapes_must_fit() -> None:
    with pytest.raises(ValueError, match="one variance for every element"):
        kl_to_standard_normal(torch.zeros(2, 3), torch.zeros(2, 1))


def test_reconstruction_compares_with_a_constant_image() -> None:
    reconstruction, images = (random(SHAPE, seed).requires_grad_() for seed in (0, 1))
    loss: Tensor = reconstruction_loss(reconstruction, images)
    expected = (reconstruction - images).abs().mean()
    assert float(loss.detach()) == pytest.approx(float(expected.detach()))
    loss.backward()
    assert images.grad is None and reconstruction.grad is not None
