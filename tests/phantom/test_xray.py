"""The film obeys Beer–Lambert, Poisson and geometry."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from medkd_lib.phantom.anatomy import Anatomy, Grid, ellipsoid
from medkd_lib.phantom.tissue import MU_WATER_65KEV, mu_table
from medkd_lib.phantom.xray import (
    burn_marker,
    display,
    expose,
    line_integrals,
    on_detector,
    take_film,
)
from medkd_lib.phantom.xray_settings import HOSPITALS, Positioning, XRaySettings

GRID = Grid((60, 40, 50), (2.0, 3.0, 2.0))
BARE = XRaySettings(photons=1e4, scatter_fraction=0.0, blur_mm=0.0, pixels=64, field_mm=100.0)


def test_slab_and_ball_of_water_against_mu_times_path() -> None:
    slab = np.zeros(GRID.shape, np.float32)
    slab[:, 10:30] = MU_WATER_65KEV  # 20 voxels of 3 mm = 6 cm
    p = line_integrals(slab, GRID.spacing_mm)
    assert p.shape == (50, 60)
    np.testing.assert_allclose(p, MU_WATER_65KEV * 6.0, rtol=1e-5)

    ball = Anatomy(GRID, (ellipsoid(GRID, "ball", "water", (6.0, 0, 10.0), (30, 30, 30)),))
    p = line_integrals(ball.paint(mu_table()), GRID.spacing_mm)
    x, _, z = GRID.coordinates()
    r2 = ((x[:, 0] - 6.0) ** 2 + (z[0] - 10.0) ** 2)[:, ::-1].T
    chord_cm = 2.0 * np.sqrt(np.maximum(900.0 - r2, 0.0)) / 10.0
    # away from the rim the chord of a sphere is met to half a voxel
    inner = r2 < 24.0**2
    np.testing.assert_allclose(
        p[inner], MU_WATER_65KEV * chord_cm[inner], atol=MU_WATER_65KEV * 0.15
    )


def test_patient_left_is_on_the_right_and_head_is_up() -> None:
    mu = np.zeros(GRID.shape, np.float32)
    mu[-5:, :, -5:] = 0.2  # left, upper corner of the patient
    p = line_integrals(mu, GRID.spacing_mm)
    assert np.min(p[:5, -5:]) > 0.0
    assert p.sum() == pytest.approx(p[:5, -5:].sum())


def test_rotation_moves_front_and_back_apart_and_keeps_mass() -> None:
    mu = np.zeros(GRID.shape, np.float32)
    mu[30, 2, 25] = mu[30, 37, 25] = 1.0
    straight = line_integrals(mu, GRID.spacing_mm)
    turned = line_integrals(mu, GRID.spacing_mm, 10.0)
    assert turned.sum() == pytest.approx(straight.sum(), rel=1e-5)
    row = turned[24]
    where = np.flatnonzero(row > 0)
    # tan 10° · 35 planes · 3 mm / 2 mm = 9.26 pixels
    centre_left = (row[:30] * np.arange(30)).sum() / row[:30].sum()
    centre_right = (row[31:] * np.arange(31, 60)).sum() / row[31:].sum()
    assert centre_right - centre_left == pytest.approx(np.tan(np.deg2rad(10)) * 105 / 2, abs=0.05)
    assert len(where) <= 4
    np.testing.assert_allclose(line_integrals(mu, GRID.spacing_mm, 1e-9), straight, atol=1e-6)


def test_detector_keeps_position_and_zooms() -> None:
    p = np.zeros((50, 50), np.float32)
    p[20, 35] = 1.0
    settings = replace(BARE, pixels=50, field_mm=100.0)
    same = on_detector(p, (2.0, 2.0), settings, Positioning())
    np.testing.assert_allclose(same, p, atol=1e-6)
    moved = on_detector(p, (2.0, 2.0), settings, Positioning(shift_mm=(4.0, 6.0)))
    assert np.unravel_index(np.argmax(moved), moved.shape) == (17, 37)  # right 2, up 3 pixels
    zoomed = on_detector(p, (2.0, 2.0), settings, Positioning(zoom=2.0))
    row, column = np.unravel_index(np.argmax(zoomed), zoomed.shape)
    assert abs(row - (24.5 - 2 * 4.5)) <= 1
    assert abs(column - (24.5 + 2 * 10.5)) <= 1


def test_counts_are_poisson_with_beer_lambert_mean() -> None:
    p = np.full((120, 120), 2.0, np.float32)
    counts = expose(p, BARE, np.random.default_rng(1))
    mean = 1e4 * np.exp(-2.0)
    assert counts.mean() == pytest.approx(mean, rel=4 / np.sqrt(mean * p.size))
    assert counts.var() == pytest.approx(counts.mean(), rel=0.06)
    blurred = expose(p, replace(BARE, blur_mm=2.0), np.random.default_rng(1))
    assert blurred.var() < 0.3 * counts.var()
    # on a flat field scatter f adds f/(1 − f) of the primary
    foggy = expose(p, replace(BARE, scatter_fraction=0.5), np.random.default_rng(1))
    assert foggy.mean() == pytest.approx(2.0 * mean, rel=0.01)


def test_scatter_is_a_low_pass_that_lowers_contrast() -> None:
    p = np.full((128, 128), 4.0, np.float32)
    p[:, 64:] = 1.0
    clear = expose(p, replace(BARE, photons=1e7), np.random.default_rng(1))
    foggy = expose(
        p,
        replace(BARE, photons=1e7, scatter_fraction=0.5, scatter_mm=20.0),
        np.random.default_rng(1),
    )

    def contrast(film: np.ndarray) -> float:
        return float(np.log(film[:, 70].mean() / film[:, 57].mean()))

    assert contrast(clear) == pytest.approx(3.0, abs=0.02)
    assert contrast(foggy) < 2.0


def test_display_shows_bone_brighter_than_lung_and_marker_is_an_r() -> None:
    counts = np.full((64, 64), 100.0, np.float32)
    counts[:, 32:] = 1000.0
    film = display(counts, 1e4, BARE, Positioning())
    assert film.dtype == np.uint8
    assert film[:, :30].mean() > film[:, 34:].mean() + 50
    marked = burn_marker(film, 14, (0.1, 0.1))
    assert (marked != film).sum() > 20
    assert not np.shares_memory(marked, film)
    assert burn_marker(film, 0, (0.1, 0.1)) is film
    edge = burn_marker(film, 14, (0.95, 0.95))  # a marker half off the film is no error
    assert edge.shape == film.shape


def test_two_hospitals_show_the_same_patient_differently() -> None:
    ball = Anatomy(GRID, (ellipsoid(GRID, "ball", "water", (0, 0, 0), (40, 40, 40)),))
    mu = ball.paint(mu_table())
    rooms = [
        take_film(mu, GRID.spacing_mm, HOSPITALS[name], Positioning(), np.random.default_rng(0))
        for name in ("hospital_a", "hospital_b")
    ]
    assert rooms[0].shape == rooms[1].shape == (224, 224)
    assert np.abs(rooms[0].astype(float) - rooms[1]).mean() > 3


def test_impossible_rooms_are_refused() -> None:
    with pytest.raises(ValueError, match="scatter_fraction"):
        XRaySettings(scatter_fraction=1.0)
    with pytest.raises(ValueError, match="photons"):
        XRaySettings(photons=0.0)
