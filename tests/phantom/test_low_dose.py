"""Noise of a low dose: its law on rays, its level in the image, the fast way, the released law."""

import math
from dataclasses import replace

import pytest
import torch

from medkd_lib.phantom.ct import Kernel
from medkd_lib.phantom.low_dose import (
    ABDOMEN_PHOTONS,
    LowDose,
    added_variance,
    attenuation,
    measure,
    scan_low_dose,
)
from medkd_lib.phantom.low_dose_fast import add_fast_noise, log_variance, noise_std
from medkd_lib.phantom.low_dose_released import released_low_dose, released_projection_std
from medkd_lib.phantom.parallel_beam import ParallelBeam, project
from medkd_lib.phantom.tissue import MU_WATER_65KEV

PIXEL_MM = 5.0
SIDE = 72
# Half axes of an abdomen in mm, and places in it (right of the middle, below it).
HALF_AXES = (161.0, 112.0)
PLACES = {
    "centre": (2.5, 2.5), "flank": (90.0, 2.5), "far flank": (135.0, 2.5),
    "front": (2.5, 70.0), "far front": (2.5, 95.0), "oblique": (80.0, 60.0),
}  # fmt: skip


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def offsets() -> tuple[torch.Tensor, torch.Tensor]:
    u = (torch.arange(SIDE) - (SIDE - 1) / 2) * PIXEL_MM
    return u.expand(SIDE, SIDE), u[:, None].expand(SIDE, SIDE)


def abdomen(batch: int) -> torch.Tensor:
    """Water in an ellipse, −1000 HU around it."""
    x, y = offsets()
    inside = (x / HALF_AXES[0]) ** 2 + (y / HALF_AXES[1]) ** 2 < 1
    return torch.where(inside, 0.0, -1000.0).expand(batch, SIDE, SIDE).clone()


def level(noise: torch.Tensor, place: str) -> float:
    """Standard deviation at a place and its three mirror images."""
    x, y = offsets()
    at = PLACES[place]
    near = ((x.abs() - at[0]).abs() < 6.0) & ((y.abs() - at[1]).abs() < 6.0)
    return math.sqrt(float(noise[:, near].square().mean() - noise[:, near].mean(0).square().mean()))


