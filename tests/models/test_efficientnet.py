"""EfficientNet: torchvision's network to the last bit, its levels, other channels and widths."""

import math
from typing import Any

import pytest
import torch
import torchvision

from medkd_lib.models.efficientnet import NARROW_B0, EfficientNet
from medkd_lib.models.small_cnn import parameter_count
from tests.models.classified import seen_maps


def narrow(classes: int = 2, **settings: Any) -> EfficientNet:
    torch.manual_seed(0)
    return EfficientNet(1, classes, *NARROW_B0, **settings)


def test_the_published_size_is_pinned() -> None:
    with torch.device("meta"):
        published = parameter_count(torchvision.models.efficientnet_b0())
        assert parameter_count(EfficientNet(3, 1000)) == published == 5_288_548
        # 996 classes and two channels for 32 filters of 3 x 3 less
        assert parameter_count(EfficientNet(1, 4)) == published - 996 * 1281 - 2 * 32 * 9
    assert round(published / 1e6, 2) == 5.29


def test_the_narrow_size_is_pinned() -> None:
    network = narrow(3)
    assert network.level_channels == (8, 16, 32, 80)
    assert parameter_count(network) == 167_739


def test_three_channels_are_torchvisions_network() -> None:
    torch.manual_seed(0)
    theirs = torchvision.models.efficientnet_b0(num_classes=5)
    ours = EfficientNet(3, 5)
    names = {"features.8": "read_out.tail", "classifier.1": "head"}
    weights = {}
    for name, value in theirs.state_dict().items():
        front = next((f for f in names if name.startswith(f"{f}.")), None)
        weights[name if front is None else name.replace(front, names[front], 1)] = value
    ours.load_state_dict(weights)
    x = torch.randn(2, 3, 40, 48)
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x), rtol=0, atol=0)
    # blocks and head forget the same, by the same random numbers
    torch.manual_seed(1)
    trained = ours.train()(x)
    torch.manual_seed(1)
    torch.testing.assert_close(trained, theirs.train()(x), rtol=0, atol=0)


@pytest.mark.parametrize("size", [(1, 1), (33, 64), (64, 64), (100, 37)])
def test_levels_stand_at_a_quarter_to_a_32nd_of_the_side(size: tuple[int, int]) -> None:
    network = narrow().eval()
    with torch.no_grad():
        maps = network.encode(torch.zeros(2, 1, *size))
        assert network(torch.zeros(2, 1, *size)).shape == (2, 2)
    assert [tuple(m.shape[2:]) for m in maps] == [
        tuple(math.ceil(s / 2**halvings) for s in size) for halvings in range(2, 6)
    ]
    assert tuple(m.shape[1] for m in maps) == network.level_channels


def test_b0s_levels() -> None:
    with torch.device("meta"):
        maps = EfficientNet(1, 2).eval().encode(torch.zeros(1, 1, 224, 224))
    assert [tuple(m.shape[1:]) for m in maps] == [
        (24, 56, 56), (40, 28, 28), (112, 14, 14), (320, 7, 7)]  # fmt: skip


@pytest.mark.parametrize("read", ["last", "all"])
def test_what_is_found_in_an_image_does_not_depend_on_the_batch(read: str) -> None:
    network = seen_maps(narrow(read=read).double())
    draw = torch.Generator().manual_seed(1)
    x = torch.randn(3, 1, 48, 32, generator=draw, dtype=torch.float64)
    with torch.no_grad():
        together, alone = network(x), network(x[:1])[0]
    assert float((together[0] - alone).abs().max()) < 1e-12
    assert float((together[1] - alone).abs().max()) > 1e-3


def test_other_channels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected \(N, 1, H, W\), found \(2, 3, 8, 8\)"):
        narrow()(torch.zeros(2, 3, 8, 8))
