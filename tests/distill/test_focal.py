"""Focal loss: MONAI, cross-entropy at γ = 0, what is sure and right, errors."""

import pytest
import torch
import torch.nn.functional as F
from monai.losses import FocalLoss

from medkd_lib.distill.focal import focal_loss
from tests.distill.losses import LABELS, random


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 3.5])
def test_monai_agrees(gamma: float) -> None:
    logits = random((6, 5), 0)
    # MONAI's mean is over classes too, all but one of which are 0.
    theirs = FocalLoss(to_onehot_y=True, use_softmax=True, gamma=gamma, reduction="none")
    expected = theirs(logits, LABELS[:, None]).sum(dim=1).mean()
    assert float(focal_loss(logits, LABELS, gamma)) == pytest.approx(float(expected), rel=1e-6)


def test_gamma_0_is_cross_entropy_and_more_is_less() -> None:
    logits = random((6, 5), 0)
    values = [float(focal_loss(logits, LABELS, gamma)) for gamma in (0.0, 1.0, 2.0, 5.0)]
    assert values[0] == pytest.approx(float(F.cross_entropy(logits, LABELS)), rel=1e-12)
    assert values == sorted(values, reverse=True) and values[-1] < 0.9 * values[0]


def test_one_patient_by_hand() -> None:
    """p = 3/4: (1/4)² log(4/3)."""
    logits = torch.tensor([[3.0, 1.0]]).log()
    expected = 0.0625 * 0.28768207
    assert float(focal_loss(logits, torch.tensor([0]))) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("margin", [8.0, 30.0, 1e4])
def test_what_is_sure_and_right_gets_almost_no_gradient(margin: float, gamma: float) -> None:
    logits = (margin * F.one_hot(LABELS, 5)).float().requires_grad_()
    value = focal_loss(logits, LABELS, gamma)
    (slope,) = torch.autograd.grad(value, logits)
    assert torch.isfinite(value) and torch.isfinite(slope).all()
    (plain,) = torch.autograd.grad(F.cross_entropy(logits, LABELS), logits)
    assert slope.abs().max() <= plain.abs().max() * 1.0001


def test_a_negative_gamma_is_refused() -> None:
    with pytest.raises(ValueError, match="gamma: expected 0 or more, found -1"):
        focal_loss(random((6, 5), 0), LABELS, -1.0)
