"""PET images have the resolution, the noise and the uptake that the protocol promises."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import erf, ive

from medkd_lib.phantom.anatomy import Anatomy, FloatArray, Grid, Layer, ellipsoid
from medkd_lib.phantom.blur import FWHM_PER_SIGMA, blur, noise_power
from medkd_lib.phantom.pet import HALF_LIFE_MIN, LIVER_SUV, PETSettings, decay, scan_pet, suv
from medkd_lib.phantom.tissue_mr import mr_table
from medkd_lib.phantom.tissue_pet import SARCOMA_SUV_BY_GRADE, TISSUES_PET, suv_table

GRID = Grid((41, 41, 41), (1.0, 1.0, 1.0))
QUIET = PETSettings(liver_noise=0.0)


def filled(tissue: str, grid: Grid) -> Anatomy:
    """Draw a block of one tissue."""
    everywhere = np.ones(grid.shape, np.float32)
    return Anatomy(grid, (Layer("all", tissue, grid.everything, everywhere),))


def ball(diameter_mm: float, grid: Grid = GRID) -> Anatomy:
    """Draw a sphere in air."""
    radius = diameter_mm / 2
    return Anatomy(grid, (ellipsoid(grid, "ball", "liver", (0, 0, 0), (radius, radius, radius)),))


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.04, 2.04, 3.0), (4.07, 4.07, 2.0)])
def test_blur_is_exact_on_any_voxel(spacing: tuple[float, float, float]) -> None:
    impulse = np.zeros((41, 41, 41), np.float32)
    impulse[20, 20, 20] = 1.0
    spread = blur(impulse, 4.5, spacing)
    assert np.min(spread) >= 0.0 and spread.sum() == pytest.approx(1.0, abs=1e-5)
    place = np.arange(41) - 20
    for axis, size in enumerate(spacing):
        profile = spread.sum(axis=tuple(a for a in range(3) if a != axis))
        variance = (profile * place**2).sum() * size**2
        assert np.sqrt(variance) * FWHM_PER_SIGMA == pytest.approx(4.5, rel=1e-3)
    assert noise_power(4.5, spacing) == pytest.approx(float((spread**2).sum()), rel=1e-3)
    assert blur(impulse, 0.0, spacing) is impulse and noise_power(0.0, spacing) == 1.0


@pytest.mark.parametrize(
    ("diameter", "published"), [(5, 0.16), (8, 0.45), (10, 0.65), (13, 0.86), (17, 0.98)]
)
def test_peak_recovery_of_spheres(diameter: float, published: float) -> None:
    settings = PETSettings(4.5, float(np.sqrt(6.5**2 - 4.5**2)), 0.0)  # together 6.5 mm
    image = scan_pet(ball(diameter), {"air": 0.0, "liver": 1.0}, settings, np.random.default_rng(0))
    assert image.suv[20, 20, 20] == pytest.approx(published, abs=0.05)
    # closed form: erf(R/√2σ) − √(2/π) (R/σ) e^(−R²/2σ²)
    r = diameter / 2 / (6.5 / FWHM_PER_SIGMA)
    exact = erf(r / np.sqrt(2)) - np.sqrt(2 / np.pi) * r * np.exp(-(r**2) / 2)
    assert image.suv[20, 20, 20] == pytest.approx(exact, abs=0.03)
    clinical = scan_pet(ball(diameter), {"air": 0, "liver": 1}, QUIET, np.random.default_rng(0))
    assert clinical.suv[20, 20, 20] == pytest.approx(published, abs=0.05)  # 6.7 mm


@pytest.mark.parametrize(
    ("shape", "spacing"),
    [
        ((64, 64, 64), (1.0, 1.0, 1.5)),
        ((64, 64, 48), (2.04, 2.04, 3.0)),
        ((40, 40, 40), (4.07, 4.07, 3.0)),
    ],
)
@pytest.mark.parametrize("noise", [0.115, 0.09])
def test_liver_has_its_noise_on_any_voxel(
    shape: tuple[int, int, int], spacing: tuple[float, float, float], noise: float
) -> None:
    settings = PETSettings(liver_noise=noise)
    table = suv_table("fdg")
    anatomy = filled("liver", Grid(shape, spacing))
    liver = scan_pet(anatomy, table, settings, np.random.default_rng(4)).suv[6:-6, 6:-6, 6:-6]
    assert liver.dtype == np.float32
    assert liver.mean() == pytest.approx(LIVER_SUV, rel=0.02)
    assert liver.std() / liver.mean() == pytest.approx(noise, rel=0.1)
    # correlated over about the filter's width: e^(−Δ²/4σ²) on fine voxels, here for any
    neighbours = np.mean((liver[1:] - liver.mean()) * (liver[:-1] - liver.mean())) / liver.var()
    twice = 2.0 * (5.0 / FWHM_PER_SIGMA / spacing[0]) ** 2
    assert neighbours == pytest.approx(ive(1, twice) / ive(0, twice), abs=0.05)
    # Poisson: four times the uptake, half the relative noise
    hot = scan_pet(anatomy, table | {"liver": 4 * LIVER_SUV}, settings, np.random.default_rng(5))
    inner = hot.suv[6:-6, 6:-6, 6:-6]
    assert inner.std() / inner.mean() == pytest.approx(noise / 2, rel=0.1)


def test_activity_is_conserved() -> None:
    grid = Grid((40, 36, 30), (4.0, 4.0, 3.0))
    anatomy = Anatomy(
        grid,
        (
            ellipsoid(grid, "thigh", "muscle", (0, 0, 0), (60, 60, 400)),  # leaves the grid
            ellipsoid(grid, "tumour", "sarcoma", (10, 0, 0), (25, 25, 30)),
        ),
    )
    table = suv_table("fdg")
    true = anatomy.paint(table)
    clean = scan_pet(anatomy, table, QUIET, np.random.default_rng(0)).suv
    assert clean.sum(dtype=np.float64) == pytest.approx(true.sum(dtype=np.float64), rel=1e-5)
    noisy = scan_pet(anatomy, table, PETSettings(), np.random.default_rng(0)).suv
    assert np.min(noisy) >= 0.0
    assert noisy.mean() == pytest.approx(true.mean(), rel=0.01)
    assert np.max(clean) == pytest.approx(SARCOMA_SUV_BY_GRADE[2], rel=0.02)


def test_extra_uptake_makes_a_tumour_uneven() -> None:
    extra: FloatArray = np.zeros(GRID.shape, np.float32)
    extra[:20] = 4.0
    table = suv_table("fdg")
    liver = filled("liver", GRID)
    image = scan_pet(liver, table, QUIET, np.random.default_rng(0), extra=extra).suv
    assert image[2, 20, 20] == pytest.approx(5.85, rel=1e-3)
    assert image[-3, 20, 20] == pytest.approx(1.85, rel=1e-3)
    cold = scan_pet(liver, table, QUIET, np.random.default_rng(0), extra=-extra / 4).suv
    assert cold[2, 20, 20] == pytest.approx(0.85, rel=1e-3)
    with pytest.raises(ValueError, match="0 or more everywhere"):
        scan_pet(liver, table, QUIET, np.random.default_rng(0), extra=-extra)
    with pytest.raises(ValueError, match="grid's shape"):
        scan_pet(liver, table, QUIET, np.random.default_rng(0), extra=extra[1:])


def test_uptake_lies_in_its_ranges_and_names_its_source() -> None:
    fdg, acetate = suv_table("fdg"), suv_table("acetate")
    assert fdg["grey_matter"] == 4.0 * fdg["white_matter"]
    assert 1.42 <= fdg["liver"] <= 2.28 and 6.0 <= fdg["grey_matter"] <= 10.0
    assert (fdg["muscle"], fdg["adipose"]) == (0.6, 0.3)
    assert fdg["sarcoma_necrosis"] < fdg["muscle"] < fdg["sarcoma"]
    assert acetate["spleen"] > acetate["liver"] > fdg["liver"] > fdg["spleen"]
    assert acetate["grey_matter"] < fdg["grey_matter"]
    assert [SARCOMA_SUV_BY_GRADE[g] for g in (1, 2, 3)] == [3.0, 7.0, 11.0]
    known = set(mr_table())
    for tracer, table in TISSUES_PET.items():
        assert all(t.source and t.suv >= 0.0 for t in table.values()), tracer
        assert set(table) - {"water", "vertebra"} <= known, tracer
    # a limb with its sarcoma and a torso can be scanned as they are
    limb = {"air", "skin", "adipose", "muscle", "cortical_bone", "marrow", "blood"}
    sarcoma = {"sarcoma", "sarcoma_myxoid", "sarcoma_necrosis"}
    assert limb | sarcoma | {"liver", "spleen", "lung"} <= set(fdg)
    assert limb | {"liver", "spleen", "lung"} <= set(acetate)
    with pytest.raises(ValueError, match="tracer"):
        suv_table("psma")  # type: ignore[arg-type]


def test_decay_and_suv_meet_the_published_numbers() -> None:
    assert decay(HALF_LIFE_MIN["fdg"], 60) == pytest.approx(0.685, abs=5e-4)
    assert decay(HALF_LIFE_MIN["acetate"], 10) == pytest.approx(0.711, abs=5e-4)
    assert decay(HALF_LIFE_MIN["acetate"], 20) == pytest.approx(0.506, abs=5e-4)
    for tracer, per_second in (("fdg", 1.0524e-4), ("acetate", 5.674e-4)):
        assert np.log(2) / HALF_LIFE_MIN[tracer] / 60 == pytest.approx(per_second, rel=2e-4)
    # activity spread evenly through 1 g/mL of body has SUV 1 at any time
    left = 3e8 * decay(109.77, 60.0)
    even = suv(np.array([left / 70_000.0]), 70.0, 3e8, 109.77, 60.0)
    np.testing.assert_allclose(even, 1.0)
    with pytest.raises(ValueError, match="weight_kg"):
        suv(1.0, 0.0, 3e8, 109.77, 60.0)
    with pytest.raises(ValueError, match="half_life_min"):
        decay(0.0, 10.0)


def test_same_seed_same_bytes_and_errors_help() -> None:
    anatomy, table = ball(17), suv_table("fdg")
    one, again, other = (
        scan_pet(anatomy, table, PETSettings(), np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert one.suv.tobytes() == again.suv.tobytes() != other.suv.tobytes()
    assert one.spacing_mm == GRID.spacing_mm
    np.testing.assert_array_equal(one.affine, GRID.affine)
    with pytest.raises(KeyError, match=r"no uptake for \['tumour'\]"):
        scan_pet(filled("tumour", GRID), table, PETSettings(), np.random.default_rng(0))
    with pytest.raises(ValueError, match="liver_noise"):
        PETSettings(liver_noise=-0.1)
    with pytest.raises(ValueError, match="tracer"):
        PETSettings(tracer="choline")  # type: ignore[arg-type]
