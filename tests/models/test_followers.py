"""What is between a student's maps and those it follows."""

import pytest
import torch
from torch import nn

from medkd_lib.models.followers import Followers


def test_equal_widths_need_no_projector() -> None:
    followers = Followers((4, 8), [(4, 6)], (0, 1), always=False, standardise=False)
    maps = [torch.randn(2, 4, 8, 8), torch.randn(2, 8, 4, 4)]
    told = {(0, 0): torch.randn(2, 4, 8, 8), (0, 1): torch.randn(2, 6, 4, 4)}
    ((first, second),) = followers(maps, told)
    assert first[0] is maps[0] and first[1] is told[0, 0]
    assert second[0].shape == second[1].shape == (2, 6, 4, 4)
    assert isinstance(followers.project["0/0"], nn.Identity)


def test_every_teacher_has_projectors_of_its_own() -> None:
    followers = Followers((4,), [(4,), (4,)], (0,), always=True, standardise=True)
    x = torch.randn(2, 4, 8, 8)
    loud = {(0, 0): 100 * x + 7, (1, 0): x}
    (one,), (other,) = followers([x], loud)
    assert not torch.allclose(one[0], other[0])
    # both teachers are heard equally loud
    torch.testing.assert_close(one[1], other[1], rtol=1e-3, atol=1e-3)


def test_a_level_that_a_teacher_lacks_is_refused() -> None:
    with pytest.raises(ValueError, match=r"3 levels or more, found \[2\]"):
        Followers((4, 8, 8), [(4, 8)], (2,), always=False, standardise=False)
