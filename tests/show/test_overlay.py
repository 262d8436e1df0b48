"""Colours over grey: nothing where the map is low, the map's colour where it is high."""

import matplotlib as mpl
import numpy as np
import pytest
import torch

from medkd_lib.show.overlay import Heat, blown_up, on_grey

HEAT = Heat(2.0, 6.0)


def test_a_low_map_leaves_the_image_and_a_high_one_colours_it() -> None:
    image = np.array([[-10.0, 0.0, 5.0, 30.0]])
    untouched = on_grey(image, (0.0, 10.0), np.full((1, 4), 2.0), HEAT)
    np.testing.assert_allclose(untouched[0], np.repeat([[0.0], [0.0], [0.5], [1.0]], 3, axis=1))
    hot = on_grey(image, (0.0, 10.0), np.full((1, 4), 9.0), HEAT)
    top = np.array(mpl.colormaps["inferno"](1.0)[:3])
    np.testing.assert_allclose(hot[0, 0], HEAT.strongest * top)
    half = on_grey(image, (0.0, 10.0), np.full((1, 4), 4.0), HEAT)
    middle = np.array(mpl.colormaps["inferno"](0.5)[:3])
    np.testing.assert_allclose(
        half[0, 2], (1 - HEAT.strongest / 2) * 0.5 + HEAT.strongest / 2 * middle
    )
    assert HEAT.bar.get_clim() == (2, 6)


def test_a_map_is_blown_up_between_the_middles_of_its_cells() -> None:
    coarse = torch.zeros(2, 1, 1)
    coarse[1] = 1
    fine = blown_up(coarse, (8, 2, 2))
    np.testing.assert_allclose(fine[:, 0, 0], [0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1])
    assert fine.shape == (8, 2, 2) and (fine == fine[:, :1, :1]).all()


def test_other_grids_and_empty_ranges_are_refused() -> None:
    with pytest.raises(ValueError, match="blown_up"):
        on_grey(np.zeros((4, 4)), (0, 1), np.zeros((2, 2)), HEAT)
    for high in (0.0, float("nan")):
        with pytest.raises(ValueError, match="low < high"):
            Heat(0.0, high)
