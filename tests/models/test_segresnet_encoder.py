"""SegResNet's encoder: MONAI's own map with the same weights, its sizes, its grids."""

import pytest
import torch
from monai.networks.nets import SegResNet

from medkd_lib.models.segresnet_encoder import SegResNetEncoder
from medkd_lib.models.small_cnn import parameter_count


def volumes(channels: int = 2, shape: tuple[int, int, int] = (17, 12, 9)) -> torch.Tensor:
    return torch.randn(1, channels, *shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("blocks", [(1, 2, 2, 4), (2, 1)])
def test_monai_encodes_the_same(blocks: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    theirs = SegResNet(
        init_filters=8, in_channels=2, blocks_down=blocks, blocks_up=(1,) * (len(blocks) - 1)
    ).eval()
    ours = SegResNetEncoder(2, 8, blocks).eval()
    ours.stem.load_state_dict(theirs.convInit.state_dict())
    ours.levels.load_state_dict(theirs.down_layers.state_dict())
    with torch.no_grad():
        expected, _ = theirs.encode(volumes())
        assert torch.equal(ours(volumes()), expected)
    assert expected.shape[1] == ours.channels


def test_the_decoder_is_gone() -> None:
    encoder = SegResNetEncoder(1)
    whole = SegResNet(init_filters=8, in_channels=1)
    parts = parameter_count(whole.convInit) + parameter_count(whole.down_layers)
    # a strided convolution, and per block two convolutions and two norms
    levels = [(8, 1), (16, 2), (32, 2), (64, 4)]
    by_hand = 27 * 8 + sum(n * (2 * 27 * c * c + 4 * c) for c, n in levels)
    by_hand += sum(27 * c * c // 2 for c, _ in levels[1:])
    assert parameter_count(encoder) == parts == by_hand == 1_100_664
    assert {name.split(".")[0] for name in encoder.state_dict()} == {"stem", "levels"}


@pytest.mark.parametrize(
    ("stem_stride", "grid"), [(1, (5, 3, 3)), (2, (3, 2, 2))]
)  # of 17, 12, 9: a quarter, an eighth, rounded up
def test_grids_are_rounded_up(stem_stride: int, grid: tuple[int, int, int]) -> None:
    encoder = SegResNetEncoder(2, 4, (1, 1, 1), stem_stride=stem_stride, groups=2)
    assert encoder.channels == 16
    assert encoder(volumes()).shape == (1, 16, *grid)


def test_every_weight_takes_part() -> None:
    encoder = SegResNetEncoder(2, 4, (1, 1), stem_stride=2, groups=2)
    encoder(volumes()).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in encoder.parameters())
