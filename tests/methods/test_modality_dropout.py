"""Modality dropout: drawn patient by patient, by the seed, of what is there."""

import math

import pytest
import torch

from medkd_lib.methods.modality_dropout import ModalityDropout, shown

CPU = torch.device("cpu")
BRANCHES = ("ct", "pet")
BOTH_OR_CT = ModalityDropout((("ct", "pet"), ("ct",)), (0.7, 0.3))


def test_states_are_drawn_patient_by_patient_as_often_as_they_should() -> None:
    torch.manual_seed(0)
    n, states = 20_000, ((("ct", "pet"), 0.5), (("ct",), 0.3), (("pet",), 0.2))
    dropout = ModalityDropout(tuple(s for s, _ in states), tuple(p for _, p in states))
    drawn = dropout.draw(n, BRANCHES, CPU)
    assert drawn.shape == (n, 2) and drawn.dtype == torch.bool
    for state, p in states:
        wanted = torch.tensor([b in state for b in BRANCHES])
        share = float((drawn == wanted).all(dim=1).float().mean())
        assert share == pytest.approx(p, abs=4 * math.sqrt(p * (1 - p) / n))
    # One draw per batch would make neighbours alike: here they are so by chance alone.
    alike = (drawn[1:] == drawn[:-1]).all(dim=1).float().mean()
    assert float(alike) == pytest.approx(sum(p**2 for _, p in states), abs=0.02)


def test_a_draw_follows_the_seed_and_the_order_of_branches() -> None:
    torch.manual_seed(3)
    first = BOTH_OR_CT.draw(50, BRANCHES, CPU)
    assert not torch.equal(first, BOTH_OR_CT.draw(50, BRANCHES, CPU))
    torch.manual_seed(3)
    assert torch.equal(first.flip(1), BOTH_OR_CT.draw(50, BRANCHES[::-1], CPU))
    assert first[:, 0].all() and 0 < int(first[:, 1].sum()) < 50


def test_a_sure_state_is_always_shown() -> None:
    never = ModalityDropout((("ct", "pet"), ("ct",)), (1.0, 0.0))
    assert never.draw(100, BRANCHES, CPU).all()


def test_what_is_drawn_but_not_there_is_not_shown() -> None:
    yes, no = True, False
    drawn = torch.tensor([[yes, yes], [yes, no], [no, yes], [no, yes]])
    held = torch.tensor([[yes, no], [yes, yes], [yes, yes], [yes, no]])
    # the last one drew only what it lacks, and shows all that it has
    expected = torch.tensor([[yes, no], [yes, no], [no, yes], [yes, no]])
    assert torch.equal(shown(drawn, held), expected)
    assert shown(drawn, None) is drawn


@pytest.mark.parametrize(
    ("states", "probabilities"),
    [
        ((("ct",), ()), (0.5, 0.5)),
        ((("ct",),), (0.5,)),
        ((("ct",), ("pet",)), (1.0,)),
        ((("ct",), ("pet",)), (1.5, -0.5)),
        ((("ct",), ("pet",)), (1.0, math.nan)),
        ((), ()),
    ],
)
def test_impossible_states_are_refused(
    states: tuple[tuple[str, ...], ...], probabilities: tuple[float, ...]
) -> None:
    with pytest.raises(ValueError, match="summing to 1"):
        ModalityDropout(states, probabilities)


def test_a_branch_that_the_student_lacks_is_named() -> None:
    with pytest.raises(ValueError, match=r"states of the branches \('ct',\), found \['pet'\]"):
        BOTH_OR_CT.draw(3, ("ct",), CPU)
