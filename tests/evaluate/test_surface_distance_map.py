"""Signed distances: planes and balls in closed form, every face of a small mask by brute force."""

import numpy as np
import pytest
from scipy import ndimage

from medkd_lib.evaluate.surface_distance_map import signed_distance


def test_a_plane_lies_between_its_voxels() -> None:
    mask = np.zeros((10, 4, 3), dtype=bool)
    mask[:6] = True
    found = signed_distance(mask, (2.0, 0.5, 5.0))
    expected = 2.0 * (np.arange(10) - 5.5)
    np.testing.assert_allclose(found.mm, np.broadcast_to(expected[:, None, None], mask.shape))
    np.testing.assert_allclose(found.nearest[0], 5.5)
    # straight across: the other coordinates are the voxel's own
    np.testing.assert_array_equal(found.nearest[1:], np.indices(mask.shape)[1:])


def test_every_voxel_keeps_its_side_and_is_near_where_it_borders_on_the_other() -> None:
    # speckle: many parts that smoothing alone would lose
    mask = np.random.default_rng(0).random((20, 20)) > 0.7
    found = signed_distance(mask, (1.0, 2.0))
    assert ((found.mm < 0) == mask).all() and np.abs(found.mm).min() > 0.099
    for axis, spacing in ((0, 1.0), (1, 2.0)):
        places = np.argwhere(np.diff(mask, axis=axis))
        for step in (0, 1):
            places[:, axis] += step
            assert np.abs(found.mm[tuple(places.T)]).max() <= 0.901 * spacing


def test_the_distance_is_the_one_to_the_point_it_names() -> None:
    mask = ndimage.gaussian_filter(np.random.default_rng(1).standard_normal((9, 14, 11)), 2) > 0
    spacing = np.array([2.0, 1.0, 1.5])
    found = signed_distance(mask, spacing.tolist())
    apart = (np.indices(mask.shape) - found.nearest) * spacing[:, None, None, None]
    np.testing.assert_allclose(np.abs(found.mm), np.sqrt((apart**2).sum(axis=0)))
    # no named point of any other voxel is nearer
    points = np.unique(found.nearest.reshape(3, -1).T, axis=0)
    for p in np.argwhere(np.ones_like(mask))[::37]:
        least = np.linalg.norm((points - p) * spacing, axis=1).min()
        assert least == pytest.approx(abs(found.mm[tuple(p)]))


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (1.0, 1.5, 2.0)])
def test_a_ball_is_as_far_as_its_radius(spacing: tuple[float, float, float]) -> None:
    s = np.array(spacing)[:, None, None, None]
    shape = tuple(int(40 / x) for x in spacing)
    centre = np.array([19.6, 19.8, 20.3])[:, None, None, None]
    radius = np.sqrt(((np.indices(shape) * s - centre) ** 2).sum(axis=0))
    mask = radius < 12
    near = np.abs(radius - 12) < 6
    error = (signed_distance(mask, spacing).mm - (radius - 12))[near]
    transforms = [ndimage.distance_transform_edt(m, sampling=spacing) for m in (~mask, mask)]
    usual = (transforms[0] - transforms[1] - (radius - 12))[near]
    assert np.sqrt((error**2).mean()) < 0.45 * np.sqrt((usual**2).mean())
    assert np.sqrt((error**2).mean()) < 0.15 * np.mean(spacing)
    assert np.abs(error).max() < np.linalg.norm(spacing) / 2


def test_a_mask_without_a_boundary_has_no_distance() -> None:
    with pytest.raises(ValueError, match="found 0 of 12 inside"):
        signed_distance(np.zeros((3, 4), dtype=bool), (1, 1))
    with pytest.raises(ValueError, match="found 12 of 12 inside"):
        signed_distance(np.ones((3, 4), dtype=bool), (1, 1))
    with pytest.raises(ValueError, match=r"found bool \(3, 4\) and \(1, 1, 1\)"):
        signed_distance(np.eye(3, 4).astype(bool), (1, 1, 1))
