"""Two laws as drawn: the pictures given, on scales that all rows share."""

from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest

from medkd_lib.show.dose_laws import LawPictures, dose_laws
from medkd_lib.show.low_dose import ABDOMEN_WINDOW

mpl.use("agg")


def law(name: str, strength: float) -> LawPictures:
    noise = np.random.default_rng(0).normal(0, strength, (12, 16))
    return LawPictures(name, 40 + noise, noise, np.full((12, 16), strength), strength)


def test_rows_show_what_was_given_on_one_scale() -> None:
    laws = (law("photons", 5.0), law("released", 20.0))
    figure = dose_laws(laws)
    panels = [a for a in figure.axes if a.get_title(loc="left")]
    assert len(panels) == 6
    for given, row in zip(laws, (panels[:3], panels[3:]), strict=True):
        for axis, expected in zip(row, (given.low, given.noise, given.std), strict=True):
            np.testing.assert_array_equal(axis.images[0].get_array(), np.asarray(expected))
        assert row[0].get_title(loc="left").startswith(given.law)
        assert f"{given.noise_hu:.0f} HU" in row[2].get_title(loc="left")
    assert panels[0].images[0].get_clim() == panels[3].images[0].get_clim() == ABDOMEN_WINDOW
    low, high = panels[1].images[0].get_clim()
    assert (low, high) == panels[4].images[0].get_clim() and low == -high
    assert panels[2].images[0].get_clim() == panels[5].images[0].get_clim() == (0.0, 20.0)


def test_pictures_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(ValueError, match="slices of one shape"):
        replace(law("photons", 1.0), std=np.zeros((3, 3)))
    with pytest.raises(ValueError, match="one law or more"):
        dose_laws(())
