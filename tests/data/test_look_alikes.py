"""The same image under two names."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from medkd_lib.data.look_alikes import look_alikes


def bodies(number: int, seed: int) -> Tensor:
    """One anatomy for all, and smooth differences between patients."""
    draw = torch.Generator().manual_seed(seed)
    common = F.interpolate(
        torch.randn(1, 1, 4, 4, generator=torch.Generator().manual_seed(99)),
        (64, 64),
        mode="bicubic",
    )
    own = F.interpolate(torch.randn(number, 1, 8, 8, generator=draw), (64, 64), mode="bicubic")
    return 3 * common + own + 0.05 * torch.randn(number, 1, 64, 64, generator=draw)


def test_copies_are_found_under_another_format() -> None:
    ours, theirs = bodies(20, 0), bodies(30, 1)
    planted = {3: 7, 11: 2, 19: 25}
    for mine, there in planted.items():
        # brighter, another contrast, and with the noise of a lossy format
        theirs[there] = 0.3 * ours[mine] + 5 + 0.02 * torch.randn(64, 64)
    found = look_alikes(ours, theirs)
    assert {(p.first, p.second) for p in found} == set(planted.items())
    assert [p.likeness for p in found] == sorted((p.likeness for p in found), reverse=True)
    # smaller, as another release stores it
    small = F.interpolate(theirs, (48, 48), mode="area")
    assert {(p.first, p.second) for p in look_alikes(ours, small, least=0.9)} == set(
        planted.items()
    )


def test_a_common_anatomy_is_no_copy() -> None:
    ours, theirs = bodies(20, 0), bodies(30, 1)
    raw = F.normalize(ours.flatten(1), dim=1) @ F.normalize(theirs.flatten(1), dim=1).T
    assert float(raw.max()) > 0.9
    assert look_alikes(ours, theirs, least=0.9) == []


def test_an_image_of_one_grey_value_is_like_nothing() -> None:
    flat = torch.ones(2, 1, 64, 64)
    assert look_alikes(torch.cat([bodies(5, 0), flat]), bodies(5, 1)) == []


def test_impossible_questions_are_refused() -> None:
    with pytest.raises(ValueError, match=r"second: expected images.*\(5, 64, 64\)"):
        look_alikes(bodies(5, 0), bodies(5, 1)[:, 0])
    with pytest.raises(ValueError, match=r"within \(0, 1\]"):
        look_alikes(bodies(5, 0), bodies(5, 1), least=0)
