"""The ResNet encoder: torchvision's ResNet-50 is its oracle."""

import pytest
import torch
from torchvision.models import resnet50

from medkd_lib.models.resnet_encoder import ResNetEncoder
from medkd_lib.models.tap import tap


def test_torchvisions_weights_fit_and_give_torchvisions_maps() -> None:
    torch.manual_seed(0)
    theirs = resnet50(weights=None).eval()
    ours = ResNetEncoder(3).eval()
    left = ours.load_state_dict(theirs.state_dict(), strict=False)
    assert not left.missing_keys
    assert {key.split(".")[0] for key in left.unexpected_keys} == {"layer4", "fc"}
    x = torch.randn(1, 3, 64, 96)
    places = ("relu", "layer1", "layer2", "layer3")
    with torch.no_grad(), tap(theirs, {p: p for p in places}) as seen:
        maps = ours(x)
        theirs(x)
    assert ours.channels == (64, 256, 512, 1024)
    for found, place in zip(maps, places, strict=True):
        assert torch.equal(found, seen[place])


def test_sides_are_halved_four_times_and_taps_are_the_maps() -> None:
    encoder = ResNetEncoder(1, 4, (1, 2, 1)).eval()
    with tap(encoder, {p: p for p in ("relu", "layer1", "layer2", "layer3")}) as seen:
        maps = encoder(torch.zeros(2, 1, 48, 80))
    sizes = [(2, 4, 24, 40), (2, 16, 12, 20), (2, 32, 6, 10), (2, 64, 3, 5)]
    assert [tuple(m.shape) for m in maps] == sizes
    assert encoder.channels == tuple(size[1] for size in sizes)
    assert all(found is m for found, m in zip(seen.values(), maps, strict=True))


@pytest.mark.parametrize("depths", [(3, 4, 6, 3), (1, 0, 1)])
def test_depths_are_checked(depths: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="one block or more in each of three stages"):
        ResNetEncoder(1, 4, depths)
