"""TransResU-Net: the published counts, one image at a time, any size, and that it learns."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medkd_lib.models.small_cnn import parameter_count
from medkd_lib.models.tap import tap
from medkd_lib.models.trans_resunet import TransResUNet
from medkd_lib.models.trans_resunet_blocks import DILATIONS, DilatedBranch, ResidualBlock
from tests.models.test_unet import squares


def narrow(classes: int = 2) -> TransResUNet:
    torch.manual_seed(0)
    return TransResUNet(1, classes, 8, (1, 1, 1)).double().eval()


class BatchAsSequence(nn.Module):
    """The bug of the public code: the images of the batch are taken for the sequence."""

    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, tokens: Tensor) -> Tensor:
        return self.layers(tokens.transpose(0, 1)).transpose(0, 1)


def broken() -> TransResUNet:
    network = narrow()
    network.transformer.layers = BatchAsSequence(network.transformer.layers)  # type: ignore[assignment]
    return network.eval()


def images(number: int = 3, seed: int = 1) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(number, 1, 48, 32, generator=draw, dtype=torch.float64)


def test_the_published_layout_is_pinned_part_by_part() -> None:
    with torch.device("meta"):
        network = TransResUNet(3, 1)
    parts = (network.encoder, network.transformer, network.dilated)
    decoder = parameter_count(network.decoder) + parameter_count(network.head)
    counts = [*map(parameter_count, parts), decoder]
    assert counts == [8_543_296, 3_483_648, 9_703_168, 5_866_913]
    assert parameter_count(network) == sum(counts) == 27_597_025
    # in millions, as published
    assert [round(c / 1e6, 2) for c in counts] == [8.54, 3.48, 9.70, 5.87]
    assert round(sum(counts) / 1e6, 2) == 27.60
    assert network.stride == 16
    assert network.hint_channels == (64, 32)


def change_by_the_others(network: TransResUNet) -> float:
    """How much an image's logits change, relatively, when it is shown alone."""
    x = images()
    # Batch norms that know their maps: untrained ones let next to nothing through in eval mode.
    network.train()
    with torch.no_grad():
        for seed in range(30):
            network(images(8, 100 + seed))
    network.eval()
    with torch.no_grad():
        together, alone = network(x)[0], network(x[:1])[0]
    return float((together - alone).norm() / alone.norm())


def test_what_is_found_in_an_image_does_not_depend_on_the_batch() -> None:
    assert change_by_the_others(narrow()) < 1e-12
    # and the same property finds the bug
    assert change_by_the_others(broken()) > 0.05


def test_attention_runs_over_all_positions_of_one_image() -> None:
    for network, own, other in ((narrow(), True, False), (broken(), False, True)):
        tokens = torch.randn(2, 6, 32, dtype=torch.float64, requires_grad=True)
        network.transformer.layers(tokens)[0, 0].square().sum().backward()
        assert tokens.grad is not None
        heard = tokens.grad.abs().amax(2) > 0
        assert heard[0, 0]
        assert bool(heard[0, 1:].all()) is own and bool(heard[0, 1:].any()) is own
        assert bool(heard[1, 0]) is other


def test_tokens_are_positions_row_by_row() -> None:
    network = narrow()
    branch = network.transformer
    x = torch.randn(1, 128, 3, 2, dtype=torch.float64)
    with torch.no_grad():
        reduced = branch.reduce(x)
        rows = torch.stack([reduced[:, :, i, j] for i in range(3) for j in range(2)], dim=1)
        out = branch.layers(rows)
        laid_out = torch.stack([out[:, 2 * i : 2 * i + 2] for i in range(3)], dim=1)
        expected = branch.project(laid_out.permute(0, 3, 1, 2))
        torch.testing.assert_close(branch(x), expected)


@pytest.mark.parametrize("size", [(16, 16), (16, 80), (224, 224), (256, 256)])
def test_any_multiple_of_16(size: tuple[int, int]) -> None:
    network = narrow().float()
    with torch.no_grad():
        assert network(torch.zeros(1, 1, *size)).shape == (1, 2, *size)


