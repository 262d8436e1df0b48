"""OFA: the formula in probabilities, its plain case, its target, huge and sure logits."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from medkd_lib.distill.logits import hinton_kd
from medkd_lib.distill.ofa import ofa
from tests.distill.losses import LABELS, random


def pair() -> tuple[Tensor, Tensor]:
    return 2 * random((6, 5), 0), 2 * random((6, 5), 1)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
@pytest.mark.parametrize("eps", [0.5, 1.0, 1.5, 3.0])
def test_probabilities_as_the_formula_prints_them(eps: float, temperature: float) -> None:
    s, t = pair()
    expected = 0.0
    for row, y in enumerate(LABELS.tolist()):
        p_s, p_t = (F.softmax(x[row] / temperature, 0) for x in (s, t))
        for c in range(5):
            m = 1.0 if c == y else 0.0
            expected -= float(((p_t[c] + m) ** eps - m) * p_s[c].log()) / 6
    value = float(ofa(s, t, LABELS, eps, temperature))
    assert value == pytest.approx(temperature**2 * expected, rel=1e-10)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_eps_one_is_the_soft_label_cross_entropy(temperature: float) -> None:
    s, t = pair()
    soft = F.softmax(t / temperature, 1)
    torchs = temperature**2 * F.cross_entropy(s / temperature, soft)
    plain = ofa(s, t, LABELS, 1.0, temperature)
    assert float(plain) == pytest.approx(float(torchs), rel=1e-10)
    # which is Hinton's loss and the teacher's entropy
    entropy = temperature**2 * -(soft * soft.log()).sum(1).mean()
    assert float(plain - entropy) == pytest.approx(float(hinton_kd(s, t, temperature)), rel=1e-9)


def test_the_target_is_enhanced_and_the_others_are_not() -> None:
    """Teacher (½, ½) on two classes, ε = 2: weights 1.25 and 0.25, from the gradient."""
    s = torch.zeros(1, 2, dtype=torch.float64, requires_grad=True)
    value = ofa(s, torch.zeros(1, 2, dtype=torch.float64), torch.tensor([1]), eps=2.0)
    # dL/dz = W p_s - w
    (gradient,) = torch.autograd.grad(value, s)
    torch.testing.assert_close(gradient[0], torch.tensor([0.75 - 0.25, 0.75 - 1.25]).double())


@pytest.mark.parametrize("margin", [100.0, 1e4])
@pytest.mark.parametrize("right", [True, False], ids=["right", "wrong"])
def test_a_sure_teacher_gives_a_finite_gradient(margin: float, right: bool) -> None:
    believed = LABELS if right else (LABELS + 1) % 5
    teacher = margin * F.one_hot(believed, 5).double()
    for start in (pair()[0], teacher.clone(), -teacher):
        student = start.requires_grad_()
        value = ofa(student, teacher, LABELS)
        (gradient,) = torch.autograd.grad(value, student)
        assert torch.isfinite(value) and torch.isfinite(gradient).all()


def test_an_unsure_teacher_keeps_its_digits_in_float32() -> None:
    """(1 + p)^ε - 1 for p = 1e-8 is 0 in float32 when written so; expm1 and log1p keep it."""
    t = torch.tensor([[0.0, -18.420681]])
    s = torch.tensor([[0.0, 0.0]], requires_grad=True)
    (gradient,) = torch.autograd.grad(ofa(s, t, torch.tensor([1])), s)
    # w = (1, 1.5e-8): W p_s - w = ±(1 - 1.5e-8) / 2, so look at the loss of the small class alone
    assert float(gradient[0, 0]) == pytest.approx(-0.5, rel=1e-6)
    low = ofa(torch.tensor([[0.0, -1e8]]), t, torch.tensor([1]))
    assert float(low) == pytest.approx(1.5e-8 * 1e8, rel=1e-3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s, t: ofa(s, t[:, :4], LABELS), "as many outputs"),
        (lambda s, t: ofa(s, t, LABELS[:3]), "labels"),
        (lambda s, t: ofa(s, t, LABELS, 0.0), "eps: expected > 0"),
        (lambda s, t: ofa(s, t, LABELS, 1.5, -1.0), "temperature: expected > 0"),
    ],
)
def test_errors_name_what_is_wrong(call: Callable[..., Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(*pair())
