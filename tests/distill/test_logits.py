"""Hinton's loss and DKD: oracle, zero, invariances, gradient, half precision, gradcheck."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torchdistill.losses.mid_level import KDLoss

from medkd_lib.distill.conformance import kd_losses_compared
from medkd_lib.distill.logits import dkd, hinton_kd, hinton_kd_gradient

LABELS = torch.tensor([0, 3, 1, 2, 2, 4])
Loss = Callable[[Tensor, Tensor], Tensor]
LOSSES: dict[str, Loss] = {
    "hinton": lambda s, t: hinton_kd(s, t, 3.0),
    "dkd": lambda s, t: dkd(s, t, LABELS, 3.0),
}


def logits(seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return 2 * torch.randn(6, 5, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def kl_in_numpy(student: np.ndarray, teacher: np.ndarray, temperature: float) -> np.ndarray:
    """Return T² KL per row, straight from the definition."""
    p_s, p_t = (np.exp(z / temperature) for z in (student, teacher))
    p_s, p_t = (p / p.sum(1, keepdims=True) for p in (p_s, p_t))
    return temperature**2 * (p_t * np.log(p_t / p_s)).sum(1)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0, 20.0])
def test_hinton_equals_the_definition(temperature: float) -> None:
    s, t = logits(0), logits(1)
    rows = kl_in_numpy(s.numpy(), t.numpy(), temperature)
    assert float(hinton_kd(s, t, temperature)) == pytest.approx(rows.mean(), rel=1e-12)
    assert float(hinton_kd(s, t, temperature, reduction="sum")) == pytest.approx(rows.sum())
    assert float(hinton_kd(s, t, temperature, reduction="mean")) == pytest.approx(rows.mean() / 5)
    per_row = hinton_kd(s, t, temperature, reduction="none").numpy()
    np.testing.assert_allclose(per_row, rows, rtol=1e-10)


def test_torchdistill_agrees() -> None:
    s, t = logits(0, torch.float32), logits(1, torch.float32)
    student, teacher = {"head": {"output": s}}, {"head": {"output": t}}
    place = ("head", "output", "head", "output")
    mixed = KDLoss(*place, temperature=4.0, alpha=0.3)(student, teacher, LABELS)
    ours = 0.3 * F.cross_entropy(s, LABELS) + 0.7 * hinton_kd(s, t, 4.0)
    assert float(mixed) == pytest.approx(float(ours), rel=1e-5)
    # Without a label term it forgets T²: our argument for the same.
    without_labels = KDLoss(*place, temperature=4.0, alpha=0)(student, teacher, LABELS)
    expected = float(hinton_kd(s, t, 4.0, scale_t2=False))
    assert float(without_labels) == pytest.approx(expected, rel=1e-5)


def test_what_others_call_the_kd_loss() -> None:
    s, t = logits(0, torch.float32), logits(1, torch.float32)
    rows = {r.library.split()[0].strip(","): r for r in kd_losses_compared(s, t, 4.0)}
    classes = s.shape[1]
    assert rows["RepDistiller"].ratio == 1
    assert rows["torchdistill"].ratio == pytest.approx(1 / 16, rel=1e-5)
    # labml: 100 * mean over batch and classes, no T²
    assert rows["labml"].ratio == pytest.approx(100 / (classes * 16), rel=1e-5)
    p_s, p_t = (F.softmax(z / 4, 1).numpy() for z in (s, t))
    assert rows["KD_Lib"].value == pytest.approx(16 * ((p_s - p_t) ** 2).mean(), rel=1e-5)


def test_dkd_with_hintons_weights_is_hintons_loss() -> None:
    s, t = logits(0), logits(1)
    # KL = KL(binary) + (1 - p_t[y]) KL(rest): one sample at a time, because beta depends on it.
    for row in range(len(s)):
        label = LABELS[row : row + 1]
        beta = float(1 - F.softmax(t[row] / 3, 0)[label])
        one = dkd(s[row : row + 1], t[row : row + 1], label, 3.0, alpha=1.0, beta=beta)
        whole = hinton_kd(s[row : row + 1], t[row : row + 1], 3.0)
        assert float(one) == pytest.approx(float(whole), rel=1e-10)


def test_dkd_equals_its_definition() -> None:
    s, t = logits(0), logits(1)
    p_s, p_t = F.softmax(s / 3, 1), F.softmax(t / 3, 1)
    expected = 0.0
    for i, y in enumerate(LABELS.tolist()):
        a, b = p_t[i, y], p_s[i, y]
        target = a * (a / b).log() + (1 - a) * ((1 - a) / (1 - b)).log()
        rest = [c for c in range(5) if c != y]
        u, v = p_t[i, rest] / (1 - a), p_s[i, rest] / (1 - b)
        expected += float(9 * (target + 8 * (u * (u / v).log()).sum())) / len(s)
    assert float(dkd(s, t, LABELS, 3.0)) == pytest.approx(expected, rel=1e-9)


def test_two_classes_leave_dkd_no_second_term() -> None:
    s, t = logits(0)[:, :2], logits(1)[:, :2]
    y = LABELS.clamp(max=1)
    assert float(dkd(s, t, y, 2.0, beta=0.0)) == pytest.approx(float(dkd(s, t, y, 2.0, beta=99.0)))


@pytest.mark.parametrize("name", LOSSES)
def test_zero_at_equality_and_never_negative(name: str) -> None:
    loss = LOSSES[name]
    assert float(loss(logits(1), logits(1))) == pytest.approx(0, abs=1e-12)
    assert float(loss(logits(0), logits(1))) > 0.1


@pytest.mark.parametrize("name", LOSSES)
def test_a_shift_of_an_images_logits_changes_nothing(name: str) -> None:
    shift = torch.arange(6.0, dtype=torch.float64)[:, None]
    value = float(LOSSES[name](logits(0), logits(1)))
    assert float(LOSSES[name](logits(0) + shift, logits(1) - shift)) == pytest.approx(value)


@pytest.mark.parametrize("name", LOSSES)
def test_the_gradient_reaches_the_student_alone(name: str) -> None:
    s, t = logits(0).requires_grad_(), logits(1).requires_grad_()
    LOSSES[name](s, t).backward()
    assert s.grad is not None and s.grad.abs().max() > 1e-3
    assert t.grad is None


@pytest.mark.parametrize("name", LOSSES)
def test_gradcheck(name: str) -> None:
    t = logits(1)
    assert torch.autograd.gradcheck(lambda s: LOSSES[name](s, t), logits(0).requires_grad_())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("name", LOSSES)
def test_finite_in_half_precision_and_at_huge_logits(name: str, dtype: torch.dtype) -> None:
    signs = torch.sign(logits(0, torch.float32))
    s, t = (1e4 * signs).to(dtype).requires_grad_(), (-1e4 * signs).to(dtype)
    value = LOSSES[name](s, t)
    value.backward()
    assert torch.isfinite(value) and value.item() > 1e3
    assert s.grad is not None and torch.isfinite(s.grad).all()


@pytest.mark.parametrize("margin", [100.0, 1e4])
@pytest.mark.parametrize("name", LOSSES)
def test_a_sure_teacher_gives_a_finite_gradient(name: str, margin: float) -> None:
    """All of the teacher's mass on the label: its other classes vanish, the gradient must not."""
    teacher = margin * F.one_hot(LABELS, 5).double()
    for start in (logits(0), teacher.clone(), -teacher):
        student = start.requires_grad_()
        value = LOSSES[name](student, teacher)
        (gradient,) = torch.autograd.grad(value, student)
        assert torch.isfinite(value) and torch.isfinite(gradient).all()


