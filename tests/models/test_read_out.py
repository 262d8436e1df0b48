"""What a classifier reads from its maps: one mean, or those of all levels at one loudness."""

import pytest
import torch
from torch import nn

from medkd_lib.models.read_out import ReadOut

CHANNELS = (2, 3, 4)


def maps(number: int = 3) -> list[torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    return [
        (k + 1) * torch.randn(number, c, 8 // 2**k, 8 // 2**k, generator=draw) + k
        for k, c in enumerate(CHANNELS)
    ]


def tail() -> nn.Module:
    torch.manual_seed(0)
    return nn.Conv2d(4, 5, 1)


def test_the_last_map_alone() -> None:
    read_out, seen = ReadOut(CHANNELS, tail(), 5, "last"), maps()
    assert read_out.width == 5 and read_out.levels == (2,)
    expected = torch.stack([tail()(m).flatten(1).mean(dim=1) for m in seen[-1]])
    torch.testing.assert_close(read_out(seen), expected)
    assert len(list(read_out.parameters())) == 2


def test_all_levels_side_by_side_at_one_loudness() -> None:
    read_out, seen = ReadOut(CHANNELS, tail(), 5, "all"), maps()
    assert read_out.width == 2 + 3 + 5 and read_out.levels == (0, 1, 2)
    vector = read_out.train()(seen)
    for level, columns in ((0, slice(0, 2)), (1, slice(2, 5))):
        m = seen[level]
        normed = (m - m.mean(dim=(0, 2, 3), keepdim=True)) / (
            m.var(dim=(0, 2, 3), keepdim=True, correction=0) + 1e-5
        ).sqrt()
        torch.testing.assert_close(vector[:, columns], normed.mean(dim=(2, 3)))
    torch.testing.assert_close(vector[:, 5:], ReadOut(CHANNELS, tail(), 5, "last")(seen))


def test_every_level_hears_of_the_answer() -> None:
    seen = [m.requires_grad_() for m in maps()]
    ReadOut(CHANNELS, tail(), 5, "all")(seen).square().sum().backward()
    assert all(m.grad is not None and m.grad.abs().max() > 0 for m in seen)


def test_instance_norm_leaves_nothing_to_read() -> None:
    """The mean over positions of what it made is its shift, whatever the image."""
    norm = nn.InstanceNorm2d(2, affine=True)
    alike = norm(maps(8)[0]).mean(dim=(2, 3))
    assert float(alike.detach().std(dim=0).max()) < 1e-5


def test_dropout_works_in_training_only() -> None:
    read_out, seen = ReadOut(CHANNELS, tail(), 5, "last", dropout=0.9), maps()
    assert float(read_out.eval()(seen).detach().abs().min()) > 0
    torch.manual_seed(0)
    assert float((read_out.train()(seen) == 0).float().mean()) > 0.5


def test_another_reading_is_refused() -> None:
    with pytest.raises(ValueError, match="read: expected one of"):
        ReadOut(CHANNELS, tail(), 5, "first")  # type: ignore[arg-type]
