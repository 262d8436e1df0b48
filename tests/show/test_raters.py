"""Raters with and without a proposal: outlines as drawn, bars as measured."""

import matplotlib as mpl
import numpy as np
import pytest
import torch

from medkd_lib.evaluate.raters import Variability
from medkd_lib.show.raters import raters_agree

mpl.use("agg")
BOTH = ("alone", "with the proposal")


def drawn(raters: int = 3) -> torch.Tensor:
    masks = torch.zeros(raters, 20, 20, dtype=torch.bool)
    for rater in range(raters):
        masks[rater, 5 : 9 + rater, 6:10] = True
    return masks


def agreement(*dice: float) -> list[Variability]:
    return [Variability(d, 0.0, 0.0, 0.0) for d in dice]


def test_every_rater_has_an_outline_and_only_those_with_a_proposal_show_it() -> None:
    masks = drawn()
    figure = raters_agree(
        torch.zeros(20, 20), dict.fromkeys(BOTH, masks), {BOTH[1]: masks[0]},
        {BOTH[0]: agreement(0.5, 0.7), BOTH[1]: agreement(0.8, 0.9)},
    )  # fmt: skip
    first, second, bars = figure.axes
    assert [len(a.collections) for a in (first, second)] == [3, 4]
    assert first.get_xlim() == second.get_xlim() and first.get_xlim()[0] >= -0.5
    heights = [p.get_height() for p in bars.patches]  # type: ignore[attr-defined]
    assert heights == pytest.approx([0.6, 0.85])
    joined = [np.asarray(line.get_ydata(), float).tolist() for line in bars.lines[:2]]
    assert joined == [[0.5, 0.8], [0.7, 0.9]]
    assert [t.get_text() for t in bars.texts] == ["0.60", "0.85"]
    names = [t.get_text() for t in figure.legends[0].get_texts()]
    assert names == ["rater 1", "rater 2", "rater 3", "proposal"]


def test_other_cases_and_too_many_raters_are_refused() -> None:
    image, both = torch.zeros(20, 20), dict.fromkeys(BOTH, drawn())
    with pytest.raises(ValueError, match="the same cases"):
        raters_agree(image, both, {}, {BOTH[0]: agreement(0.5), BOTH[1]: agreement(0.5, 0.6)})
    with pytest.raises(ValueError, match="the same cases"):
        raters_agree(image, both, {}, {BOTH[0]: agreement(0.5)})
    with pytest.raises(ValueError, match="at most 3 raters"):
        raters_agree(image, {"a": drawn(4)}, {}, {"a": agreement(0.5)})