def test_taps_and_the_image_as_the_last_skip() -> None:
    network = narrow()
    places = ("encoder.relu", "encoder.layer1", "encoder.layer2", "encoder.layer3", "bottleneck")
    given: list[tuple[Tensor, ...]] = []
    network.decoder[-1].register_forward_pre_hook(lambda module, inputs: given.append(inputs))
    x = images()
    with torch.no_grad(), tap(network, {p: p for p in places}) as seen:
        network(x)
    assert [tuple(seen[p].shape) for p in places] == [
        (3, 8, 24, 16),
        (3, 32, 12, 8),
        (3, 64, 6, 4),
        (3, 128, 3, 2),
        (3, 64, 3, 2),
    ]
    half, last_skip = given[0]
    assert half.shape == (3, 8, 24, 16)
    assert torch.equal(last_skip, x)
    both = torch.cat([network.transformer(seen[places[3]]), network.dilated(seen[places[3]])], 1)
    torch.testing.assert_close(seen["bottleneck"], both)


def test_four_reaches_side_by_side() -> None:
    torch.manual_seed(0)
    branch = DilatedBranch(2, 3, "batch").eval()
    assert DILATIONS == (1, 3, 6, 9)
    for view, reach in zip(branch.views, DILATIONS, strict=True):
        x = torch.randn(1, 2, 21, 21, requires_grad=True)
        convolution = view.get_submodule("0")
        convolution(x)[0, 0, 10, 10].backward()
        assert x.grad is not None
        rows = x.grad[0].abs().amax((0, 2)).nonzero()[:, 0].tolist()
        assert rows == [10 - reach, 10, 10 + reach]
    assert branch(torch.zeros(1, 2, 5, 4)).shape == (1, 3, 5, 4)


def test_a_residual_block_is_its_formula() -> None:
    torch.manual_seed(0)
    block = ResidualBlock(2, 3, "batch").eval()
    x = torch.randn(2, 2, 5, 4)

    def convolved(path: str, of: Tensor) -> Tensor:
        convolution = block.get_submodule(path)
        assert isinstance(convolution, nn.Conv2d)
        # a norm that has seen nothing divides by sqrt(1 + ε)
        side = convolution.kernel_size[0] // 2
        weight, bias = convolution.weight, convolution.bias
        return F.conv2d(of, weight, bias, padding=side) / (1 + 1e-5) ** 0.5

    added = convolved("second.0", F.relu(convolved("first.0", x)))
    torch.testing.assert_close(block(x), F.relu(added + convolved("shortcut.0", x)))


def test_dropout_works_in_training_only_and_can_be_left_out() -> None:
    x = images().float()
    network = narrow().float()
    assert torch.equal(network(x), network(x))
    assert not torch.equal(network.train()(x), network(x))
    plain = TransResUNet(1, 2, 8, (1, 1, 1), dropout=0.0).train()
    assert torch.equal(plain(x), plain(x))


def test_a_narrow_one_learns_to_find_a_square() -> None:
    torch.manual_seed(1)
    network = TransResUNet(1, 2, 8, (1, 1, 1), dropout=0.0)
    adam = torch.optim.AdamW(network.parameters(), lr=0.005)
    # twice the size: of an image of 16 pixels the coarsest map has one position
    (x, masks), (unseen, truth) = (
        [m.repeat_interleave(2, -1).repeat_interleave(2, -2) for m in squares(16, seed=seed)]
        for seed in (1, 2)
    )
    for _ in range(40):
        adam.zero_grad()
        F.cross_entropy(network(x), masks).backward()
        adam.step()
    with torch.no_grad():
        found = network.eval()(unseen).argmax(1)
    # The best threshold on the noisy intensities reaches 0.66, four seeds 0.82 to 0.92.
    dice = 2 * (found * truth).sum() / (found.sum() + truth.sum())
    assert dice > 0.78


@pytest.mark.parametrize(("width", "heads"), [(7, 1), (0, 8), (6, 16)])
def test_widths_that_do_not_split_are_refused(width: int, heads: int) -> None:
    with pytest.raises(ValueError, match=f"fourfold splits among {heads} heads, found {width}"):
        TransResUNet(1, 2, width, heads=heads)