@pytest.mark.parametrize("photons", [1e6, 1e5, 2e4])
@pytest.mark.parametrize("path_cm", [5.0, 15.0, 25.0])
@pytest.mark.parametrize("electronic", [0.0, 10.0])
def test_variance_grows_exponentially_with_the_path(
    photons: float, path_cm: float, electronic: float
) -> None:
    """Var(p̂) ≈ e^p/I0 + σe² e^(2p)/I0², within 10 %, where a ray is not starved."""
    p = MU_WATER_65KEV * path_cm
    counts = photons * math.exp(-p)
    dose = LowDose(photons, electronic)
    drawn = measure(torch.full((200_000,), p), dose, generator())
    expected = math.exp(p) / photons + electronic**2 * math.exp(2 * p) / photons**2
    assert counts > 8 * electronic  # otherwise the first order does not hold
    assert float(drawn.var()) == pytest.approx(expected, rel=0.1)
    assert float(added_variance(torch.tensor(p), dose)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("counts", [0.3, 3.0, 30.0, 300.0, 3000.0])
@pytest.mark.parametrize("electronic", [0.0, 10.0])
@pytest.mark.parametrize("source", [None, 4.0])
def test_the_exact_variance_holds_for_starved_rays(
    counts: float, electronic: float, source: float | None
) -> None:
    dose = LowDose(1e4, electronic, None if source is None else source * 1e4)
    p = torch.full((100_000,), math.log(1e4 / counts))
    drawn = measure(p, dose, generator())
    assert bool(torch.isfinite(drawn).all())
    assert float(log_variance(p[0], dose)) == pytest.approx(float(drawn.var()), rel=0.04)


@pytest.mark.parametrize("photons", [1e5, 1e4])
def test_only_the_missing_noise_is_added(photons: float) -> None:
    """Noise of the source and what is added make the noise of the dose, for counts and starved."""
    p = torch.full((200_000,), MU_WATER_65KEV * 20.0)
    source = LowDose(4e5)
    first = measure(p, source, generator())
    again = measure(first, LowDose(photons, source_photons=4e5), generator(1))
    straight = measure(p, LowDose(photons), generator(2))
    assert float(again.var()) == pytest.approx(float(straight.var()), rel=0.03)
    assert float(again.mean()) == pytest.approx(float(straight.mean()), abs=0.003)
    # and less than if the source were taken for noiseless
    twice = measure(first, LowDose(photons), generator(1))
    assert float(twice.var()) > float(straight.var()) * (1 + 0.5 * photons / 4e5)


def test_a_dose_hardly_below_the_source_adds_hardly_anything() -> None:
    p = torch.full((50_000,), 4.0)
    near = measure(p, LowDose(0.99e5, source_photons=1e5), generator())
    whole = measure(p, LowDose(0.99e5), generator())
    assert float(near.std()) < 0.2 * float(whole.std())


def test_noise_of_a_water_cylinder_against_the_dossier() -> None:
    """§2.4: 30 cm of water, 900 views, 0.7 mm, I0 1e5 and σe 10 give 38 HU (Hann)."""
    side, pixel = 220, 1.4
    u = (torch.arange(side) - (side - 1) / 2) * pixel
    hu = torch.where(torch.hypot(u[:, None], u) < 150.0, 0.0, -1000.0)[None]
    # σ² ∝ 1/(V Δ²): twice the pixel and a quarter of the views are as noisy per pixel
    scan = scan_low_dose(hu, pixel, LowDose(1e5, views=225), generator())
    centre = slice(side // 2 - 20, side // 2 + 20)
    assert float((scan.hu - hu)[0, centre, centre].std()) == pytest.approx(38.0, rel=0.12)


@pytest.mark.parametrize(
    ("photons", "kernel", "source"),
    [
        (1e6, "standard", None), (1e5, "standard", None), (1e4, "standard", None),
        (1e3, "standard", None), (1e5, "soft", None), (1e5, "standard", 2e5),
    ],
)  # fmt: skip
def test_fast_noise_has_the_level_of_the_sinogram(
    photons: float, kernel: Kernel, source: float | None
) -> None:
    """Within 10 % in six places of an abdomen, from quiet to starved."""
    hu = abdomen(192)
    dose = LowDose(photons, source_photons=source, views=112, kernel=kernel)
    slow = scan_low_dose(hu, PIXEL_MM, dose, generator(3)).hu - hu
    fast = add_fast_noise(hu, PIXEL_MM, dose, generator(4)) - hu
    levels = {place: (level(fast, place), level(slow, place)) for place in PLACES}
    ratios = {place: mine / theirs for place, (mine, theirs) in levels.items()}
    assert all(0.9 < ratio < 1.1 for ratio in ratios.values()), ratios
    if photons > 1e3:  # in the dark, the floor makes all rays alike
        assert levels["centre"][1] > 1.4 * levels["far front"][1]


def test_fast_noise_has_the_colour_of_the_sinogram() -> None:
    """Correlation at one, two and three pixels, mean of both directions: streaks are left out."""
    hu, dose = abdomen(64), LowDose(1e5, views=112)
    slow = scan_low_dose(hu, PIXEL_MM, dose, generator()).hu - hu
    fast = add_fast_noise(hu, PIXEL_MM, dose, generator(1)) - hu
    found = []
    for noise in (slow, fast):
        middle = noise[:, 26:46, 26:46]
        found.append(
            [
                float((middle.roll(-lag, axis) * middle).narrow(axis, 0, 20 - lag).mean())
                / float(middle.square().mean())
                for lag in (1, 2, 3)
                for axis in (1, 2)
            ]
        )
        # and hardly any of it is a shift of the whole region
        assert float(middle.mean((1, 2)).std()) < 0.1 * float(middle.std())
    for lag in range(3):
        theirs, mine = (sum(f[2 * lag : 2 * lag + 2]) / 2 for f in found)
        assert mine == pytest.approx(theirs, abs=0.13), lag
    # along the body's long axis the true noise is longer, the fast noise is not
    assert found[0][1] - found[0][0] > 0.2 > 0.05 > abs(found[1][1] - found[1][0])


def test_a_thicker_patient_is_noisier_and_the_map_knows_where() -> None:
    hu = abdomen(1)
    dose = LowDose(ABDOMEN_PHOTONS["tenth"], views=112)
    sigma = noise_std(hu, PIXEL_MM, dose)
    quiet = noise_std(hu, PIXEL_MM, replace(dose, photons=ABDOMEN_PHOTONS["full"]))
    small = noise_std(hu, 0.6 * PIXEL_MM, dose)
    assert bool((quiet < sigma).all())
    middle = SIDE // 2
    # 0.6 of the size: pixels are smaller (louder), paths far shorter (quieter)
    assert float(small[0, middle, middle]) < float(sigma[0, middle, middle])
    assert float(sigma[0, middle, middle]) > float(sigma[0, 2, 2]) > 0.0
    assert sigma.shape == hu.shape


def test_a_scan_is_replayable_keeps_shape_and_type_and_the_mean() -> None:
    hu = abdomen(24)[:, 9:64].double()  # 55 × 72: no square is needed
    dose = LowDose(1e5, views=80)
    scan = scan_low_dose(hu, PIXEL_MM, dose, generator(5))
    again = scan_low_dose(hu, PIXEL_MM, dose, generator(5))
    assert torch.equal(scan.hu, again.hu) and scan.hu.dtype == torch.float64
    assert scan.hu.shape == hu.shape == add_fast_noise(hu, PIXEL_MM, dose, generator()).shape
    assert not torch.equal(scan.hu[0], scan.hu[1])
    beam = ParallelBeam((55, 72), PIXEL_MM, 80)
    torch.testing.assert_close(scan.line_integrals, project(attenuation(hu), beam))
    assert abs(float((scan.hu - hu).mean())) < 0.5


def test_the_released_law_has_its_own_variance() -> None:
    """Std √(q/dose) on scaled line integrals, and that is √L in the patient."""
    path = torch.tensor([8.0, 32.0])
    std = released_projection_std(path, 1e3, hu_span=1110.0, field_mm=360.0)
    assert float(std[1] / std[0]) == pytest.approx(2.0)
    span, field = 1110.0, 36.0
    q = 8.0 * 1000.0 / span * 256.0 / field
    noise = torch.poisson(torch.full((100_000,), q * 1e3), generator=generator()) / 1e3
    # one unit of q is R/1000 · field/256 cm of water
    in_p = float(noise.std()) * MU_WATER_65KEV * span / 1000.0 * field / 256.0
    assert float(std[0]) == pytest.approx(in_p, rel=0.02)


def test_the_released_law_hardly_knows_how_thick_the_patient_is() -> None:
    """Shrunk to 60 %: noise of photons falls by far more than that of the released law."""
    thick = abdomen(32)
    x, y = offsets()
    thin = torch.where(
        (x / HALF_AXES[0]) ** 2 + (y / HALF_AXES[1]) ** 2 < 0.36, 0.0, -1000.0
    ).expand_as(thick)
    noise = {}
    for name, hu in (("thick", thick), ("thin", thin)):
        low = released_low_dose(hu, 1e3, generator()) - released_low_dose(hu, 1e9, generator())
        true = scan_low_dose(hu, PIXEL_MM, LowDose(1e5, 0.0, views=112), generator()).hu - hu
        noise[name] = (level(low, "centre"), level(true, "centre"))
    released, photons = (noise["thick"][i] / noise["thin"][i] for i in (0, 1))
    assert released < 1.6 and photons > 2.5


def test_the_released_law_keeps_the_picture_and_refuses_a_flat_one() -> None:
    hu = abdomen(2)[:, 10:62]
    out = released_low_dose(hu, 1e6, generator())
    assert out.shape == hu.shape
    assert float(out.min()) >= -1000.0 and float(out.max()) <= 1e-3
    assert float((out - hu).abs().mean()) < 25.0
    with pytest.raises(ValueError, match="one grey value"):
        released_low_dose(torch.zeros(1, 8, 8), 1e3, generator())
    with pytest.raises(ValueError, match="dose above 0"):
        released_low_dose(hu, 0.0, generator())


def test_impossible_doses_and_slices_are_refused() -> None:
    for wrong in ((0.0, 10.0, None, 4), (1e4, -1.0, None, 4), (1e4, 10.0, None, 0)):
        with pytest.raises(ValueError, match="photons above 0"):
            LowDose(*wrong)
    with pytest.raises(ValueError, match="not taken away"):
        LowDose(1e5, source_photons=1e5)
    with pytest.raises(ValueError, match="kernel"):
        LowDose(1e5, kernel="bone")  # type: ignore[arg-type]
    dose = LowDose(1e5, views=4)
    for hu, words in (
        (torch.rand(1, 8, 8), "before windowing"),
        (torch.zeros(8, 8), "axial slices"),
        (torch.zeros(1, 8, 8, dtype=torch.int16), "floating-point"),
        (torch.full((1, 8, 8), math.nan), "finite"),
    ):
        with pytest.raises(ValueError, match=words):
            scan_low_dose(hu, 1.0, dose, generator())
        with pytest.raises(ValueError, match=words):
            add_fast_noise(hu, 1.0, dose, generator())
