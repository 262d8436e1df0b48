"""Images on their way to a network: averaged down, blown up, left alone."""

import pytest
import torch
from skimage.measure import block_reduce
from torch import Tensor, nn

from medkd_lib.models.resize import AtSize, to_size


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def test_the_same_size_is_the_same_tensor() -> None:
    images = noise(2, 3, 8, 8)
    assert to_size(images, 8) is images


def test_going_down_is_the_mean_of_what_a_pixel_covers() -> None:
    images = noise(2, 3, 12, 12)
    expected = block_reduce(images.numpy(), (1, 1, 3, 3), func=lambda x, axis: x.mean(axis=axis))
    torch.testing.assert_close(to_size(images, 4), torch.from_numpy(expected))


def test_fine_texture_does_not_turn_into_moire() -> None:
    stripes = (torch.arange(60) % 3 == 0).float().expand(1, 1, 60, 60)
    small = to_size(stripes, 10)
    torch.testing.assert_close(small, torch.full((1, 1, 10, 10), 1 / 3))


def test_going_up_adds_nothing() -> None:
    ramp = torch.arange(8.0).expand(1, 1, 8, 8)
    large = to_size(ramp, 32)
    assert large.shape == (1, 1, 32, 32)
    assert float(large.min()) == 0 and float(large.max()) == 7
    # and back it is what it was, but for the rim that bilinear interpolation flattens
    torch.testing.assert_close(to_size(large, 8)[..., 1:-1], ramp[..., 1:-1])


@pytest.mark.parametrize("shape", [(8, 64), (64, 8), (16, 64), (4, 64)])
def test_an_oblong_image_is_averaged_along_its_long_side(shape: tuple[int, int]) -> None:
    """One side up or kept, the other down by four: no pixel of a group of four is overlooked."""
    every_fourth = (torch.arange(64) % 4 == 0).float()
    images = every_fourth if shape[1] == 64 else every_fourth[:, None]
    small = to_size(images.expand(1, 1, *shape), 16)
    torch.testing.assert_close(small, torch.full((1, 1, 16, 16), 0.25))


def test_a_wrapped_network_sees_one_size() -> None:
    network = AtSize(nn.Flatten(), 4)
    assert [network(noise(2, 1, s, s)).shape[1] for s in (2, 4, 9)] == [16, 16, 16]
    torch.testing.assert_close(network(noise(1, 1, 8, 8)), to_size(noise(1, 1, 8, 8), 4).flatten(1))
