"""CycleGAN's generator: the published count, any size, range, and that it learns a translation."""

import pytest
import torch
from torch import Tensor

from medkd_lib.distill.image_l1 import image_l1
from medkd_lib.models.resnet_generator import ResnetGenerator
from medkd_lib.models.small_cnn import parameter_count
from medkd_lib.models.tap import tap
from medkd_lib.models.translation_blocks import Up

BOTH = pytest.mark.parametrize("up", ["transposed", "resize"])


def images(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@BOTH
def test_the_published_layout_is_pinned(up: Up) -> None:
    with torch.device("meta"):
        assert parameter_count(ResnetGenerator(up=up)) == 11_365_633
        assert parameter_count(ResnetGenerator(width=8, blocks=2, up=up)) == 49_377
        # three modalities in, two out: 7x7 kernels more at either end
        more = parameter_count(ResnetGenerator(3, 2, up=up)) - 11_365_633
    assert more == 2 * 49 * 64 + 49 * 64 + 1


@BOTH
@pytest.mark.parametrize("size", [(5, 5), (8, 8), (6, 11), (18, 20), (48, 50)])
def test_any_size_comes_back(up: Up, size: tuple[int, int]) -> None:
    network = ResnetGenerator(2, 3, width=2, blocks=1, up=up)
    assert network(images(2, 2, *size)).shape == (2, 3, *size)


def test_maps_are_halved_twice_and_doubled_twice() -> None:
    network = ResnetGenerator(width=4, blocks=2)
    names = ["stem", "down.0", "down.1", "residual.1", "up.0", "up.1"]
    with tap(network, {name: name for name in names}) as seen:
        network(images(1, 1, 16, 24))
    assert [tuple(seen[name].shape[1:]) for name in names] == [
        (4, 16, 24), (8, 8, 12), (16, 4, 6), (16, 4, 6), (8, 8, 12), (4, 16, 24)
    ]  # fmt: skip


@BOTH
def test_output_stays_in_range_and_eval_mode_looks_at_one_image_at_a_time(up: Up) -> None:
    torch.manual_seed(0)
    network = ResnetGenerator(width=3, blocks=2, up=up).double()
    x = images(3, 1, 12, 16).double()
    assert not torch.equal(network(x), network(x))  # dropout
    network.eval()
    with torch.no_grad():
        out = network(x)
        assert torch.equal(network(x), out)
        torch.testing.assert_close(network(x[1:2])[0], out[1], rtol=0, atol=1e-10)
        assert network(100 * x).abs().max() <= 1


@BOTH
def test_in_bfloat16_it_draws_nearly_the_same(up: Up) -> None:
    torch.manual_seed(0)
    network, x = ResnetGenerator(width=4, blocks=2, up=up).eval(), images(2, 1, 16, 16)
    with torch.no_grad():
        exact = network(x)
        with torch.autocast("cpu", torch.bfloat16):
            half = network(x)
    assert half.dtype == torch.bfloat16
    # three digits of a value below 1, through a dozen convolutions
    assert (half - exact).abs().max() < 0.1 < exact.std()


def test_the_gradient_reaches_every_kernel_and_the_images() -> None:
    network = ResnetGenerator(width=3, blocks=2)
    x = images(2, 1, 12, 16).requires_grad_()
    network(x).square().mean().backward()
    kernels = [w for w in network.parameters() if w.ndim == 4]
    assert all(w.grad is not None and w.grad.abs().max() > 0 for w in kernels)
    assert x.grad is not None and x.grad.abs().max() > 0


def test_images_that_do_not_fit_are_refused() -> None:
    network = ResnetGenerator(width=2, blocks=1)
    with pytest.raises(ValueError, match=r"expected \(N, 1, H, W\), found \(1, 2, 8, 8\)"):
        network(torch.zeros(1, 2, 8, 8))
    with pytest.raises(ValueError, match="sides of 5 pixels or more, found 4 x 8"):
        network(torch.zeros(1, 1, 4, 8))
    with pytest.raises(ValueError, match="blocks: expected one or more, found 0"):
        ResnetGenerator(blocks=0)


def test_a_narrow_one_learns_to_invert() -> None:
    """Paired, without a discriminator: the layout itself can translate."""
    torch.manual_seed(0)
    network = ResnetGenerator(width=4, blocks=1, up="resize", dropout=0.0)
    adam = torch.optim.Adam(network.parameters(), lr=5e-3, betas=(0.5, 0.999))
    # smooth images: four random values, blown up
    x = torch.nn.functional.interpolate(images(8, 1, 4, 4), scale_factor=4, mode="bilinear")
    before = image_l1(network(x), -x).item()
    for _ in range(30):
        adam.zero_grad()
        loss = image_l1(network(x), -x)
        loss.backward()
        adam.step()
    # Five seeds: 0.18 to 0.37.
    assert loss.item() < 0.6 * before


@BOTH
def test_skips_add_the_maps_before_the_halvings_and_no_weight(up: Up) -> None:
    torch.manual_seed(0)
    plain, skipping = (
        ResnetGenerator(width=4, blocks=1, up=up, dropout=0.0, skips=s) for s in (False, True)
    )
    skipping.load_state_dict(plain.state_dict())
    x = images(2, 1, 18, 22)
    with tap(plain, {"down": "down.0", "up": "up.0"}) as seen, torch.no_grad():
        assert not torch.allclose(plain(x), skipping(x))
    # the second doubling starts from the first one's map plus what had the same size before
    with torch.no_grad():
        fine = skipping.stem(x)
        joined = skipping.up[1](seen["up"] + seen["down"], (18, 22)) + fine
        torch.testing.assert_close(skipping(x), skipping.head(joined))
