"""FC-DenseNet: the published count, the dense block by its definition, the way up."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from medkd_lib.models.fc_densenet import DenseBlock, FCDenseNet
from medkd_lib.models.small_cnn import parameter_count
from medkd_lib.models.tap import tap


def narrow() -> FCDenseNet:
    torch.manual_seed(0)
    return FCDenseNet(1, 2, first=4, growth=2, down=(2, 1), bottleneck=3, up=(1, 2)).eval()


def test_the_published_layout_is_pinned() -> None:
    with torch.device("meta"):
        network = FCDenseNet(1, 2)
    assert parameter_count(network) == 1_374_194
    assert network.stride == 32
    assert network.hint_channels == (48, 48)


def test_a_layer_reads_the_input_and_all_earlier_layers() -> None:
    torch.manual_seed(0)
    block = DenseBlock(3, 2, 3, "batch", dropout=0.2).eval()
    x = torch.randn(2, 3, 5, 4)
    first = block.layers[0](x)
    second = block.layers[1](torch.cat([x, first], dim=1))
    third = block.layers[2](torch.cat([x, first, second], dim=1))
    # It hands on what it added, not what it was given.
    torch.testing.assert_close(block(x), torch.cat([first, second, third], dim=1))


def given_to(module: nn.Module) -> list[Tensor]:
    """Return a list that fills with the module's inputs."""
    inputs: list[Tensor] = []

    def keep(module: nn.Module, given: tuple[Tensor]) -> None:
        inputs.append(given[0])

    module.register_forward_pre_hook(keep)
    return inputs


def test_the_way_up_cuts_the_last_row_and_column_and_joins_the_skip() -> None:
    network = narrow()
    inputs = given_to(network.up[0])
    with tap(network, {"transposed": "transitions_up.0"}) as seen:
        network(torch.randn(1, 1, 12, 20))
    assert seen["transposed"].shape == (1, 3 * 2, 7, 11)
    assert torch.equal(inputs[0][:, :6], seen["transposed"][..., :6, :10])
    # the skip: 4 channels of the first convolution, 2 x 2 and 1 x 2 of the blocks
    assert inputs[0].shape == (1, 6 + 4 + 2 * 2 + 1 * 2, 6, 10)


def test_the_head_reads_the_last_block_whole() -> None:
    network = narrow()
    inputs = given_to(network.up[-1])
    with tap(network, {"full": "hint_full"}) as seen:
        logits = network(torch.randn(1, 1, 8, 8))
    assert seen["full"].shape[1] == network.hint_channels[1] == 2 * 2
    whole = torch.cat([inputs[0], seen["full"]], dim=1)
    torch.testing.assert_close(network.head(whole), logits)


def test_dropout_works_in_training_only_and_can_be_left_out() -> None:
    x = torch.randn(1, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    network = narrow().train()
    assert not torch.equal(network(x), network(x))
    plain = FCDenseNet(1, 2, 4, 2, (1, 1), 1, (1, 1), dropout=0.0)
    assert torch.equal(plain(x), plain(x))


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ({"down": (2, 2), "up": (2, 2, 2)}, "found 2 down and 3 up"),
        ({"down": (2,), "up": (2,)}, "found 1 down and 1 up"),
        ({"down": (2, 2), "up": (2, 0)}, "one layer or more per block"),
    ],
)
def test_errors_name_what_is_wrong(blocks: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FCDenseNet(1, 2, **blocks)
