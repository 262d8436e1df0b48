"""CT numbers land on their tissues; noise has the level and the colour asked for."""

from __future__ import annotations

import numpy as np
import pytest

from medkd_lib.phantom.anatomy import Anatomy, Grid, Layer, ellipsoid
from medkd_lib.phantom.ct import CTSettings, correlated_noise, noise_sigma_hu, scan_ct
from medkd_lib.phantom.thigh_grid import PlacedGrid
from medkd_lib.phantom.tissue import TISSUES, hu_table, hu_to_mu, mu_table, mu_to_hu, opacity_hu
from medkd_lib.phantom.tubes import polyline, tube_layer

SMALL = Grid((40, 24, 30), (3.0, 4.0, 3.0))


def test_every_tissue_names_its_source_and_hu_agrees_with_mu() -> None:
    for name, tissue in TISSUES.items():
        assert tissue.source, name
        # tables come from different energies (120 kV and 65 keV): soft tissue agrees within 10 HU
        if name not in ("cortical_bone", "vertebra"):
            assert mu_to_hu(tissue.mu_65kev) == pytest.approx(tissue.hu, abs=10), name
    assert hu_to_mu(mu_to_hu(0.2074)) == pytest.approx(0.2074)
    assert hu_to_mu(-1200.0) == 0.0


def test_opacity_hu_meets_the_clinical_ranges() -> None:
    assert opacity_hu(0.28, -850.0) == pytest.approx(-604, abs=1)
    assert opacity_hu(1.0, -850.0) == TISSUES["exudate"].hu
    with pytest.raises(ValueError, match="fraction between 0 and 1"):
        opacity_hu(28, -850.0)


def test_fractions_add_up_to_one_and_mix_linearly() -> None:
    layers = (
        ellipsoid(SMALL, "body", "muscle", (0, 0, 0), (45, 40, 38)),
        ellipsoid(SMALL, "lung", "lung", (5, 0, 0), (25, 20, 30), 20.0),
    )
    anatomy = Anatomy(SMALL, layers)
    fractions = {t: anatomy.fraction(t) for t in ("air", "muscle", "lung")}
    np.testing.assert_allclose(sum(fractions.values()), 1.0, atol=1e-5)
    hu = hu_table()
    mixed = sum(f * np.float32(hu[t]) for t, f in fractions.items())
    np.testing.assert_allclose(anatomy.paint(hu), mixed, atol=0.01)
    assert ((fractions["lung"] > 0) & (fractions["lung"] < 1)).sum() > 0  # soft edges exist
    with pytest.raises(KeyError, match="lung"):
        anatomy.paint({"air": 0.0, "muscle": 1.0})


def test_a_tube_lies_where_it_is_wherever_the_grid_begins() -> None:
    rod = polyline(np.array([[10.0, -20.0, -15.0], [10.0, -20.0, 15.0]]), 5.0)
    for grid in (SMALL, PlacedGrid((30, 20, 24), (2.0, 3.0, 2.5), (-21.0, -50.0, -30.0))):
        layer = tube_layer("rod", "blood", rod, grid)
        where = np.broadcast_arrays(*grid.coordinates(layer.box))
        middle = [float((layer.membership * axis).sum() / layer.membership.sum()) for axis in where]
        np.testing.assert_allclose(middle, (10.0, -20.0, 0.0), atol=0.05)


def test_ellipsoid_and_tube_have_their_volume() -> None:
    ball = ellipsoid(SMALL, "ball", "water", (1, 2, -3), (24, 24, 24))
    expected = 4 / 3 * np.pi * 2.4**3
    assert float(ball.membership.sum()) * SMALL.voxel_ml == pytest.approx(expected, rel=0.02)
    rod = polyline(np.array([[-30.0, -5.0, -20.0], [30.0, 10.0, 20.0]]), 1.5)
    layer = tube_layer("rod", "blood", rod, SMALL)
    assert float(layer.membership.sum()) * SMALL.voxel_ml == pytest.approx(rod.volume_ml, rel=1e-4)
    outside = polyline(np.array([[500.0, 0.0, 0.0], [600.0, 0.0, 0.0]]), 1.5)
    assert tube_layer("rod", "blood", outside, SMALL).membership.size == 0


