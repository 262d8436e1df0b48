"""Low dose as drawn: the pictures given, differences around zero, one line per law."""

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.image import AxesImage

from medkd_lib.show.low_dose import (
    ABDOMEN_WINDOW,
    DosePictures,
    around_body,
    dose_pictures,
    noise_against_path,
)

mpl.use("agg")


def pictures() -> DosePictures:
    rng = np.random.default_rng(0)
    p = np.tile(np.linspace(0, 4, 80), (50, 1))
    hu = rng.normal(0, 60, (30, 40))
    return DosePictures(
        p, p + rng.normal(0, 0.1 * (1 + p)), hu, hu + 5, np.full((30, 40), 7.0), "I0 = 1e4"
    )


def images(axis: mpl.axes.Axes) -> AxesImage:
    return axis.images[0]


def test_before_after_and_difference_of_rays_and_pixels() -> None:
    given = pictures()
    figure = dose_pictures(given)
    axes = [a for a in figure.axes if a.get_title(loc="left")]
    assert len(axes) == 8
    sinogram, measured, noise, rays, full, low, difference, std = axes
    np.testing.assert_array_equal(images(sinogram).get_array(), given.line_integrals)
    assert images(sinogram).get_clim() == images(measured).get_clim()
    assert images(full).get_clim() == images(low).get_clim() == ABDOMEN_WINDOW
    for signed in (noise, difference):
        bottom, top = images(signed).get_clim()
        assert bottom == -top < 0
    np.testing.assert_allclose(np.asarray(images(difference).get_array()), 5.0)
    np.testing.assert_array_equal(images(std).get_array(), given.noise_std)
    heights = np.asarray(rays.lines[0].get_ydata(), float)
    assert rays.get_yscale() == "log" and heights[-1] > 2 * heights[0]
    assert "I0 = 1e4" in measured.get_title(loc="left") and "I0 = 1e4" in low.get_title(loc="left")


def test_a_slice_is_shown_as_far_as_its_body_reaches() -> None:
    hu = np.full((40, 60), -1000.0)
    hu[10:20, 1:50] = 30.0
    assert around_body(hu) == (slice(7, 23), slice(0, 53))
    assert around_body(np.full((5, 6), -1000.0)) == (slice(0, 5), slice(0, 6))
    given = pictures()
    lying = DosePictures(given.line_integrals, given.measured, hu, hu, hu - hu.min(), "10 %")
    below = [a for a in dose_pictures(lying).axes if a.get_title(loc="left")][4:]
    assert {(a.get_xlim(), a.get_ylim()) for a in below} == {((-0.5, 52.5), (22.5, 6.5))}


def test_pictures_of_different_slices_are_refused() -> None:
    p, hu = np.zeros((5, 6)), np.zeros((4, 4))
    for rays, measured, low in ((p, p[1:], hu), (p, p, hu[1:]), (p[0], p[0], hu)):
        with pytest.raises(ValueError, match="two sinograms and three slices"):
            DosePictures(rays, measured, hu, low, hu, "I0")


def test_a_line_per_law_and_dots_of_its_colour() -> None:
    path = np.linspace(5, 35, 7)
    laws = {"photons": np.exp(path / 10), "released": np.sqrt(path)}
    figure = noise_against_path(path, laws, {"photons": ([10, 20], [3, 8])})
    (axis,) = figure.axes
    first, dots, second = axis.lines
    np.testing.assert_array_equal(first.get_ydata(), laws["photons"])
    np.testing.assert_array_equal(second.get_ydata(), laws["released"])
    assert dots.get_color() == first.get_color() != second.get_color()
    assert first.get_linestyle() != second.get_linestyle() and axis.get_yscale() == "log"
    legend = axis.get_legend()
    assert legend is not None and [t.get_text() for t in legend.get_texts()] == list(laws)
    with pytest.raises(ValueError, match="wrong shapes"):
        noise_against_path(path, {"photons": [1.0]})
    with pytest.raises(ValueError, match="dots of"):
        noise_against_path(path, laws, {"nobody": ([1], [1])})
