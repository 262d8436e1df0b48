"""Views: what they may change, what they must not, and that they repeat."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from medkd_lib.data.views import multi_view, slice_augment

SIDE = 64


def disc(n: int = 16, radius: float = 20.0, channels: int = 2, height: int = SIDE) -> Tensor:
    """Return brains: a disc of tissue with structure and values of both signs, background 0."""
    y, x = torch.meshgrid(
        torch.arange(height) - (height - 1) / 2, torch.arange(SIDE) - (SIDE - 1) / 2, indexing="ij"
    )
    pattern = torch.stack([torch.sin(x / 5 + c) + 0.02 * y + 1.5 for c in range(channels)])
    return (pattern * (x**2 + y**2 < radius**2)).expand(n, -1, -1, -1).clone()


def tissue(images: Tensor) -> Tensor:
    return (images != 0).any(dim=1)


def test_p_decides_how_many_images_are_changed() -> None:
    images = disc(400)[:, :1]
    torch.manual_seed(0)
    assert torch.equal(multi_view(images, 0.0), images)
    for p in (0.5, 1.0):
        view = multi_view(images, p, background=0.0)
        changed = (view != images).flatten(1).any(dim=1)
        # untouched images are untouched bit for bit; 400 draws: standard deviation 0.025
        assert float(changed.float().mean()) == pytest.approx(p, abs=0.1)


def test_the_images_given_are_left_alone() -> None:
    images = disc(8)
    before = images.clone()
    multi_view(images, 1.0, background=0.0)
    slice_augment(images)
    assert torch.equal(images, before)


def test_the_same_seed_gives_the_same_views_and_another_seed_others() -> None:
    for make in (lambda x: multi_view(x, 1.0), lambda x: multi_view(x, background=0.0),
                 slice_augment):  # fmt: skip
        views = []
        for seed in (0, 0, 1):
            torch.manual_seed(seed)
            views.append(make(disc(8)))
        assert torch.equal(views[0], views[1])
        assert not torch.equal(views[0], views[2])
        assert views[0].shape == (8, 2, SIDE, SIDE)


def test_every_image_gets_a_view_of_its_own() -> None:
    torch.manual_seed(0)
    for view in (multi_view(disc(8), 1.0, background=0.0), slice_augment(disc(8))):
        assert len({tuple(v.flatten().tolist()) for v in view}) == 8


def test_each_ingredient_can_be_seen_alone() -> None:
    images = disc(8)
    still = {"exposure": 0.0, "crop": 1.0, "degrees": 0.0, "masked": 0.0}
    torch.testing.assert_close(multi_view(images, 1.0, **still), images, atol=1e-5, rtol=0)  # type: ignore[arg-type]
    for name, value in (("exposure", 0.3), ("crop", 0.5), ("degrees", 45.0), ("masked", 0.5)):
        torch.manual_seed(0)
        view = multi_view(images, 1.0, background=0.0, **(still | {name: value}))  # type: ignore[arg-type]
        assert (view - images).abs().max() > 0.1, name


def test_hidden_patches_are_whole_and_filled() -> None:
    images = torch.rand(200, 1, 64, 64) + 1
    still = {"exposure": 0.0, "crop": 1.0, "degrees": 0.0}
    torch.manual_seed(0)
    view = multi_view(images, 1.0, background=0.0, masked=0.4, **still)  # type: ignore[arg-type]
    hidden = (view == 0).reshape(200, 8, 8, 8, 8).permute(0, 1, 3, 2, 4).flatten(3)
    assert (hidden.all(-1) == hidden.any(-1)).all()
    # a share uniform on 0…0.4: 0.2 on average, never all
    assert float(hidden[..., 0].float().mean()) == pytest.approx(0.2, abs=0.03)
    film = multi_view(images, 1.0, masked=0.4, **still)  # type: ignore[arg-type]
    filled = (film - images).abs() > 1e-5
    mean = images.mean(dim=(1, 2, 3), keepdim=True).expand_as(images)
    torch.testing.assert_close(film[filled], mean[filled], atol=1e-4, rtol=0)


@pytest.mark.parametrize("background", [0.0, -3.0])
def test_a_strong_view_leaves_the_background_as_it_is(background: float) -> None:
    images = disc(32, radius=25)
    images = torch.where(tissue(images)[:, None], images, background)
    torch.manual_seed(0)
    view = multi_view(images, 1.0, background=background, crop=1.0, masked=0.0)
    corners = view[:, :, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert (corners == background).all()
    # and the tissue was exposed differently, each channel by itself
    middle = (view - images)[:, :, 28:36, 28:36].mean(dim=(2, 3))
    assert middle.std() > 0.1 and (middle[:, 0] - middle[:, 1]).std() > 0.1


def test_a_crop_stays_within_the_image() -> None:
    images = torch.full((64, 1, 32, 32), 0.7)
    torch.manual_seed(0)
    view = multi_view(images, 1.0, background=0.0, exposure=0.0, masked=0.0, degrees=0.0, crop=0.4)
    assert (view != 0).all()


@pytest.mark.parametrize("make", [
    lambda x: multi_view(x, 1.0, crop=1.0, degrees=0.0, masked=0.0),
    lambda x: slice_augment(x, degrees=0.0, shift=0.0, flip=0.0, noise=0.0),
])  # fmt: skip
def test_every_channel_has_a_gain_and_an_offset_of_its_own(
    make: Callable[[Tensor], Tensor],
) -> None:
    """Twice the image at the same draws: the difference is the gain, the rest the offset."""
    views = []
    for size in (1.0, 2.0):
        torch.manual_seed(0)
        views.append(make(torch.full((40, 3, 8, 8), size)).mean(dim=(2, 3)))
    gain = views[1] - views[0]
    for drawn, mean in ((gain, 1.0), (views[0] - gain, 0.0)):
        assert float(drawn.mean()) == pytest.approx(mean, abs=0.06)
        assert 0.03 < float((drawn[:, 0] - drawn[:, 1]).std() / 2**0.5) < 0.25


def test_a_film_has_no_black_border() -> None:
    torch.manual_seed(0)
    film = multi_view(torch.full((32, 1, 32, 32), 0.7), 1.0, exposure=0.0, masked=0.0)
    torch.testing.assert_close(film, torch.full_like(film, 0.7))


def test_slices_keep_an_exact_background_and_get_noise_in_the_tissue() -> None:
    torch.manual_seed(0)
    view = slice_augment(disc(32), degrees=0.0, shift=0.0, flip=0.0)
    inside = tissue(disc(32))
    assert (view.movedim(1, -1)[~inside] == 0).all()
    assert (view.movedim(1, -1)[inside] != 0).all()
    residual = view - disc(32)
    # noise of 0.05 within an image on top of its own gain and offset
    rough = (residual[:, :, 28:36, 28:36].diff(dim=-1) / 2**0.5).std()
    assert 0.04 < float(rough) < 0.08


def test_slices_keep_their_areas() -> None:
    images = disc(64, radius=15)
    area = float(tissue(images)[0].sum())
    torch.manual_seed(0)
    areas = tissue(slice_augment(images)).sum(dim=(1, 2))
    assert areas.min() > 0.97 * area and areas.max() < 1.03 * area
    assert float(areas.float().mean()) == pytest.approx(area, rel=0.005)


def test_flip_is_an_exact_mirror_in_half_of_the_views() -> None:
    images = disc(400, channels=1)
    images = images * (1 + torch.arange(SIDE))  # right differs from left
    torch.manual_seed(0)
    view = slice_augment(images, degrees=0.0, shift=0.0, exposure=0.0, noise=0.0)
    as_they_were = (view - images).abs().flatten(1).amax(dim=1) < 1e-2
    mirrored = (view - images.flip(-1)).abs().flatten(1).amax(dim=1) < 1e-2
    assert (as_they_were ^ mirrored).all()
    assert float(mirrored.float().mean()) == pytest.approx(0.5, abs=0.1)
    torch.manual_seed(0)
    never = slice_augment(images, flip=0.0, degrees=0.0, shift=0.0, exposure=0.0, noise=0.0)
    torch.testing.assert_close(never, images, atol=1e-2, rtol=1e-5)


def test_a_rotation_is_one_in_pixels_also_on_an_oblong_image() -> None:
    images = disc(16, radius=20, channels=1, height=2 * SIDE).ne(0).float()
    torch.manual_seed(0)
    turned = slice_augment(images, degrees=90.0, shift=0.0, flip=0.0, exposure=0.0, noise=0.0)
    # A round disc stays the same disc, up to its rim.
    difference = (turned - images).abs()
    assert float(difference.sum(dim=(1, 2, 3)).max()) < 2 * 3.14 * 20 * 0.5
    assert float(difference[:, :, SIDE - 13 : SIDE + 13, 19:45].max()) < 1e-5


def test_shifts_stay_within_their_bound() -> None:
    images = torch.zeros(200, 1, 50, 50)
    images[:, :, 22:27, 22:27] = 1.0
    images[:, :, 24, 24] = 9.0
    torch.manual_seed(0)
    moved = slice_augment(images, flip=0.0, degrees=0.0, exposure=0.0, noise=0.0)
    at = moved.flatten(2).argmax(-1)
    rows, columns = at // 50 - 24, at % 50 - 24
    # 4 % of 50 pixels is 2
    assert int(rows.abs().max()) == 2 and int(columns.abs().max()) == 2
