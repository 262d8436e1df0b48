"""Aligners: identity at the start, planted shifts, one unit, an operator as oracle, gradients."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import deform_conv2d

from medkd_lib.models.alignment import (
    ALIGNERS,
    Align,
    DeformableAlign,
    FlowAlign,
    NoAlign,
    SpatialTransformerAlign,
)

DIM = 8


def maps(side: int, vit_side: int, batch: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(side)
    return (
        torch.randn(batch, DIM, side, side, generator=generator),
        torch.randn(batch, DIM, vit_side, vit_side, generator=generator),
    )


def aligner(name: Align) -> nn.Module:
    torch.manual_seed(0)
    return ALIGNERS[name](DIM)


def smooth_pair(shift: Tensor, generator: torch.Generator, side: int = 14) -> tuple[Tensor, Tensor]:
    """Return F and T ``(N, DIM, side, side)`` with F(u) = T(u + shift), shift ``(N, 2)`` in cells.

    Both are windows on one smooth map that goes on beyond them, so nothing is lost at a border.
    """
    canvas = 24
    width = torch.arange(-4, 5) / 1.5
    kernel = torch.exp(-(width**2) / 2)
    blur = (kernel[:, None] * kernel / kernel.sum() ** 2).expand(DIM, 1, 9, 9)
    noise = torch.randn(len(shift), DIM, canvas, canvas, generator=generator)
    field = F.conv2d(noise, blur, padding=4, groups=DIM)
    cells = torch.arange(side) + 0.5 + (canvas - side) / 2
    window = torch.stack(torch.meshgrid(cells, cells, indexing="xy"), dim=-1)

    def read(displaced: Tensor) -> Tensor:
        places = (window + displaced[:, None, None]) * (2 / canvas) - 1
        return F.grid_sample(field / field.std(), places, align_corners=False)

    return read(torch.zeros_like(shift)), read(-shift)


def trained(align: nn.Module, generator: torch.Generator, steps: int, signed: bool) -> None:
    """Let an aligner alone make A like F; with ``signed`` each image is shifted to its own side."""
    adam = torch.optim.Adam(align.parameters(), 3e-2)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    for _ in range(steps):
        shift = planted(16, generator, signed)
        cnn_map, vit_map = smooth_pair(shift, generator)
        loss = F.mse_loss(align(cnn_map, vit_map).map, cnn_map)
        adam.zero_grad()
        loss.backward()
        adam.step()
        cosine.step()


def planted(batch: int, generator: torch.Generator, signed: bool) -> Tensor:
    shift = torch.tensor([1.5, -0.5]).repeat(batch, 1)
    if signed:
        shift = shift * (torch.randint(0, 2, (batch, 1), generator=generator) * 2 - 1)
    return shift


@pytest.mark.parametrize("side", [3, 7, 14])
@pytest.mark.parametrize("name", ALIGNERS)
def test_every_aligner_starts_as_resizing(name: Align, side: int) -> None:
    cnn_map, vit_map = maps(side, 7)
    aligned = aligner(name)(cnn_map, vit_map)
    resized, zero = NoAlign(DIM)(cnn_map, vit_map)
    # Places in [-1, 1] are rounded to a millionth of a cell, and noise is steep.
    torch.testing.assert_close(aligned.map, resized, atol=1e-5, rtol=0)
    assert aligned.flow.shape == zero.shape == (3, 2, side, side)
    assert not aligned.flow.any()
    assert resized.std() > 0.1


@pytest.mark.parametrize("name", ["flow", "stn"])
def test_a_planted_shift_is_recovered(name: Align) -> None:
    generator = torch.Generator().manual_seed(0)
    align = aligner(name)
    trained(align, generator, steps=400, signed=False)
    shift = planted(32, generator, signed=False)
    cnn_map, vit_map = smooth_pair(shift, generator)
    before = F.mse_loss(vit_map, cnn_map)
    with torch.no_grad():
        aligned = align(cnn_map, vit_map)
    dx, dy = aligned.flow.mean((0, 2, 3)).tolist()
    assert dx == pytest.approx(1.5, abs=0.05)
    assert dy == pytest.approx(-0.5, abs=0.05)
    # What remains is the blur of reading between cells, and the border.
    assert F.mse_loss(aligned.map, cnn_map) < 0.2 * before


def test_a_linear_head_does_not_find_the_shift_of_each_image() -> None:
    """The limit that `FlowAlign` states: shifts to either side average out."""
    generator = torch.Generator().manual_seed(0)
    align = aligner("flow")
    trained(align, generator, steps=100, signed=True)
    shift = planted(32, generator, signed=True)
    with torch.no_grad():
        flow = align(*smooth_pair(shift, generator)).flow
    assert float((flow.mean((2, 3))[:, 0] * shift[:, 0].sign()).mean().abs()) < 0.3


def set_to_one_cell(align: nn.Module) -> None:
    """Make an aligner read one cell of T further to the right and two up."""
    with torch.no_grad():
        if isinstance(align, FlowAlign) and align.head is not None:
            assert align.head.bias is not None
            align.limit = 4.0
            align.head.bias.copy_(4 * torch.tensor([1 / 4, -2 / 4]).atanh())
        elif isinstance(align, SpatialTransformerAlign):
            align.affine.bias.copy_(torch.tensor([0, 0, 2 / 7, 0, 0, -4 / 7]))
        elif isinstance(align, DeformableAlign):
            assert align.offsets.bias is not None
            align.offsets.bias.copy_(torch.tensor([1.0, -2.0]).repeat(9))


@pytest.mark.parametrize("side", [7, 14])
@pytest.mark.parametrize("name", ["flow", "stn", "deform"])
def test_a_displacement_is_in_cells_of_the_vits_map_on_every_scale(name: Align, side: int) -> None:
    cnn_map, vit_map = maps(side, 7)
    align = aligner(name)
    set_to_one_cell(align)
    aligned = align(cnn_map, vit_map)
    resized = NoAlign(DIM)(cnn_map, vit_map).map
    cell = side // 7
    # A(u) = T~(u + Δ): what stood a cell to the right and two up stands here now.
    torch.testing.assert_close(
        aligned.map[..., 2 * cell :, :-cell],
        resized[..., : -2 * cell, cell:],
        atol=1e-5,
        rtol=0,
    )
    torch.testing.assert_close(aligned.flow.mean((0, 2, 3)), torch.tensor([1.0, -2.0]))


def test_the_flow_stays_within_its_limit() -> None:
    cnn_map, vit_map = maps(7, 7)
    align = FlowAlign(DIM, limit=2.0)
    assert align.head is not None
    with torch.no_grad():
        align.head.weight.normal_(std=10.0)
    flow = align(cnn_map, vit_map).flow
    assert 1.9 < float(flow.detach().abs().max()) <= 2.0


def test_deformable_alignment_is_torchvisions_operator() -> None:
    cnn_map, vit_map = maps(7, 7)
    align = aligner("deform")
    assert isinstance(align, DeformableAlign)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in align.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    offsets = align.offsets(torch.cat([cnn_map, vit_map], dim=1))
    # torchvision's order is (dy, dx) tap by tap
    swapped = offsets.unflatten(1, (9, 2)).flip(2).flatten(1, 2)
    oracle = deform_conv2d(vit_map, swapped, align.kernel.view(DIM, 1, 3, 3), padding=1)
    assert offsets.abs().max() > 1
    torch.testing.assert_close(align(cnn_map, vit_map).map, oracle, atol=1e-5, rtol=1e-4)


def test_the_frozen_control_has_nothing_to_learn() -> None:
    assert not list(aligner("frozen").parameters())
    counts = {name: sum(p.numel() for p in ALIGNERS[name](64).parameters()) for name in ALIGNERS}
    # 2306 as in the proposal: 3x3 from 128 channels to 2
    assert counts == {"none": 0, "flow": 2306, "frozen": 0, "stn": 1470, "deform": 21330}


@pytest.mark.parametrize("name", ["flow", "stn", "deform"])
def test_the_gradient_reaches_every_parameter_and_both_maps(name: Align) -> None:
    align = aligner(name)
    cnn_map, vit_map = maps(7, 7)
    vit_map.requires_grad_()
    adam = torch.optim.Adam(align.parameters(), 1e-2)
    for _ in range(3):
        adam.zero_grad()
        F.mse_loss(align(cnn_map, vit_map).map, cnn_map).backward()
        adam.step()
    for parameter_name, parameter in align.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, parameter_name
    cnn_map.requires_grad_()
    align(cnn_map, vit_map).map.square().sum().backward()
    assert vit_map.grad is not None and vit_map.grad.abs().max() > 0
    # through the displacement alone
    assert cnn_map.grad is not None and cnn_map.grad.abs().max() > 0


@pytest.mark.parametrize("name", ALIGNERS)
def test_an_image_is_aligned_by_itself(name: Align) -> None:
    align = aligner(name)
    set_to_one_cell(align)
    cnn_map, vit_map = maps(7, 7)
    alone = align(cnn_map[:1], vit_map[:1])
    torch.testing.assert_close(align(cnn_map, vit_map).map[:1], alone.map)


@pytest.mark.parametrize("name", ALIGNERS)
def test_runs_in_bfloat16_and_samples_in_float32(name: Align) -> None:
    align = aligner(name)
    set_to_one_cell(align)
    cnn_map, vit_map = maps(14, 7)
    exact = align(cnn_map, vit_map).map
    with torch.autocast("cpu", torch.bfloat16):
        mixed = align(cnn_map.bfloat16(), vit_map.bfloat16()).map
    assert mixed.dtype == torch.bfloat16
    torch.testing.assert_close(mixed.float(), exact, atol=0.05, rtol=0.05)
