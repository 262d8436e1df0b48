"""U-Net: the published count, narrow versions, and that it learns."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from medkd_lib.models.small_cnn import parameter_count
from medkd_lib.models.tap import tap
from medkd_lib.models.unet import UNet


def squares(number: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return noisy images ``(N, 1, 16, 16)`` with a bright square, and its mask."""
    draw = torch.Generator().manual_seed(seed)
    corners = torch.randint(1, 9, (number, 2, 1, 1), generator=draw)
    rows, columns = torch.arange(16)[:, None], torch.arange(16)
    top, left = corners[:, 0], corners[:, 1]
    masks = (rows >= top) & (rows < top + 6) & (columns >= left) & (columns < left + 6)
    noise = torch.randn(number, 16, 16, generator=draw)
    return (masks + 0.5 * noise)[:, None], masks.long()


def test_the_published_layout_is_pinned() -> None:
    with torch.device("meta"):
        network = UNet(1, 2)
    assert parameter_count(network) == 13_394_242
    assert network.stride == 16
    assert network.hint_channels == (64, 64)


@pytest.mark.parametrize("widths", [(3, 4, 5), (3, 4, 5, 6), (3, 4, 5, 6, 7, 8)])
def test_any_number_of_levels(widths: tuple[int, ...]) -> None:
    network = UNet(1, 2, widths)
    side = 2 ** len(widths)
    assert network.stride == side // 2
    # the topmost decoder block keeps its width, the one below has the width of the level above it
    assert network.hint_channels == (3, 3)
    assert network.eval()(torch.zeros(1, 1, side, side)).shape == (1, 2, side, side)


def test_the_head_reads_the_full_size_hint() -> None:
    torch.manual_seed(0)
    network = UNet(1, 2, (3, 4, 5)).eval()
    with tap(network, {"full": "hint_full"}) as seen:
        logits = network(torch.randn(1, 1, 8, 12))
    torch.testing.assert_close(network.head(seen["full"]), logits)


def test_two_levels_are_too_few_for_two_hints() -> None:
    with pytest.raises(ValueError, match=r"widths: expected three levels or more, found \(8, 16\)"):
        UNet(1, 2, (8, 16))


def test_a_narrow_one_learns_to_find_a_square() -> None:
    torch.manual_seed(0)
    network = UNet(1, 2, (6, 8, 8), "instance")
    adam = torch.optim.Adam(network.parameters(), lr=0.02)
    x, masks = squares(16, seed=1)
    for _ in range(30):
        adam.zero_grad()
        F.cross_entropy(network(x), masks).backward()
        adam.step()
    unseen, truth = squares(16, seed=2)
    with torch.no_grad():
        found = network.eval()(unseen).argmax(1)
    # The best threshold on the noisy intensities reaches 0.66, six other seeds 0.93 to 0.97.
    dice = 2 * (found * truth).sum() / (found.sum() + truth.sum())
    assert dice > 0.85
