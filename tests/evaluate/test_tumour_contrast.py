"""Tumour against ring, by hand and in millimetres."""

import numpy as np
import pytest

from medkd_lib.evaluate.tumour_contrast import tumour_contrast


def square(value: float, side: int = 21) -> tuple[np.ndarray, np.ndarray]:
    """Return one image that is 0 with a 5 x 5 tumour of ``value`` in its middle, and the mask."""
    masks = np.zeros((1, side, side), np.uint8)
    masks[0, side // 2 - 2 : side // 2 + 3, side // 2 - 2 : side // 2 + 3] = 7
    return masks.astype(bool) * value, masks


def test_by_hand() -> None:
    images, masks = square(0.8)
    found = tumour_contrast(images, masks, (1.0, 1.0), ring_mm=3)
    share = 25 / 21**2
    assert found.absolute.tolist() == pytest.approx([0.8])
    assert found.relative.tolist() == pytest.approx([1 / np.sqrt(share * (1 - share))])
    assert found.mean == pytest.approx(float(found.relative[0]))


def test_the_ring_is_a_ring_in_millimetres() -> None:
    images, masks = square(0.0)
    rows, columns = np.mgrid[:21, :21] - 10
    # distance to the square from |offset| <= 2, with rows 2 mm and columns 0.5 mm apart
    away = [np.clip(np.abs(x) - 2, 0, None) for x in (rows, columns)]
    distance = np.hypot(2.0 * away[0], 0.5 * away[1])
    ring = (distance > 0) & (distance <= 2.5)
    images[0] = np.arange(441).reshape(21, 21) ** 2
    found = tumour_contrast(images, masks, (2.0, 0.5), ring_mm=2.5)
    expected = images[0][masks[0] > 0].mean() - images[0][ring].mean()
    assert float(found.absolute[0]) == pytest.approx(expected)
    # a gap leaves the inner part of it out, and the ring begins after it
    outer = (distance > 1) & (distance <= 3.5)
    found = tumour_contrast(images, masks, (2.0, 0.5), ring_mm=2.5, gap_mm=1.0)
    expected = images[0][masks[0] > 0].mean() - images[0][outer].mean()
    assert float(found.absolute[0]) == pytest.approx(expected)


def test_what_is_far_away_matters_to_the_scale_alone() -> None:
    images, masks = square(0.8)
    images[0, :2] = 1.0
    found = tumour_contrast(images, masks, (1.0, 1.0), ring_mm=3)
    assert float(found.absolute[0]) == pytest.approx(0.8)
    assert float(found.relative[0]) == pytest.approx(0.8 / images.std())


def test_relative_contrast_does_not_know_the_modalitys_window() -> None:
    images, masks = square(0.8)
    images = images + np.random.default_rng(0).normal(0, 0.1, images.shape)
    found = [tumour_contrast(x, masks, (1, 1), ring_mm=3) for x in (images, 40 * images + 1000)]
    assert found[1].mean == pytest.approx(found[0].mean)
    assert found[1].absolute[0] == pytest.approx(40 * found[0].absolute[0])


def test_air_is_no_surrounding() -> None:
    images, masks = square(0.5)
    inside = np.zeros(images.shape, bool)
    inside[:, :, 8:] = True  # the tumour begins at column 8
    images[~inside] = -1.0
    open_air = tumour_contrast(images, masks, (1, 1), ring_mm=2)
    body = tumour_contrast(images, masks, (1, 1), ring_mm=2, inside=inside)
    assert float(body.absolute[0]) == pytest.approx(0.5)
    assert float(body.relative[0]) == pytest.approx(0.5 / images[inside].std())
    assert float(open_air.absolute[0]) > 0.6


def test_no_tumour_is_nan_and_no_part_of_the_mean() -> None:
    bright, masks = square(0.8)
    images = np.concatenate([bright, np.random.default_rng(0).normal(size=bright.shape), -bright])
    found = tumour_contrast(images, np.concatenate([masks, 0 * masks, masks]), (1, 1), ring_mm=3)
    assert np.isnan(found.relative[1]) and np.isnan(found.absolute[1])
    assert found.mean == pytest.approx(0)  # one bright, one dark
    assert found.mean_size == pytest.approx(float(found.relative[0]))


def test_a_constant_image_has_no_contrast() -> None:
    _, masks = square(0.0)
    found = tumour_contrast(np.full(masks.shape, 0.1), masks, (1, 1), ring_mm=3)
    assert found.relative.tolist() == [0.0]


def test_volumes() -> None:
    masks = np.zeros((1, 9, 9, 9), bool)
    masks[0, 4, 4, 4] = True
    images = np.zeros(masks.shape)
    images[0, 3, 4, 4] = 6.0  # one of the six neighbours across slices of 3 mm
    near = tumour_contrast(images, masks, (3.0, 1.0, 1.0), ring_mm=1.0)
    assert float(near.absolute[0]) == 0  # four neighbours in the plane
    far = tumour_contrast(images, masks, (1.0, 1.0, 1.0), ring_mm=1.0)
    assert float(far.absolute[0]) == -1


def test_errors() -> None:
    images, masks = square(0.8)
    with pytest.raises(ValueError, match="expected one shape"):
        tumour_contrast(images, masks[:, 1:], (1, 1))
    with pytest.raises(ValueError, match="expected 2 positive lengths, found"):
        tumour_contrast(images, masks, (1, 1, 1))
    with pytest.raises(ValueError, match=r"a ring of a pixel \(2 mm\) or wider"):
        tumour_contrast(images, masks, (2, 2), ring_mm=1)
    with pytest.raises(ValueError, match="expected a tumour with a ring in at least one image"):
        tumour_contrast(images, 0 * masks, (1, 1))
    with pytest.raises(ValueError, match="images: expected finite pixels"):
        tumour_contrast(images * np.nan, masks, (1, 1))
