"""Partially cross attention: closed forms, the share replaced, and design §3's properties."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from medkd_lib.distill.partial_cross_attention import Triple, cross, partial_cross_attention_loss


def triple(seed: int, dtype: torch.dtype = torch.float64) -> Triple:
    generator = torch.Generator().manual_seed(seed)
    q, k, v = (torch.randn(2, 3, 5, 4, generator=generator, dtype=dtype) for _ in range(3))
    return q, k, v


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_teachers_share_is_one_half() -> None:
    student, teacher = torch.zeros(200, 200), torch.ones(200, 200)
    crossed = cross(student, teacher, 0.5, draws())
    assert set(crossed.unique().tolist()) == {0.0, 1.0}
    # 40 000 draws: the standard deviation of the share is 0.0025
    assert float(crossed.mean()) == pytest.approx(0.5, abs=0.01)
    assert float(cross(student, teacher, 0.9, draws()).mean()) == pytest.approx(0.1, abs=0.01)


def test_the_ends_are_pure() -> None:
    student, teacher = triple(0)[0], triple(1)[0]
    assert torch.equal(cross(student, teacher, 0.0), teacher)
    assert torch.equal(cross(student, teacher, 1.0), student)


def test_crossing_repeats_with_its_generator_and_draws_per_element() -> None:
    student, teacher = triple(0)[0], triple(1)[0]
    assert torch.equal(
        cross(student, teacher, 0.5, draws(3)), cross(student, teacher, 0.5, draws(3))
    )
    replaced = cross(student, teacher, 0.5, draws(3)) == teacher
    assert not replaced.all(-1).any() or not (replaced.all(-1) | (~replaced).all(-1)).all()


def test_closed_form_of_both_terms() -> None:
    """Two tokens, one head, one feature, nothing crossed: everything fits on paper."""
    # Student: q·k = 0, so both tokens attend half and half: output (1 + 3)/2 = 2.
    zero, v_s = torch.zeros(1, 1, 2, 1), torch.tensor([1.0, 3.0]).view(1, 1, 2, 1)
    # Teacher: scores log 3 · (1, 0), so weights (3/4, 1/4) of v = (2, 0): output 3/2.
    q_t = torch.full((1, 1, 2, 1), math.log(3.0))
    k_t, v_t = (torch.tensor(x).view(1, 1, 2, 1) for x in ([1.0, 0.0], [2.0, 0.0]))
    terms = partial_cross_attention_loss((zero, zero, v_s), (q_t, k_t, v_t), 1.0)
    assert float(terms.attention) == pytest.approx(0.25)  # (2 - 3/2)²
    # VVᵀ: student [[1, 3], [3, 9]], teacher [[4, 0], [0, 0]]: (9 + 9 + 9 + 81) / 4
    assert float(terms.gram) == pytest.approx(27.0)
    assert float(terms.total) == pytest.approx(27.25)
    relative = partial_cross_attention_loss(
        (zero, zero, v_s), (q_t, k_t, v_t), 1.0, scale_free=True
    )
    assert float(relative.attention) == pytest.approx(0.25 / 2.25)
    assert float(relative.gram) == pytest.approx(27.0 / 4.0)  # over (16 + 0 + 0 + 0) / 4


def test_pytorchs_attention_agrees() -> None:
    student, teacher = triple(0), triple(1)
    expected = F.mse_loss(
        F.scaled_dot_product_attention(*student), F.scaled_dot_product_attention(*teacher)
    )
    found = partial_cross_attention_loss(student, teacher, 1.0)
    assert float(found.attention) == pytest.approx(float(expected), rel=1e-10)
    # the Gram term entry by entry; d = 4, so the root is 2
    s, t = (torch.einsum("nhid,nhjd->nhij", x[2], x[2]) / 2 for x in (student, teacher))
    assert float(found.gram) == pytest.approx(float(F.mse_loss(s, t)), rel=1e-10)


@pytest.mark.parametrize("scale_free", [False, True])
@pytest.mark.parametrize("p_student", [0.0, 0.5, 1.0])
def test_zero_where_student_equals_teacher(p_student: float, scale_free: bool) -> None:
    terms = partial_cross_attention_loss(triple(1), triple(1), p_student, scale_free=scale_free)
    assert float(terms.attention) == 0 and float(terms.gram) == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_pure_teacher_has_no_first_term(dtype: torch.dtype) -> None:
    """(c) of the design: p0 = 0 compares the teacher with itself; the Gram term stays."""
    terms = partial_cross_attention_loss(triple(0, dtype), triple(1, dtype), 0.0)
    assert float(terms.attention) == 0
    assert float(terms.gram) > 0.1


def test_the_more_of_the_teacher_the_smaller_the_first_term() -> None:
    values = [
        sum(
            float(partial_cross_attention_loss(triple(0), triple(1), p, generator=draws(seed))[0])
            for seed in range(30)
        )
        for p in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]
    assert values == sorted(values)


def test_scale_free_ignores_the_size_of_the_values() -> None:
    (q, k, v), (q_t, k_t, v_t) = triple(0), triple(1)
    once = partial_cross_attention_loss((q, k, v), (q_t, k_t, v_t), 1.0, scale_free=True)
    tenfold = partial_cross_attention_loss(
        (q, k, 10 * v), (q_t, k_t, 10 * v_t), 1.0, scale_free=True
    )
    for a, b in zip(once, tenfold, strict=True):
        assert float(a) == pytest.approx(float(b), rel=1e-10)
    nothing = (q, k, torch.zeros_like(v))
    silent = partial_cross_attention_loss(nothing, (q_t, k_t, v_t), 1.0, scale_free=True)
    assert [float(x) for x in silent] == pytest.approx([1.0, 1.0])


def test_the_order_of_tokens_does_not_matter() -> None:
    student, teacher = triple(0), triple(1)
    order = torch.tensor([3, 0, 4, 1, 2])
    mixed = partial_cross_attention_loss(
        tuple(x[:, :, order] for x in student),  # type: ignore[arg-type]
        tuple(x[:, :, order] for x in teacher),  # type: ignore[arg-type]
        1.0,
    )
    for a, b in zip(partial_cross_attention_loss(student, teacher, 1.0), mixed, strict=True):
        assert float(a) == pytest.approx(float(b), rel=1e-10)


@pytest.mark.parametrize("part", [0, 1, 2])
def test_the_gradient_reaches_the_student_alone(part: int) -> None:
    student, teacher = triple(0), triple(1)
    for x in (*student, *teacher):
        x.requires_grad_()
    partial_cross_attention_loss(student, teacher, generator=draws()).total.backward()
    gradient = student[part].grad
    assert gradient is not None and gradient.abs().max() > 1e-4
    assert teacher[part].grad is None


def test_replaced_elements_get_no_gradient_from_the_first_term() -> None:
    student, teacher = triple(0), triple(1)
    student[0].requires_grad_()
    partial_cross_attention_loss(student, teacher, 0.5, generator=draws(7)).attention.backward()
    kept = cross(student[0].detach(), teacher[0], 0.5, draws(7)) == student[0].detach()
    gradient = student[0].grad
    assert gradient is not None
    assert (gradient[~kept] == 0).all() and (gradient[kept] != 0).any()


@pytest.mark.parametrize("scale_free", [False, True])
def test_gradcheck(scale_free: bool) -> None:
    teacher = triple(1)
    student = tuple(x.requires_grad_() for x in triple(0))

    def loss(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return partial_cross_attention_loss(
            (q, k, v), teacher, 0.5, scale_free=scale_free, generator=draws()
        ).total

    assert torch.autograd.gradcheck(loss, student)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("scale_free", [False, True])
def test_finite_in_half_precision_and_for_large_inputs(
    dtype: torch.dtype, scale_free: bool
) -> None:
    student = tuple((1e3 * x).to(dtype).requires_grad_() for x in triple(0))
    teacher = tuple((1e3 * x).to(dtype) for x in triple(1))
    terms = partial_cross_attention_loss(student, teacher, scale_free=scale_free)  # type: ignore[arg-type]
    terms.total.backward()
    assert terms.total.dtype == torch.float32 and torch.isfinite(terms.total)
    assert terms.gram.item() > 0.1
    for x in student:
        assert x.grad is not None
        # In half precision a raw gradient of 1e9 has no number to be; scale-free it has.
        assert torch.isfinite(x.grad).all() or (not scale_free and dtype == torch.float16)


def test_errors_name_what_is_wrong() -> None:
    (q, k, v), teacher = triple(0), triple(1)
    with pytest.raises(ValueError, match=r"values: .* differ in shape; the projector"):
        partial_cross_attention_loss((q, k, v[:, :, :4]), teacher)
    with pytest.raises(ValueError, match=r"cross: .* differ in shape"):
        cross(q[:1], teacher[0], 0.5)
    for p in (-0.1, 1.1):
        with pytest.raises(ValueError, match="p_student: expected 0…1"):
            partial_cross_attention_loss((q, k, v), teacher, p)
