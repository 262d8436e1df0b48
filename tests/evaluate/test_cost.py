"""Multiplications against counts by hand and published ones; time is measured, not judged."""

import pytest
import torch
from torch import Tensor, nn

from medkd_lib.evaluate.cost import cost, macs
from medkd_lib.models.hybrid import HybridTeacher
from medkd_lib.models.small_cnn import SmallCNN, parameter_count
from medkd_lib.models.vgg import VggTrunk
from medkd_lib.models.vit import NARROW_VIT, VitSize, VitTrunk


def vit_macs(image_size: int, channels: int, size: VitSize) -> int:
    """Patches, then per block: Q, K, V and output, two MLP layers, QKᵀ and weights times V."""
    tokens, d = 1 + (image_size // size.patch) ** 2, size.dim
    patches = (tokens - 1) * channels * size.patch**2 * d
    block = 4 * tokens * d * d + 2 * tokens * d * size.mlp + 2 * tokens**2 * d
    return patches + size.depth * block


def test_a_small_network_by_hand() -> None:
    network = SmallCNN(3, (4, 8), convs=2, in_channels=2).eval()
    by_hand = 8 * 8 * 9 * (2 * 4 + 4 * 4) + 4 * 4 * 9 * (4 * 8 + 8 * 8) + 8 * 3
    assert macs(network, torch.zeros(1, 2, 16, 16)) == by_hand
    assert macs(network, torch.zeros(5, 2, 16, 16)) == by_hand  # per image


def test_grouped_convolutions_by_hand() -> None:
    depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8).eval()
    assert macs(depthwise, torch.zeros(1, 8, 10, 10)) == 100 * 8 * 9


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("gradient", [True, False])
def test_attention_is_counted(device: str, gradient: bool) -> None:
    """In eval mode on a CPU the counter alone sees neither fused attention nor the fast path."""
    with torch.device(device):
        trunk = VitTrunk(4, 64, NARROW_VIT).eval().requires_grad_(gradient)
        assert macs(trunk, torch.zeros(2, 4, 64, 64)) == vit_macs(64, 4, NARROW_VIT)


def test_the_fast_path_of_a_transformer_layer_is_counted_too() -> None:
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True).eval()
    tokens, d, m = 9, 16, 32
    by_hand = 4 * tokens * d * d + 2 * tokens * d * m + 2 * tokens**2 * d
    assert torch.backends.mha.get_fastpath_enabled()
    assert macs(layer, torch.zeros(2, tokens, d)) == by_hand
    assert torch.backends.mha.get_fastpath_enabled()  # and comes back


def test_full_size_networks() -> None:
    """Dossier §4.2, GMAC per image of 224 pixels and four channels."""
    with torch.device("meta"):
        vgg, vit = VggTrunk(4).eval(), VitTrunk(4, 224).eval()
        image = torch.zeros(1, 4, 224, 224)
        # 16 convolutions of 3 x 3
        widths = [(4, 64), (64, 64), (64, 128), (128, 128), (128, 256), *[(256, 256)] * 3]
        widths += [(256, 512), *[(512, 512)] * 7]
        sides = [224] * 2 + [112] * 2 + [56] * 4 + [28] * 4 + [14] * 4
        by_hand = sum(9 * a * b * s * s for (a, b), s in zip(widths, sides, strict=True))
        assert macs(vgg, image) == by_hand == pytest.approx(19.5e9, rel=0.005)
        assert macs(vit, image) == vit_macs(224, 4, vit.size) == pytest.approx(17.5e9, rel=0.01)
        hybrid = HybridTeacher(4, vgg, vit, 224).eval()
        assert macs(hybrid, image) == macs(vgg, image) + macs(vit, image) + 1280 * 4
        assert macs(hybrid, image) == pytest.approx(37.0e9, rel=0.005)


class Watched(nn.Module):
    """Notes how it is called."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 2)
        self.calls: list[tuple[int, int, bool]] = []

    def forward(self, x: Tensor) -> Tensor:
        self.calls.append((len(x), torch.get_num_threads(), torch.is_grad_enabled()))
        return self.inner(x)


def test_time_is_one_image_on_one_thread() -> None:
    network = Watched().eval()
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        found = cost(network, torch.zeros(8, 4), repeats=20, warm_up=2)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert network.calls[1:] == [(1, 1, False)] * 22
    assert found.parameters == parameter_count(network) == 10
    assert found.macs == 8
    first, third = found.latency_quartiles_ms
    assert 0 < first <= found.latency_ms <= third


def test_a_larger_network_takes_longer() -> None:
    small = cost(nn.Linear(8, 8).eval(), torch.zeros(1, 8), repeats=9)
    large = cost(nn.Linear(3000, 3000).eval(), torch.zeros(1, 3000), repeats=9)
    assert large.latency_ms > small.latency_ms


def test_training_mode_and_other_devices_are_refused() -> None:
    network = SmallCNN(3, (4,))
    with pytest.raises(ValueError, match=r"in eval mode, found training mode; call eval\(\)"):
        macs(network, torch.zeros(1, 1, 8, 8))
    before = {k: w.clone() for k, w in network.state_dict().items()}
    with pytest.raises(ValueError, match="in eval mode"):
        cost(network, torch.zeros(1, 1, 8, 8))
    assert all(torch.equal(w, before[k]) for k, w in network.state_dict().items())
    with pytest.raises(ValueError, match=r"found \['cpu', 'meta'\]"):
        cost(network.eval(), torch.zeros(1, 1, 8, 8, device="meta"))