def test_affine_maps_the_first_voxel_to_right_anterior_inferior() -> None:
    # index grows to the Left, Posterior, Superior; the affine speaks RAS+
    first = SMALL.affine @ [0, 0, 0, 1]
    np.testing.assert_allclose(first[:3], [58.5, 46.0, -43.5])
    step = SMALL.affine @ [1, 1, 1, 1] - first
    np.testing.assert_allclose(step[:3], [-3.0, -4.0, 3.0])


@pytest.mark.parametrize("kernel", ["soft", "standard", "sharp"])
def test_noise_has_its_sigma_is_correlated_and_zero_at_dc(kernel: str) -> None:
    rng = np.random.default_rng(3)
    shape = (64, 48, 40)
    noise = correlated_noise(shape, (1.0, 1.5, 3.0), kernel, 20.0, rng)  # type: ignore[arg-type]
    assert noise.dtype == np.float32
    assert noise.std() == pytest.approx(20.0, rel=0.03)
    # zero at DC, slice by slice: far below the 20/sqrt(64·48) = 0.36 HU of white noise
    assert np.abs(noise.mean(axis=(0, 1))).max() < 1e-3
    # power rises from DC (white noise: the same everywhere)
    power = (np.abs(np.fft.fft2(noise, axes=(0, 1))) ** 2).mean(axis=2)
    assert power[1, 0] < 0.5 * np.max(power)
    if kernel == "soft":
        neighbours = np.mean(noise[1:] * noise[:-1]) / noise.var()
        assert neighbours > 0.2  # white noise: 0 ± 0.003
    slices = np.mean(noise[:, :, 1:] * noise[:, :, :-1]) / noise.var()
    assert abs(slices) < 0.02


def test_noise_level_follows_the_measured_dose_series() -> None:
    # §2.5: 37.5 / 46.6 / 60.2 / 80.0 HU at 100 / 55 / 40 / 25 % dose
    for dose, measured in ((1.0, 37.5), (0.55, 46.6), (0.40, 60.2), (0.25, 80.0)):
        # the measured 55 % lies 8 % under 37.5/√0.55 already
        assert noise_sigma_hu(CTSettings(dose=dose)) == pytest.approx(measured, rel=0.12)
    assert noise_sigma_hu(CTSettings(sigma_hu=5.0)) == 5.0


def test_scan_is_true_without_noise_and_noisy_with_it() -> None:
    layer = Layer("all", "muscle", SMALL.everything, np.ones(SMALL.shape, np.float32))
    anatomy = Anatomy(SMALL, (layer,))
    rng = np.random.default_rng(0)
    true = scan_ct(anatomy, hu_table(), CTSettings(sigma_hu=0.0, texture_hu=0.0), rng)
    assert np.all(true.hu == np.float32(43.0))
    textured = scan_ct(anatomy, hu_table(), CTSettings(sigma_hu=0.0, texture_hu=4.0), rng)
    assert textured.hu.std() == pytest.approx(4.0 * 1.043, rel=0.15)
    scan = scan_ct(anatomy, hu_table(), CTSettings(sigma_hu=12.0, texture_hu=0.0), rng)
    assert scan.hu.std() == pytest.approx(12.0, rel=0.05)
    assert scan.stored().dtype == np.int16
    assert set(mu_table()) == set(hu_table())


def test_impossible_protocols_are_refused() -> None:
    with pytest.raises(ValueError, match="dose"):
        CTSettings(dose=0.0)
    with pytest.raises(ValueError, match="kernel"):
        CTSettings(kernel="bone")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="sigma_hu"):
        CTSettings(sigma_hu=-1.0)