def test_the_closed_form_gradient_is_autograds() -> None:
    s, t = logits(0).requires_grad_(), logits(1)
    hinton_kd(s, t, 5.0).backward()
    closed = hinton_kd_gradient(s.detach().numpy(), t.numpy(), 5.0)
    np.testing.assert_allclose(closed, s.grad.numpy(), atol=1e-12)  # type: ignore[union-attr]


def test_high_temperature_is_logit_matching() -> None:
    s, t = (z.numpy() - z.numpy().mean(1, keepdims=True) for z in (logits(0), logits(1)))
    np.testing.assert_allclose(hinton_kd_gradient(s, t, 1e5), (s - t) / (5 * 6), atol=1e-5)


def test_dense_logits_average_over_positions() -> None:
    s, t = logits(0), logits(1)
    dense_s, dense_t = (z.T.reshape(1, 5, 2, 3) for z in (s, t))
    assert float(hinton_kd(dense_s, dense_t)) == pytest.approx(float(hinton_kd(s, t)))
    assert hinton_kd(dense_s, dense_t, reduction="none").shape == (1, 2, 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: hinton_kd(logits(0), logits(1)[:, :4]), "differ in shape"),
        (lambda: hinton_kd(logits(0), logits(1), 0.0), "expected > 0"),
        (lambda: hinton_kd(logits(0), logits(1), reduction="avg"), "reduction"),  # type: ignore[arg-type]
        (lambda: dkd(logits(0), logits(1), LABELS[:3]), "labels"),
    ],
)
def test_errors_name_what_is_wrong(call: Callable[[], Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
