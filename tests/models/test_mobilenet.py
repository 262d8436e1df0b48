"""MobileNetV3-small: its size, its channels, its places."""

import pytest
import torch
import torchvision

from medkd_lib.models.mobilenet import LAST_MAP, mobilenet_v3_small
from medkd_lib.models.small_cnn import parameter_count
from medkd_lib.models.tap import tap


def test_counts() -> None:
    with torch.device("meta"):
        published = torchvision.models.mobilenet_v3_small()
        assert parameter_count(published) == 2_542_856
        assert parameter_count(mobilenet_v3_small(1000, 3)) == 2_542_856
        # 996 classes less, one channel more for 16 filters of 3 x 3
        assert parameter_count(mobilenet_v3_small(4, 4)) == 2_542_856 - 996 * 1025 + 16 * 9
        assert parameter_count(mobilenet_v3_small(4, 4)) == 1_522_100


def test_three_channels_are_torchvisions_network() -> None:
    torch.manual_seed(0)
    ours = mobilenet_v3_small(5, 3).eval()
    theirs = torchvision.models.mobilenet_v3_small(num_classes=5).eval()
    theirs.load_state_dict(ours.state_dict())
    images = torch.randn(2, 3, 40, 40)
    torch.testing.assert_close(ours(images), theirs(images), rtol=0, atol=0)


@pytest.mark.parametrize(("side", "cells"), [(64, 2), (224, 7), (40, 2)])
def test_the_last_map(side: int, cells: int) -> None:
    with torch.device("meta"):
        network = mobilenet_v3_small(4, 4).eval()
        with tap(network, {"map": LAST_MAP, "stage": "features.11"}) as seen:
            assert network(torch.zeros(2, 4, side, side)).shape == (2, 4)
    assert seen["map"].shape == (2, 576, cells, cells)
    assert seen["stage"].shape == (2, 96, cells, cells)
