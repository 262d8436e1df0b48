"""Projectors and discriminator: parameter counts of the paper, grids of any size, own oracles."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from medkd_lib.models.projectors import GroupLinear, PartialCrossProjector, TokenDiscriminator
from medkd_lib.models.small_cnn import parameter_count


def maps(channels: int = 6, side: int = 7) -> torch.Tensor:
    return torch.randn(3, channels, side, side, generator=torch.Generator().manual_seed(0))


def test_parameter_counts_at_the_papers_size() -> None:
    with torch.device("meta"):
        projector = PartialCrossProjector(256, 768, 12, 14)
        groups = GroupLinear(256, 768, 14)
        each = GroupLinear(256, 768, 14, share=1)
        one = GroupLinear(256, 768, 14, share=14)
    # three 3x3 convolutions side by side, with biases: 5.31 million
    assert parameter_count(projector) == 3 * (9 * 256 * 768 + 768) == 5_310_720
    # 16 fully connected layers 3.16 million, 196 of them 38.7, a single one 0.20
    assert parameter_count(groups) == 16 * (256 * 768 + 768) == 3_158_016
    assert parameter_count(each) == 38_685_696
    assert parameter_count(one) == 197_376


def test_the_projector_is_three_convolutions_split_into_heads() -> None:
    torch.manual_seed(0)
    projector = PartialCrossProjector(6, 8, 2, 5)
    with torch.no_grad():
        qkv = projector(maps(side=5))
    weights, biases = (p.chunk(3) for p in projector.convolutions.parameters())
    for found, weight, bias in zip(qkv, weights, biases, strict=True):
        alone = F.conv2d(maps(side=5), weight, bias, padding=1)
        assert found.shape == (3, 2, 25, 4)
        for head in range(2):
            for row, column in ((0, 0), (1, 3), (4, 4)):
                expected = alone[:, 4 * head : 4 * head + 4, row, column]
                torch.testing.assert_close(found[:, head, 5 * row + column], expected)


def test_every_position_goes_through_the_layer_of_its_block() -> None:
    """Position by position with nn.Linear: the oracle of the blocked product."""
    torch.manual_seed(0)
    layer = GroupLinear(6, 5, grid=7, share=3, dropout=0.0)
    student_map = maps()
    tokens = layer(student_map)
    assert tokens.shape == (3, 49, 5)
    assert len(layer.weight) == 9  # blocks of 3, 3 and 1 positions a side
    for row in range(7):
        for column in range(7):
            block = 3 * (row // 3) + column // 3
            one = nn.Linear(6, 5)
            one.weight.data, one.bias.data = layer.weight[block].T, layer.bias[block, 0]
            expected = one(student_map[:, :, row, column])
            torch.testing.assert_close(tokens[:, 7 * row + column], expected)


@pytest.mark.parametrize("grid", [1, 3, 4, 7, 14])
@pytest.mark.parametrize("side", [1, 5, 7, 20])
def test_any_grid_from_a_map_of_any_size(grid: int, side: int) -> None:
    student_map = maps(side=side).requires_grad_()
    tokens = GroupLinear(6, 8, grid)(student_map)
    qkv = PartialCrossProjector(6, 8, 2, grid)(student_map)
    assert tokens.shape == (3, grid**2, 8)
    assert {tuple(x.shape) for x in qkv} == {(3, 2, grid**2, 4)}
    (tokens.square().sum() + sum(x.square().sum() for x in qkv)).backward()
    assert student_map.grad is not None and student_map.grad.abs().max() > 0


def test_every_layer_of_the_groups_gets_a_gradient() -> None:
    layer = GroupLinear(6, 8, grid=14)
    layer(maps(side=14)).square().sum().backward()
    assert layer.weight.grad is not None and layer.bias.grad is not None
    assert (layer.weight.grad.abs().amax(dim=(1, 2)) > 0).all()
    assert (layer.bias.grad.abs().amax(dim=(1, 2)) > 0).all()


def test_dropout_works_in_training_alone() -> None:
    layer = GroupLinear(6, 8, grid=7, dropout=0.5)
    student_map = maps()
    torch.manual_seed(0)
    assert not torch.equal(layer(student_map), layer(student_map))
    layer.eval()
    assert torch.equal(layer(student_map), layer(student_map))


def test_the_discriminator_gives_a_logit_per_token_and_cannot_see_scale() -> None:
    torch.manual_seed(0)
    discriminator = TokenDiscriminator(8, hidden=5)
    assert parameter_count(discriminator) == (8 * 5 + 5) + (5 * 5 + 5) + (5 + 1)
    tokens = torch.randn(2, 9, 8)
    logits = discriminator(tokens)
    assert logits.shape == (2, 9)
    torch.testing.assert_close(discriminator(100 * tokens + 3), logits, rtol=1e-3, atol=1e-4)
    # one token's logit does not depend on the others
    torch.testing.assert_close(discriminator(tokens[:, 4:5])[:, 0], logits[:, 4])


def test_a_width_that_does_not_split_is_named() -> None:
    with pytest.raises(ValueError, match=r"dim: expected a multiple of the 3 heads, found 8"):
        PartialCrossProjector(6, 8, 3, 7)
