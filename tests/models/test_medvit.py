"""MedViT: the published counts, its blocks' formulas, one image at a time, any size, it learns."""

import math
from typing import cast, get_args

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import SqueezeExcitation, StochasticDepth

from medkd_lib.models.medvit import BASE, LARGE, NARROW, SMALL, MedViT, MedViTSize, Stage
from medkd_lib.models.medvit_blocks import ConvolutionBlock, TransformerBlock
from medkd_lib.models.medvit_parts import (
    ConvolutionalAttention,
    EfficientAttention,
    LocalFeedForward,
    PatchEmbedding,
)
from medkd_lib.models.read_out import Read
from medkd_lib.models.small_cnn import parameter_count
from medkd_lib.models.tap import tap
from tests.models.classified import learnt, seen_maps


def narrow(classes: int = 2) -> MedViT:
    torch.manual_seed(0)
    return MedViT(1, classes, NARROW)


@pytest.mark.parametrize(
    ("size", "count", "published"),
    [(SMALL, 31_140_540, 31.14), (BASE, 44_410_072, 44.41), (LARGE, 57_679_604, 57.68)],
)
def test_the_published_sizes_are_pinned(size: MedViTSize, count: int, published: float) -> None:
    with torch.device("meta"):
        network = MedViT(3, 4, size)
    assert parameter_count(network) == count
    assert round(count / 1e6, 2) == published
    assert network.level_channels == (96, 256, 512, 1024)


def test_the_narrow_size_is_pinned() -> None:
    assert parameter_count(narrow(3)) == 279_261
    assert narrow().level_channels == (16, 32, 64, 128)


def test_maps_of_the_stages() -> None:
    with torch.device("meta"):
        network = MedViT(3, 4).eval()
        with tap(network, {f"s{k}": f"stages.{k}" for k in range(4)}) as seen:
            assert network(torch.zeros(2, 3, 224, 224)).shape == (2, 4)
    assert [tuple(seen[f"s{k}"].shape[1:]) for k in range(4)] == [
        (96, 56, 56), (256, 28, 28), (512, 14, 14), (1024, 7, 7)]  # fmt: skip
    kinds = ["".join(type(b).__name__[0] for b in stage.children()) for stage in network.stages]
    assert kinds == ["CCC", "CCCT", "CCCCTCCCCT", "CCT"]


@pytest.mark.parametrize("size", [(1, 1), (5, 9), (33, 64), (64, 64), (37, 100), (224, 224)])
def test_any_size(size: tuple[int, int]) -> None:
    network, sides = narrow().eval(), size
    # the stem halves twice, every stage but the first once; odd sides are rounded up
    expected = []
    for halvings in range(2, 6):
        expected.append(tuple(math.ceil(s / 2**halvings) for s in sides))
    with torch.no_grad():
        assert [tuple(m.shape[2:]) for m in network.encode(torch.zeros(1, 1, *size))] == expected
        assert network(torch.zeros(1, 1, *size)).shape == (1, 2)


def test_what_is_found_in_an_image_does_not_depend_on_the_batch() -> None:
    network = seen_maps(narrow().double())
    draw = torch.Generator().manual_seed(1)
    x = torch.randn(3, 1, 48, 32, generator=draw, dtype=torch.float64)
    with torch.no_grad():
        together, alone = network(x)[0], network(x[:1])[0]
    assert float((together - alone).abs().max()) < 1e-12
    assert float((network(x)[1] - alone).detach().abs().max()) > 1e-3


def test_attention_is_its_formula() -> None:
    torch.manual_seed(0)
    attention = EfficientAttention(8, head_dim=4, reduction=2).double().eval()
    cast(nn.BatchNorm2d, attention.norm).bias.data.normal_()
    x = torch.randn(2, 8, 4, 6, dtype=torch.float64)
    found = attention(x)
    squares = x.unflatten(2, (2, 2)).unflatten(4, (3, 2)).mean(dim=(3, 5))
    answers = attention.norm(squares).flatten(2).transpose(1, 2)
    for n in range(2):
        asks = x[n].flatten(1).T
        q, k, v = attention.query(asks), attention.key(answers[n]), attention.value(answers[n])
        heads = [
            (q[:, h] @ k[:, h].T / 4**0.5).softmax(dim=1) @ v[:, h]
            for h in (slice(0, 4), slice(4, 8))
        ]
        expected = attention.project(torch.cat(heads, dim=1)).T.unflatten(1, (4, 6))
        torch.testing.assert_close(found[n], expected)


@pytest.mark.parametrize(("side", "reduction"), [(5, 2), (3, 4), (1, 8)])
def test_squares_at_the_edge_are_averaged_over_what_there_is(side: int, reduction: int) -> None:
    attention = EfficientAttention(4, head_dim=4, reduction=reduction).eval()
    answers: list[Tensor] = []
    attention.norm.register_forward_pre_hook(lambda module, inputs: answers.append(inputs[0]))
    x = torch.arange(4.0 * side * side).reshape(1, 4, side, side)
    attention(x)
    last = slice(side - (side % reduction or reduction), side)
    assert answers[0].shape[-1] == math.ceil(side / reduction)
    torch.testing.assert_close(answers[0][0, :, -1, -1], x[0, :, last, last].mean(dim=(1, 2)))


