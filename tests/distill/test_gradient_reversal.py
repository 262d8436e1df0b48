"""Gradient reversal: identity forth, negated back, and the strength over a training."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medkd_lib.distill.gradient_reversal import reversal_strength, reverse_gradient
from tests.distill.losses import random

PROGRESS = (0.0, 0.05, 0.1, 0.25, 0.5, 1.0)
TABLE = {
    10.0: (0.0, 0.245, 0.462, 0.848, 0.987, 1.000),
    1.0: (0.0, 0.025, 0.050, 0.124, 0.245, 0.462),
}
DOMAINS = torch.tensor([0, 1, 0, 1, 1, 0])


def gradient(x: Tensor, strength: float) -> Tensor:
    x = x.clone().requires_grad_()
    return torch.autograd.grad((reverse_gradient(x, strength) * 3).sum(), x)[0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_values_pass_and_gradients_turn_round(dtype: torch.dtype) -> None:
    x = 1e4 * random((6, 4), 0, dtype)
    passed = reverse_gradient(x, 0.7)
    assert torch.equal(passed, x) and passed.dtype == dtype
    back = gradient(x, 0.5)
    assert back.dtype == dtype and (back == -1.5).all()
    assert not gradient(x, 0.0).any()


def test_the_jacobian_is_minus_lambda() -> None:
    x = random((2, 3), 0)
    jacobian = torch.autograd.functional.jacobian(lambda a: reverse_gradient(a, 0.3), x)
    assert torch.equal(jacobian.view(6, 6), -0.3 * torch.eye(6, dtype=torch.float64))


def test_turned_round_twice_is_the_identity_with_its_true_gradient() -> None:
    x = random((3, 4), 0).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda a: reverse_gradient(reverse_gradient(a, 1.0), 1.0).square(), x
    )
    with pytest.raises(RuntimeError, match="Jacobian mismatch"):
        torch.autograd.gradcheck(lambda a: reverse_gradient(a, 1.0).square(), x)


def networks() -> tuple[nn.Linear, nn.Linear, nn.Linear]:
    """Encoder, label head, domain classifier."""
    torch.manual_seed(0)
    return nn.Linear(4, 3), nn.Linear(3, 2), nn.Linear(3, 2)


def test_one_backward_is_the_saddle_point() -> None:
    """Encoder: L_y - λ L_d; classifier: L_d in full, not scaled by λ."""
    encoder, head, classifier = networks()
    x, labels = random((6, 4), 1, torch.float32), DOMAINS.flip(0)
    features = encoder(x)
    label_loss = F.cross_entropy(head(features), labels)
    domain_loss = F.cross_entropy(classifier(features), DOMAINS)
    weights = list(encoder.parameters())
    of_label = torch.autograd.grad(label_loss, weights, retain_graph=True)
    of_domain = torch.autograd.grad(domain_loss, weights, retain_graph=True)
    plain = torch.autograd.grad(domain_loss, list(classifier.parameters()))

    features = encoder(x)
    turned = F.cross_entropy(classifier(reverse_gradient(features, 0.3)), DOMAINS)
    assert float(turned.detach()) == float(domain_loss.detach())
    (F.cross_entropy(head(features), labels) + turned).backward()
    for weight, y, d in zip(weights, of_label, of_domain, strict=True):
        assert weight.grad is not None and d.abs().max() > 1e-3
        torch.testing.assert_close(weight.grad, y - 0.3 * d)
    for weight, d in zip(classifier.parameters(), plain, strict=True):
        assert weight.grad is not None
        torch.testing.assert_close(weight.grad, d)


def test_a_step_helps_the_classifier_and_hinders_it_through_the_encoder() -> None:
    encoder, _, classifier = networks()
    x = random((6, 4), 1, torch.float32)

    def loss() -> Tensor:
        return F.cross_entropy(classifier(reverse_gradient(encoder(x), 1.0)), DOMAINS)

    before = float(loss().detach())
    for network, sign in ((classifier, -1), (encoder, 1)):
        state = {k: v.clone() for k, v in network.state_dict().items()}
        sgd = torch.optim.SGD(network.parameters(), lr=0.1)
        sgd.zero_grad()
        loss().backward()
        sgd.step()
        assert sign * (float(loss().detach()) - before) > 1e-4
        network.load_state_dict(state)


def test_under_autocast_the_gradient_turns_round_too() -> None:
    encoder, _, classifier = networks()
    x = random((6, 4), 1, torch.float32)
    found = []
    for turn in (False, True):
        encoder.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            features = encoder(x)
            assert features.dtype == torch.bfloat16
            logits = classifier(reverse_gradient(features, 1.0) if turn else features)
        F.cross_entropy(logits.float(), DOMAINS).backward()
        assert encoder.weight.grad is not None and encoder.weight.grad.abs().max() > 1e-3
        found.append(encoder.weight.grad.clone())
    assert torch.equal(found[1], -found[0])


@pytest.mark.parametrize("gamma", TABLE)
def test_the_strength_over_a_training(gamma: float) -> None:
    found = [reversal_strength(p, gamma) for p in PROGRESS]
    assert found == pytest.approx(TABLE[gamma], abs=5e-4)
    formula = [2 / (1 + math.exp(-gamma * p)) - 1 for p in PROGRESS]
    assert found == pytest.approx(formula, abs=1e-12)
    assert found == sorted(found)


def test_the_papers_gamma_is_the_default_and_the_other_ends_at_less_than_half() -> None:
    assert reversal_strength(0.3) == reversal_strength(0.3, 10.0)
    assert reversal_strength(1.0, 1.0) == pytest.approx(reversal_strength(0.1))
    assert reversal_strength(1.0, 1.0) < 0.5 < reversal_strength(0.15)
    assert reversal_strength(1.0, 1e4) == 1.0  # e^γp may overflow, λ may not


def test_errors() -> None:
    with pytest.raises(ValueError, match=r"expected λ >= 0, found -1"):
        reverse_gradient(torch.zeros(2), -1.0)
    for progress in (-0.1, 1.01, math.nan):
        with pytest.raises(ValueError, match="divide the step by the number of steps"):
            reversal_strength(progress)
    with pytest.raises(ValueError, match=r"gamma: expected > 0, found 0"):
        reversal_strength(0.5, 0)
