"""The field of view of one image on another's grid."""

import numpy as np

from medkd_lib.data.field import inside_field


def affine(spacing: float, origin: tuple[float, float, float], flip: bool = False) -> np.ndarray:
    out = np.diag([-spacing if flip else spacing, spacing, spacing, 1.0])
    out[:3, 3] = origin
    return out


def test_an_image_covers_its_own_grid() -> None:
    own = affine(1.7, (3.0, -4.0, 5.0))
    assert inside_field(own, (4, 5, 6), own, (4, 5, 6)).all()


def test_a_smaller_image_covers_a_box() -> None:
    inside = inside_field(affine(1, (2, 3, 0)), (3, 2, 9), affine(1, (0, 0, 0)), (8, 8, 8))
    assert inside.sum() == 3 * 2 * 8
    assert inside[2:5, 3:5].all()


def test_axes_may_run_the_other_way_and_be_coarser() -> None:
    # voxel 0 lies at x = 6, voxel 2 at x = 2
    inside = inside_field(
        affine(2, (6, 0, 0), flip=True), (3, 50, 50), affine(1, (0, 0, 0)), (10, 4, 4)
    )
    assert inside.any(axis=(1, 2)).tolist() == [2 <= x <= 6 for x in range(10)]


def test_an_oblique_image_covers_what_lies_between_its_faces() -> None:
    angle = np.deg2rad(30)
    turned = np.eye(4)
    turned[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    inside = inside_field(turned, (6, 6, 3), np.eye(4), (9, 9, 3))
    x, y = np.meshgrid(np.arange(9), np.arange(9), indexing="ij")
    u, v = np.cos(angle) * x + np.sin(angle) * y, -np.sin(angle) * x + np.cos(angle) * y
    assert np.array_equal(inside[..., 0], (u >= 0) & (u <= 5) & (v >= 0) & (v <= 5))
