"""Attention transfer: definition, torchdistill's two readings, sizes, degenerate maps."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torchdistill.losses.mid_level import ATLoss

from medkd_lib.distill.attention import attention_transfer
from tests.distill.losses import random


def maps(seed: int, *shape: int) -> Tensor:
    return random(shape or (4, 3, 5, 6), seed)


def unit_attention(feature_map: Tensor, p: float) -> np.ndarray:
    """Straight from the formula, image by image."""
    rows = [(np.abs(image) ** p).mean(0).ravel() for image in feature_map.numpy()]
    return np.stack([a / np.sqrt((a**2).sum()) for a in rows])


@pytest.mark.parametrize("p", [1.0, 2.0, 3.5])
def test_equals_the_definition(p: float) -> None:
    s, t = maps(0, 4, 7, 5, 6), maps(1)
    expected = ((unit_attention(s, p) - unit_attention(t, p)) ** 2).mean()
    assert float(attention_transfer(s, t, p)) == pytest.approx(expected, rel=1e-12)


def at_of_torchdistill(s: Tensor, t: Tensor, mode: str) -> float:
    place = {"io": "output", "path": "layer"}
    theirs = ATLoss({"pair": {"student": place, "teacher": place}}, mode=mode)
    return float(theirs({"layer": {"output": s}}, {"layer": {"output": t}}))


def test_torchdistill_agrees() -> None:
    s, t = maps(0, 4, 7, 5, 6), maps(1)
    ours = float(attention_transfer(s, t))
    assert ours == pytest.approx(at_of_torchdistill(s, t, "code"), rel=1e-10)


def test_how_the_papers_distance_relates() -> None:
    """For one image the paper's unsquared distance is the root of hw times ours."""
    s, t = maps(0, 1, 7, 5, 6), maps(1, 1, 3, 5, 6)
    ours = float(attention_transfer(s, t))
    assert (30 * ours) ** 0.5 == pytest.approx(at_of_torchdistill(s, t, "paper"), rel=1e-10)
    cosine = float((unit_attention(s, 2) * unit_attention(t, 2)).sum())
    assert 30 * ours == pytest.approx(2 - 2 * cosine)


def test_attention_elsewhere_is_as_far_as_it_gets() -> None:
    s, t = torch.zeros(1, 2, 2, 2), torch.zeros(1, 1, 2, 2)
    s[0, :, 0, 0], t[0, 0, 1, 1] = 3.0, -0.1
    assert float(attention_transfer(s, t)) * 4 == pytest.approx(2.0)


@pytest.mark.parametrize(("fine", "coarse"), [((4, 6), (2, 3)), ((4, 3), (2, 6))])
def test_the_finer_attention_is_averaged_down(
    fine: tuple[int, int], coarse: tuple[int, int]
) -> None:
    s, t = maps(0, 4, 3, *fine), maps(1, 4, 5, *coarse)

    def averaged(x: Tensor) -> Tensor:
        squares = x.square().mean(1, keepdim=True)
        blocks = squares.unflatten(3, (3, -1)).unflatten(2, (2, -1)).mean((3, 5))
        return blocks.sqrt()  # a one-channel map with that attention

    expected = float(attention_transfer(averaged(s), averaged(t)))
    assert float(attention_transfer(s, t)) == pytest.approx(expected)
    assert float(attention_transfer(t, s)) == pytest.approx(expected)


def test_opposite_activations_do_not_cancel_when_averaged() -> None:
    """A checkerboard of ±1 is active everywhere; averaging the features would see nothing."""
    board = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(2, 2)[None, None]
    assert float(attention_transfer(board, torch.ones(1, 1, 2, 2))) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("scale", [1e-20, 1e15])
def test_scale_neither_underflows_nor_overflows(scale: float) -> None:
    """In float32 the fourth power of either scale is 0 or infinity."""
    s, t = maps(0).float(), maps(1).float()
    expected = float(attention_transfer(s, t, 4.0))
    assert float(attention_transfer(scale * s, t, 4.0)) == pytest.approx(expected, rel=1e-4)
    # and no image hides another
    s[1:] *= scale
    assert float(attention_transfer(s, t, 4.0)) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("p", [1.0, 2.0])
def test_a_dead_map_has_distance_one_and_no_gradient(p: float) -> None:
    dead = torch.zeros(2, 3, 5, 6, requires_grad=True)
    value = attention_transfer(dead, maps(1, 2, 3, 5, 6).float(), p)
    assert float(value.detach()) * 30 == pytest.approx(1.0)
    assert not torch.autograd.grad(value, dead)[0].any()


@pytest.mark.parametrize(
    ("student", "p", "message"),
    [
        (maps(0, 4, 30, 3), 2.0, "tokens"),
        (maps(0, 3, 3, 5, 6), 2.0, "same images"),
        (maps(0), 0.5, "p >= 1"),
    ],
)
def test_errors_name_what_is_wrong(student: Tensor, p: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        attention_transfer(student, maps(1), p)
