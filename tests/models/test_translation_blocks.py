"""Blocks of the image-to-image networks: sizes there and back, the checkerboard, drawn weights."""

import pytest
import torch
from torch import nn

from medkd_lib.models.small_cnn import parameter_count
from medkd_lib.models.translation_blocks import (
    ResidualBlock,
    Up,
    UpBlock,
    down_block,
    draw_weights,
    image_head,
)

BOTH = pytest.mark.parametrize("up", ["transposed", "resize"])


@BOTH
@pytest.mark.parametrize("size", [(8, 8), (7, 10), (9, 5)])
def test_up_returns_to_the_size_that_down_started_from(up: Up, size: tuple[int, int]) -> None:
    coarse = down_block(2, 3)(torch.randn(1, 2, *size))
    assert coarse.shape == (1, 3, (size[0] + 1) // 2, (size[1] + 1) // 2)
    assert UpBlock(3, 2, up)(coarse, size).shape == (1, 2, *size)


@BOTH
def test_up_doubles_where_no_size_is_asked_for(up: Up) -> None:
    assert UpBlock(3, 2, up)(torch.randn(1, 3, 4, 5)).shape == (1, 2, 8, 10)


def test_a_constant_map_becomes_a_checkerboard_through_the_transposed_convolution() -> None:
    # all weights 1, before the norm: one, two or four taps meet in a pixel
    blocks = {up: UpBlock(1, 1, up) for up in ("transposed", "resize")}
    for block in blocks.values():
        for weight in block.parameters():
            nn.init.ones_(weight) if weight.ndim == 4 else nn.init.zeros_(weight)
        block.finish = nn.Sequential()
    ones = torch.ones(1, 1, 4, 4)
    inner = {up: block(ones)[0, 0, 1:-1, 1:-1] for up, block in blocks.items()}
    assert sorted(set(inner["transposed"].flatten().tolist())) == [1.0, 2.0, 4.0]
    assert (inner["resize"] == 9).all()


def test_the_size_asked_for_is_cut_and_not_squeezed() -> None:
    block = UpBlock(1, 1, "resize")
    block.convolution, block.finish = nn.Sequential(), nn.Sequential()
    row = block(torch.arange(3.0).expand(1, 1, 3, 3), (6, 5))[0, 0, 0]
    assert row.tolist() == [0, 0, 1, 1, 2]


def test_both_ways_up_have_as_many_weights() -> None:
    assert parameter_count(UpBlock(6, 4, "resize")) == parameter_count(UpBlock(6, 4, "transposed"))
    with pytest.raises(ValueError, match=r"up: expected one of .*, found 'bilinear'"):
        UpBlock(6, 4, "bilinear")  # type: ignore[arg-type]


def test_a_residual_block_is_the_identity_plus_a_normed_map() -> None:
    x = torch.randn(2, 3, 6, 6)
    added = ResidualBlock(3)(x) - x
    torch.testing.assert_close(added.mean(dim=(2, 3)), torch.zeros(2, 3), rtol=0, atol=1e-5)
    torch.testing.assert_close(
        added.std(dim=(2, 3), correction=0), torch.ones(2, 3), rtol=0.05, atol=0
    )


def test_dropout_is_on_in_training_only() -> None:
    block, x = ResidualBlock(3, dropout=0.5), torch.randn(1, 3, 6, 6)
    assert not torch.equal(block(x), block(x))
    assert torch.equal(block.eval()(x), block(x))


def test_weights_are_drawn_and_biases_are_zero() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(8, 16, 5), UpBlock(16, 16, "transposed"), image_head(16, 1))
    draw_weights(network)
    for weight in network.parameters():
        if weight.ndim == 4:
            assert weight.std().item() == pytest.approx(0.02, rel=0.1)
        else:
            assert not weight.any()