def test_heads_of_convolutional_attention_look_one_place_around_and_apart() -> None:
    torch.manual_seed(0)
    attention = ConvolutionalAttention(8, head_dim=4).eval()
    x = torch.randn(1, 8, 7, 7, requires_grad=True)
    attention[0](x)[0, :4, 3, 3].sum().backward()
    assert x.grad is not None
    heard = x.grad[0].abs() > 0
    assert heard[:4, 2:5, 2:5].all() and int(heard.sum()) == 4 * 9
    assert parameter_count(attention) == 8 * 4 * 9 + 2 * 8 + 8 * 8


def test_the_feed_forward_network_squeezes_through_as_many_values_as_it_expands() -> None:
    torch.manual_seed(0)
    network = LocalFeedForward(5, expansion=3).eval()
    # there and back, norms, depthwise, squeeze and excitation with biases
    squeeze = (15 * 3 + 3) + (3 * 15 + 15)
    assert parameter_count(network) == 2 * 15 * 5 + 2 * (15 + 15 + 5) + 15 * 9 + squeeze
    x = torch.randn(2, 5, 4, 4)
    layers = list(network)
    inside = nn.Sequential(*layers[:6])(x)
    gate = cast(SqueezeExcitation, layers[6])
    there, back = gate.fc1, gate.fc2
    hidden = F.relu(F.linear(inside.mean(dim=(2, 3)), there.weight[:, :, 0, 0], there.bias))
    weights = F.hardsigmoid(F.linear(hidden, back.weight[:, :, 0, 0], back.bias))
    expected = nn.Sequential(*layers[7:])(inside * weights[:, :, None, None])
    torch.testing.assert_close(network(x), expected)


def test_patches_are_embedded_only_where_something_changes() -> None:
    assert len(PatchEmbedding(8, 8)) == 0
    x = torch.randn(1, 8, 5, 5)
    assert PatchEmbedding(8, 4)(x).shape == (1, 4, 5, 5)
    halved = PatchEmbedding(8, 8, halve=True)
    torch.testing.assert_close(halved[0](x)[0, :, 2, 2], x[0, :, 4, 4])
    assert halved(x).shape == (1, 8, 3, 3)


def test_a_convolution_block_is_its_formula() -> None:
    torch.manual_seed(0)
    block = seen_maps(ConvolutionBlock(8, 16, 8, halve=True, path_dropout=0.0), channels=8)
    x = torch.randn(2, 8, 6, 6)
    embedded = block.embed(x)
    near = embedded + block.attention(embedded)
    torch.testing.assert_close(block(x), near + block.feed_forward(block.norm(near)))


@pytest.mark.parametrize(("channels", "far"), [(32, 24), (16, 8), (40, 32), (64, 48)])
def test_a_transformer_block_is_its_formula(channels: int, far: int) -> None:
    torch.manual_seed(0)
    block = seen_maps(
        TransformerBlock(8, channels, 8, 2, halve=False, path_dropout=0.0), channels=8
    )
    x = torch.randn(2, 8, 4, 4)
    embedded = block.embed(x)
    assert embedded.shape[1] == far
    wide = embedded + block.attention(block.norm(embedded))
    narrowed = block.narrow(wide)
    both = torch.cat([wide, narrowed + block.local(narrowed)], dim=1)
    torch.testing.assert_close(block(x), both + block.feed_forward(block.both_norm(both)))


@pytest.mark.parametrize("channels", [8, 20])
def test_channels_that_are_no_two_heads_are_refused(channels: int) -> None:
    with pytest.raises(ValueError, match=f"two heads or more of 8 channels.*found {channels}"):
        TransformerBlock(8, channels, 8, 1, halve=False, path_dropout=0.0)


def test_paths_are_dropped_more_often_towards_the_end_and_only_in_training() -> None:
    size = MedViTSize((4, 4, 8), (Stage(2, 8, 0), Stage(1, 8, 16)), 8, path_dropout=0.6)
    network = MedViT(1, 2, size)
    blocks = [block for stage in network.stages for block in stage.children()]
    rates = [cast(StochasticDepth, block.path).p for block in blocks]
    rates.append(cast(StochasticDepth, blocks[-1].local_path).p)
    assert rates == pytest.approx([0.0, 0.2, 0.4, 0.45, 0.15])
    x = torch.randn(8, 1, 16, 16)
    assert torch.equal(network.eval()(x), network(x))
    torch.manual_seed(0)
    one = network.train()(x)
    assert not torch.equal(one, network(x))


def test_other_channels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected \(N, 1, H, W\), found \(2, 3, 8, 8\)"):
        narrow()(torch.zeros(2, 3, 8, 8))


@pytest.mark.parametrize("read", get_args(Read))
def test_a_narrow_one_learns_which_half_is_brighter(read: Read) -> None:
    torch.manual_seed(1)
    assert learnt(MedViT(1, 2, NARROW, read=read)) > 0.8
