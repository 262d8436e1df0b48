"""FitNets' hint loss: definition, torchdistill, and errors that name the missing piece."""

import pytest
import torch
from torch import Tensor, nn
from torchdistill.losses.mid_level import SimpleLossWrapper

from medkd_lib.distill.hints import hint_loss
from tests.distill.losses import random


def maps(seed: int, *shape: int) -> Tensor:
    return random(shape or (4, 3, 5, 6), seed)


def test_by_hand() -> None:
    student, teacher = torch.zeros(2, 1, 1, 2), torch.tensor([[[[1.0, 2.0]]], [[[3.0, 4.0]]]])
    assert float(hint_loss(student, teacher)) == (1 + 4 + 9 + 16) / 4


def test_the_papers_value_is_half_the_sum_of_squares() -> None:
    s, t = maps(0), maps(1)
    paper = 0.5 * (s - t).norm() ** 2
    assert float(hint_loss(s, t)) * s.numel() / 2 == pytest.approx(float(paper))


def test_torchdistill_agrees() -> None:
    """Its FitNets configurations wrap PyTorch's mean squared error."""
    s, t = maps(0), maps(1)
    place = {"is_from_teacher": False, "module_path": "hint", "io": "output"}
    target = {**place, "is_from_teacher": True}
    wrapped = SimpleLossWrapper(nn.MSELoss(), input=place, target=target)
    theirs = wrapped({"hint": {"output": s}}, {"hint": {"output": t}}, None)
    assert float(hint_loss(s, t)) == pytest.approx(float(theirs), rel=1e-12)


def test_a_regressor_learns_through_it() -> None:
    regressor = nn.Conv2d(2, 3, 1).double()
    hint_loss(regressor(maps(0, 4, 2, 5, 6)), maps(1)).backward()
    assert regressor.weight.grad is not None and regressor.weight.grad.abs().max() > 1e-3


@pytest.mark.parametrize(
    ("student", "message"),
    [
        (maps(0, 4, 2, 5, 6), r"nn\.Conv2d\(2, 3, 1\)"),
        (maps(0, 4, 3, 7, 3), r"pool the larger map to \(5, 3\)"),
        (maps(0, 4, 1, 1, 1), r"pool .* and regress .*Conv2d\(1, 3, 1\)"),
        (maps(0, 1, 3, 5, 6), "1 student and 4 teacher maps"),
        (maps(0, 4, 30, 3), "tokens"),
    ],
    ids=["channels", "size", "would broadcast", "batch", "tokens"],
)
def test_errors_name_what_is_missing(student: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        hint_loss(student, maps(1))
