"""Terciles of tumours: cases without one stay outside."""

import numpy as np

from medkd_lib.evaluate.strata import terciles


def test_each_third_of_the_tumours_gets_its_name() -> None:
    sizes = np.array([0, 10, 20, 30, 40, 50, 60, np.nan])
    assert terciles(sizes).tolist() == [
        "", "small", "small", "middle", "middle", "large", "large", "",
    ]  # fmt: skip


def test_films_without_tumours_have_no_stratum() -> None:
    assert set(terciles(np.zeros(3))) == {""}


def test_a_distance_of_zero_is_the_nearest() -> None:
    away = np.array([0, 0, 5, 10, 20, 40, np.nan])
    assert terciles(away, zero_is_none=False).tolist() == [
        "small", "small", "middle", "middle", "large", "large", "",
    ]  # fmt: skip
