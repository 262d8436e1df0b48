"""Histogram divergence and absolute error by hand, and what a mean over pixels hides."""

import math

import numpy as np
import pytest

from medkd_lib.evaluate.translation_error import absolute_error, histogram_kl


def test_two_bins_by_hand() -> None:
    pseudo, real = np.array([-0.5, -0.5, -0.5, 0.5]), np.array([-0.5, 0.5])
    expected = 0.7 * math.log(0.7 / 0.5) + 0.3 * math.log(0.3 / 0.5)
    # counts 3 and 1 plus ½ each: 0.7 and 0.3
    assert histogram_kl(pseudo, real, bins=2) == pytest.approx(expected, rel=1e-12)


def test_zero_for_the_same_histogram_however_it_is_arranged() -> None:
    x = np.random.default_rng(0).uniform(-1, 1, (5, 8, 8))
    assert histogram_kl(x.reshape(-1)[::-1].reshape(x.shape), x) == 0
    assert histogram_kl(x * 0.5, x) > 0.1


def test_a_bin_that_real_images_leave_empty_costs_something_finite() -> None:
    real, pseudo = np.full((4, 10, 10), -0.5), np.full((4, 10, 10), 0.5)
    assert 1 < histogram_kl(pseudo, real) < 10


def test_values_that_would_be_dropped_are_refused() -> None:
    x = np.zeros((2, 4, 4))
    with pytest.raises(ValueError, match=r"pseudo: expected values in \[-1.0, 1.0\], found 0 to 3"):
        histogram_kl(np.where(np.arange(32).reshape(x.shape) == 3, 3.0, x), x)
    assert histogram_kl(x + 3, x + 3, value_range=(0, 4)) == 0
    with pytest.raises(ValueError, match="pseudocount > 0"):
        histogram_kl(x, x, pseudocount=0)


def test_error_by_hand_and_nan_without_a_tumour() -> None:
    truth = np.zeros((2, 2, 2))
    pseudo = np.array([[[1.0, 0], [0, -0.5]], [[0.25, 0], [0, 0]]])
    masks = np.array([[[1, 0], [0, 0]], [[0, 0], [0, 0]]])
    error = absolute_error(pseudo, truth, masks)
    assert error.everywhere.tolist() == [1.5 / 4, 0.25 / 4]
    assert error.in_masks[0] == 1
    assert np.isnan(error.in_masks[1])


def test_a_lost_tumour_is_a_detail_of_the_whole_image() -> None:
    truth, masks = np.zeros((1, 40, 40)), np.zeros((1, 40, 40))
    masks[:, 10:14, 10:14] = 1
    truth[masks > 0] = 0.8
    error = absolute_error(np.zeros_like(truth), truth, masks)
    assert float(error.everywhere[0]) == pytest.approx(0.008)
    assert float(error.in_masks[0]) == pytest.approx(0.8)


def test_half_precision_is_summed_in_double() -> None:
    pseudo, truth = np.ones((1, 300, 300), np.float16), np.zeros((1, 300, 300), np.float16)
    assert absolute_error(pseudo, truth, pseudo).everywhere.tolist() == [1.0]


def test_shapes_must_fit() -> None:
    x = np.zeros((2, 4, 4))
    with pytest.raises(ValueError, match="the same patients in the same order"):
        absolute_error(x, x[:1], x)
