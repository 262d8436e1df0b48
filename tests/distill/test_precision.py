"""Half precision is lifted, autocast kept out, and a zero vector has no direction."""

import inspect

import pytest
import torch
from torch import Tensor

from medkd_lib.distill.precision import in_float32, unit


@in_float32
def product(student: Tensor, teacher: Tensor, scale: float = 1.0) -> Tensor:
    """Multiply matrices."""
    return scale * (student @ teacher).sum()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_lifted_by_position_and_by_name(dtype: torch.dtype) -> None:
    large = torch.full((2, 2), 300.0, dtype=dtype)
    expected = float(large.float()[0, 0] ** 2 * 8)  # beyond float16
    for value in (product(large, large), product(student=large, teacher=large)):
        assert value.dtype == torch.float32 and float(value) == expected


def test_wider_types_and_other_arguments_stay_as_they_are() -> None:
    one = torch.ones(2, 2, dtype=torch.float64)
    assert product(one, one, scale=0.5).dtype == torch.float64
    seen: list[object] = []

    @in_float32
    def look(values: Tensor, labels: Tensor, eps: float) -> Tensor:
        seen.extend((labels.dtype, eps))
        return values.sum()

    look(torch.ones(3).half(), torch.arange(3), eps=1.5)
    assert seen == [torch.int64, 1.5]


def test_autocast_does_not_reach_inside() -> None:
    x = torch.full((1, 1), 1.001)  # bfloat16 would make it 1
    with torch.autocast("cpu", torch.bfloat16):
        assert float(product(x, x)) == pytest.approx(1.001**2, rel=1e-6)
        assert (x @ x).dtype == torch.bfloat16  # and is on again outside


def test_the_loss_keeps_its_name_and_signature() -> None:
    assert product.__name__ == "product" and product.__doc__ == "Multiply matrices."
    assert [*inspect.signature(product).parameters] == ["student", "teacher", "scale"]


def test_unit_vectors_and_zero() -> None:
    v = torch.tensor([[3.0, 4.0], [0.0, 0.0], [0.0, 1e-15]], requires_grad=True)
    torch.testing.assert_close(unit(v), torch.tensor([[0.6, 0.8], [0.0, 0.0], [0.0, 1.0]]))
    (gradient,) = torch.autograd.grad(unit(v)[:2, 0].sum(), v)
    # d cos / dv = (I - v v') / |v|; at zero nothing
    torch.testing.assert_close(gradient[:2], torch.tensor([[0.128, -0.096], [0.0, 0.0]]))
