"""MR images have the contrast, the noise and the shading that the protocol promises."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from medkd_lib.phantom.anatomy import Anatomy, Grid, Layer, ellipsoid
from medkd_lib.phantom.mr import PROTOCOLS, MRSettings, adc_map, magnetisation, signal
from medkd_lib.phantom.mr_scan import bias_field, rician, scan_mr
from medkd_lib.phantom.tissue_mr import mr_table

GRID = Grid((44, 52, 40), (4.0, 4.0, 4.0))
HEAD = Anatomy(
    GRID,
    (
        ellipsoid(GRID, "fluid", "csf", (0, 0, 0), (70, 85, 65)),
        ellipsoid(GRID, "white", "white_matter", (0, 0, 0), (60, 75, 55)),
        ellipsoid(GRID, "tumour", "tumour", (20, 10, 0), (20, 20, 20)),
    ),
)
TISSUES = mr_table(3.0)
CLEAN = {"noise": 0.0, "bias": 0.0}


def core(tissue: str) -> np.ndarray:
    """Voxels that hold one tissue alone."""
    return HEAD.fraction(tissue) > 0.999


def filled(tissue: str, shape: tuple[int, int, int] = (40, 40, 40)) -> Anatomy:
    """Draw a block of one tissue."""
    grid = Grid(shape, (2.0, 2.0, 2.0))
    return Anatomy(grid, (Layer("all", tissue, grid.everything, np.ones(shape, np.float32)),))


def test_clean_scan_shows_the_equations_and_mixes_with_sign() -> None:
    settings = replace(PROTOCOLS["t1c"], **CLEAN)  # type: ignore[arg-type]
    agent = {"tumour": 0.5}
    scan = scan_mr(HEAD, TISSUES, settings, np.random.default_rng(0), gd_mm=agent)
    assert scan.signal.dtype == np.float32 and scan.spacing_mm == GRID.spacing_mm
    np.testing.assert_array_equal(scan.affine, GRID.affine)
    white = signal(TISSUES["white_matter"], settings)
    for name in ("white_matter", "csf", "tumour"):
        expected = 1000.0 * signal(TISSUES[name], settings, agent.get(name, 0.0)) / white
        np.testing.assert_allclose(scan.signal[core(name)], expected, rtol=1e-4)
    assert np.all(scan.signal[HEAD.fraction("air") == 1.0] == 0.0)


def test_tissues_of_opposite_sign_cancel_in_a_shared_voxel() -> None:
    settings = MRSettings("ir", "inversion_recovery", 9000, 10, ti_ms=900, noise=0.0, bias=0.0)
    csf, white = (magnetisation(TISSUES[n], settings) for n in ("csf", "white_matter"))
    assert csf < 0.0 < white  # CSF is still inverted
    fluid = filled("csf")
    share = -csf / (white - csf)  # of white matter, to balance
    half = Layer("half", "white_matter", fluid.grid.everything, np.full((40, 40, 40), share))
    mixed = Anatomy(fluid.grid, (*fluid.layers, half))
    image = scan_mr(mixed, TISSUES, settings, np.random.default_rng(0)).signal
    assert np.max(image) < 0.1
    pure = scan_mr(fluid, TISSUES, settings, np.random.default_rng(0)).signal
    np.testing.assert_allclose(pure, -1000.0 * csf / white, rtol=1e-5)


@pytest.mark.parametrize("ratio", [0.0, 0.7, 2.0, 30.0])
def test_noise_is_rician(ratio: float) -> None:
    sigma = 25.0
    noisy = rician(
        np.full((50, 40, 30), ratio * sigma, np.float32), sigma, np.random.default_rng(8)
    )
    law = stats.rice(ratio, scale=sigma) if ratio else stats.rayleigh(scale=sigma)
    assert noisy.dtype == np.float32
    assert noisy.mean() == pytest.approx(law.mean(), rel=0.01)
    assert noisy.std() == pytest.approx(law.std(), rel=0.02)
    assert stats.kstest(noisy.ravel(), law.cdf).pvalue > 1e-3
    if ratio == 0.0:
        assert noisy.mean() == pytest.approx(sigma * np.sqrt(np.pi / 2), rel=0.01)
        assert noisy.std() == pytest.approx(sigma * np.sqrt(2 - np.pi / 2), rel=0.02)
    if ratio == 30.0:  # Gaussian
        assert noisy.std() == pytest.approx(sigma, rel=0.02)
        assert abs(stats.skew(noisy.ravel())) < 0.05


def test_noise_level_is_a_share_of_the_reference_tissue() -> None:
    settings = replace(PROTOCOLS["t2w"], noise=0.05, bias=0.0)
    scan = scan_mr(HEAD, TISSUES, settings, np.random.default_rng(1))
    assert scan.signal[core("white_matter")].std() == pytest.approx(50.0, rel=0.05)
    outside = scan.signal[HEAD.fraction("air") == 1.0]
    assert outside.mean() == pytest.approx(50.0 * np.sqrt(np.pi / 2), rel=0.02)
    # b 1000 is weaker, its noise is not: the reference is the b 0 signal
    weak = replace(PROTOCOLS["dwi_b1000"], noise=0.05)
    trace = scan_mr(HEAD, TISSUES, weak, np.random.default_rng(1), gain=200.0).signal
    white = core("white_matter")
    assert trace[white].mean() == pytest.approx(200.0 * np.exp(-0.84), rel=0.02)
    assert trace[white].std() == pytest.approx(10.0, rel=0.06)


def test_outside_stays_black_on_request_but_silent_tissue_is_noisy() -> None:
    quiet = scan_mr(
        HEAD, TISSUES, PROTOCOLS["t2f"], np.random.default_rng(2), noise_outside=False
    ).signal
    air = HEAD.fraction("air") == 1.0
    assert air.any() and np.all(quiet[air] == 0.0) and np.all(quiet[~air] > 0.0)
    # bone has no signal at TE 120 ms and noise all the same
    bone = scan_mr(
        filled("cortical_bone"),
        TISSUES,
        replace(PROTOCOLS["t2f"], bias=0.0),
        np.random.default_rng(2),
        noise_outside=False,
    ).signal
    assert bone.mean() == pytest.approx(30.0 * np.sqrt(np.pi / 2), rel=0.02)


def test_bias_spans_its_range_over_the_body_and_is_smooth() -> None:
    body = HEAD.fraction("air") < 1.0
    for strength in (0.2, 0.4):
        field = bias_field(GRID.shape, strength, np.random.default_rng(3), body)
        assert field.dtype == np.float32
        assert np.min(field[body]) == pytest.approx(1 - strength / 2, abs=1e-5)
        assert np.max(field[body]) == pytest.approx(1 + strength / 2, abs=1e-5)
        assert np.min(field) >= 1 - strength / 2 and np.max(field) <= 1 + strength / 2
        # neighbours, 4 mm apart, differ by far less than the range
        assert max(np.abs(np.diff(field, axis=a)).max() for a in range(3)) < 0.25 * strength
    whole = bias_field(GRID.shape, 0.2, np.random.default_rng(3))
    assert (np.min(whole), np.max(whole)) == (pytest.approx(0.9), pytest.approx(1.1))
    assert np.all(bias_field(GRID.shape, 0.0, np.random.default_rng(3)) == 1.0)
    settings = replace(PROTOCOLS["t2w"], noise=0.0, bias=0.4)
    shaded = scan_mr(filled("white_matter"), TISSUES, settings, np.random.default_rng(4)).signal
    assert (np.min(shaded), np.max(shaded)) == (pytest.approx(800.0), pytest.approx(1200.0))


def test_a_shared_bias_cancels_in_the_adc() -> None:
    field = bias_field((40, 40, 40), 0.4, np.random.default_rng(5))
    images = [
        scan_mr(
            filled("white_matter"),
            TISSUES,
            replace(PROTOCOLS[name], noise=0.0),
            np.random.default_rng(6),
            bias=field,
        ).signal
        for name in ("dwi_b0", "dwi_b1000")
    ]
    assert images[0].std() > 30.0
    np.testing.assert_allclose(adc_map(images[0], images[1], 1000.0), 0.84, rtol=1e-4)


def test_adc_is_right_at_low_noise_and_reads_low_at_the_noise_floor() -> None:
    def adc(tissue: str, noise: float) -> float:
        rng = np.random.default_rng(7)
        b0, b1000 = (
            scan_mr(filled(tissue), TISSUES, replace(PROTOCOLS[n], noise=noise), rng).signal
            for n in ("dwi_b0", "dwi_b1000")
        )
        return float(np.median(adc_map(b0, b1000, 1000.0)))

    for tissue, true in (("white_matter", 0.84), ("csf", 3.0), ("infarct", 0.627)):
        assert adc(tissue, 0.005) == pytest.approx(true, rel=0.01)
    # CSF at b 1000 keeps 5 % of its signal: noise of 20 % of white matter is a floor under it
    assert adc("csf", 0.2) < 2.8
    assert adc("white_matter", 0.02) == pytest.approx(0.84, rel=0.02)


def test_same_seed_same_bytes_other_seed_other_bytes() -> None:
    one, again, other = (
        scan_mr(HEAD, TISSUES, PROTOCOLS["t1n"], np.random.default_rng(seed)).signal
        for seed in (9, 9, 10)
    )
    assert one.tobytes() == again.tobytes() != other.tobytes()


def test_errors_say_what_is_missing() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(KeyError, match="tumuor"):
        scan_mr(HEAD, TISSUES, PROTOCOLS["t1c"], rng, gd_mm={"tumuor": 0.5})
    few = {name: TISSUES[name] for name in ("air", "white_matter", "csf")}
    with pytest.raises(KeyError, match=r"\['tumour'\]"):
        scan_mr(HEAD, few, PROTOCOLS["t1c"], rng)
    with pytest.raises(ValueError, match="grid's shape"):
        scan_mr(HEAD, TISSUES, PROTOCOLS["t1c"], rng, bias=np.ones((2, 2, 2), np.float32))
    with pytest.raises(ValueError, match="strength"):
        bias_field((4, 4, 4), -0.1, rng)
    with pytest.raises(ValueError, match="sigma"):
        rician(np.zeros(3, np.float32), -1.0, rng)
    limb = MRSettings("limb", "spin_echo", 500, 8, reference="muscle", noise=0.0, bias=0.0)
    assert np.all(scan_mr(filled("muscle"), TISSUES, limb, rng).signal == np.float32(1000.0))
