"""MR tissue values and sequences give the clinical picture, with and without contrast agent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from medkd_lib.phantom.mr import (
    PROTOCOLS,
    MRSettings,
    adc_map,
    magnetisation,
    null_ti_ms,
    reference_signal,
    signal,
)
from medkd_lib.phantom.tissue import TISSUES, hu_table
from medkd_lib.phantom.tissue_mr import TISSUES_MR, TissueMR, mr_table, vary

FIELDS = (1.5, 3.0)
# "agent" is the tumour with 0.5 mM
COLUMNS = (
    *("csf", "grey_matter", "deep_grey", "oedema"),
    *("tumour", "agent", "necrosis", "infarct"),
)

# §1.6: signal relative to white matter, 3 T and 1.5 T
TABLE: Mapping[str, tuple[MRSettings, tuple[float, ...], tuple[float, ...]]] = {
    "SE": (
        MRSettings("se", "spin_echo", 600, 10),
        (0.39, 0.79, 0.76, 0.85, 0.73, 1.96, 0.51, 0.77),
        (0.33, 0.77, 0.77, 0.83, 0.77, 1.69, 0.45, 0.75),
    ),
    "MPRAGE": (
        PROTOCOLS["t1n"],
        (0.16, 0.62, 0.63, 0.66, 0.52, 2.38, 0.26, 0.59),
        (0.13, 0.62, 0.64, 0.65, 0.57, 1.92, 0.22, 0.58),
    ),
    "T2": (
        PROTOCOLS["t2w"],
        (3.60, 1.49, 0.96, 2.07, 1.91, 1.49, 3.36, 1.66),
        (3.26, 1.46, 1.17, 2.03, 1.93, 1.46, 3.13, 1.61),
    ),
    "FLAIR": (
        replace(PROTOCOLS["t2f"], ti_ms=2440.0),
        (0.01, 1.20, 0.73, 1.75, 1.32, 1.74, 0.96, 1.30),
        (0.01, 1.25, 1.00, 1.84, 1.59, 1.59, 1.00, 1.36),
    ),
    "b 0": (
        replace(PROTOCOLS["dwi_b0"], te_ms=80.0),
        (2.98, 1.42, 0.99, 1.86, 1.76, 1.43, 2.83, 1.55),
        (2.76, 1.39, 1.16, 1.83, 1.76, 1.40, 2.67, 1.50),
    ),
    "b 1000": (
        replace(PROTOCOLS["dwi_b1000"], te_ms=80.0),
        (0.34, 1.41, 1.08, 0.96, 1.36, 1.10, 0.73, 1.92),
        (0.32, 1.38, 1.27, 0.94, 1.36, 1.08, 0.69, 1.86),
    ),
}


def relative(
    tissues: Mapping[str, TissueMR], settings: MRSettings, gd_mm: Mapping[str, float] | None = None
) -> dict[str, float]:
    """Signal over white matter, per tissue."""
    agent = gd_mm or {}
    white = signal(tissues["white_matter"], settings)
    return {n: signal(t, settings, agent.get(n, 0.0)) / white for n, t in tissues.items()}


@pytest.mark.parametrize("name", TABLE)
def test_relative_signals_reproduce_the_published_table(name: str) -> None:
    settings, *rows = TABLE[name]
    for field, row in zip((3.0, 1.5), rows, strict=True):
        tissues = mr_table(field)
        # the table holds plain necrotic fluid; ours is protein-rich, so put its T1 back
        tissues["necrosis"] = replace(tissues["necrosis"], t1_ms={1.5: 2800.0, 3.0: 3000.0}[field])
        tissues["agent"] = tissues["tumour"]
        found = relative(tissues, settings, {"agent": 0.5})
        for column, expected in zip(COLUMNS, row, strict=True):
            # abs 0.01: two decimals were printed, sums of T2 + 1.65 ms/h rounded once more
            assert found[column] == pytest.approx(expected, abs=0.01), (field, column)


@pytest.mark.parametrize("field", FIELDS)
def test_contrasts_are_clinical_in_every_patient(field: float) -> None:
    rng = np.random.default_rng(11)
    patients = [mr_table(field), *(vary(mr_table(field), rng) for _ in range(100))]
    flair_grey = []
    for tissues in patients:
        t1, t2, flair = (relative(tissues, PROTOCOLS[n]) for n in ("t1n", "t2w", "t2f"))
        assert 1.0 > t1["grey_matter"] > t1["csf"]
        assert t2["csf"] > t2["grey_matter"] > 1.0
        assert t1["tumour"] < t1["oedema"] < 1.0
        assert flair["oedema"] > 1.0
        # protein keeps necrosis visible where pure fluid goes black
        assert flair["csf"] < 0.01 and flair["necrosis"] > 0.3
        assert t1["csf"] < t1["necrosis"] < t1["tumour"]
        flair_grey.append(flair["grey_matter"])
    # the weakest contrast; long T1 with long T2 turns it round in one patient of twenty
    assert flair_grey[0] > 1.15 and np.mean(np.array(flair_grey) > 1.0) > 0.85


@pytest.mark.parametrize("field", FIELDS)
def test_agent_makes_the_rim_the_brightest_thing_in_the_brain(field: float) -> None:
    tissues = mr_table(field)
    inside = ("csf", "grey_matter", "deep_grey", "white_matter", "oedema", "tumour_core")
    agent = {"tumour": 0.5, "necrosis": 0.03, "grey_matter": 0.03, "white_matter": 0.015}
    after = relative(tissues, PROTOCOLS["t1c"], agent)
    assert after["tumour"] > 1.5 * max(after[n] for n in (*inside, "necrosis", "infarct"))
    before = relative(tissues, PROTOCOLS["t1n"])
    assert before["tumour"] < 0.6
    # 0.5 mM shortens T1 to 352 ms at 3 T (§1.1 C)
    if field == 3.0:
        settings = MRSettings("se", "spin_echo", 600, 10)
        short = replace(tissues["tumour"], t1_ms=352.0, t2_ms=1 / (1 / 110 + 6 * 0.5 / 1000))
        assert signal(tissues["tumour"], settings, 0.5) == pytest.approx(
            signal(short, settings), rel=2e-3
        )


def test_infarct_shines_on_b1000_and_limb_looks_like_a_limb() -> None:
    tissues = mr_table(3.0)
    trace = relative(tissues, PROTOCOLS["dwi_b1000"])
    others = ("csf", "grey_matter", "deep_grey", "white_matter", "oedema", "tumour", "necrosis")
    assert trace["infarct"] > 1.2 * max(trace[n] for n in others)
    limb = {n: signal(t, PROTOCOLS["t1w_limb"]) for n, t in tissues.items()}
    assert limb["adipose"] > 2.0 * limb["muscle"] and limb["marrow"] > 2.0 * limb["muscle"]
    assert limb["sarcoma"] == pytest.approx(limb["muscle"], rel=0.3)  # hides on T1
    assert limb["cortical_bone"] < 1e-3 and limb["air"] == 0.0
    water = {n: signal(t, PROTOCOLS["t2w"]) for n, t in tissues.items()}
    assert water["sarcoma_myxoid"] > 1.3 * water["sarcoma"] > 3.0 * water["muscle"]
    # saturation darkens fat and leaves water alone
    full, none = PROTOCOLS["t2fs_limb"], replace(PROTOCOLS["t2fs_limb"], fat_saturation=0.0)
    assert signal(tissues["adipose"], full) < 0.12 * signal(tissues["adipose"], none)
    assert signal(tissues["sarcoma"], full) == signal(tissues["sarcoma"], none)
    assert signal(tissues["sarcoma"], full) > 3.0 * signal(tissues["marrow"], full)


def test_inversion_times_null_their_tissue() -> None:
    for tr, ti in ((6000, 2009), (8000, 2328), (9000, 2445), (11000, 2616)):
        assert null_ti_ms(4200, tr) == pytest.approx(ti, abs=1)
    for t1, ti in ((250, 173), (300, 208)):
        assert null_ti_ms(t1, 4000) == pytest.approx(ti, abs=1)
    fat = mr_table(3.0)["adipose"]
    stir = MRSettings("stir", "inversion_recovery", 4000, 60, ti_ms=null_ti_ms(375, 4000))
    assert signal(fat, stir) < 1e-12
    # before the null the magnetisation is still inverted, its magnitude is not
    early = replace(stir, ti_ms=50.0)
    assert magnetisation(fat, early) < 0.0
    assert signal(fat, early) == -magnetisation(fat, early)


def test_mprage_meets_a_plain_simulation_from_rest() -> None:
    settings = PROTOCOLS["t1n"]
    angle = np.deg2rad(settings.flip_deg)
    for t1 in (350.0, 840.0, 4200.0):
        m = 1.0
        for _ in range(40):  # repetitions until nothing changes
            m, clock = -m, 0.0
            first = settings.ti_ms - 88 * settings.echo_spacing_ms
            for pulse in range(settings.pulses):
                at = first + pulse * settings.echo_spacing_ms
                m = 1 - (1 - m) * np.exp(-(at - clock) / t1)
                clock = at
                if pulse == 88:
                    echo = m * np.sin(angle)
                m *= np.cos(angle)
            m = 1 - (1 - m) * np.exp(-(settings.tr_ms - clock) / t1)
        tissue = TissueMR(1.0, t1, 1e9, 0.0, "test")
        assert magnetisation(tissue, settings) == pytest.approx(echo, abs=1e-9)


def test_gradient_echo_peaks_at_the_ernst_angle_and_decays_with_t2_star() -> None:
    white = mr_table(3.0)["white_matter"]
    ernst = np.rad2deg(np.arccos(np.exp(-20.0 / white.t1_ms)))
    flash = MRSettings("flash", "gradient_echo", 20, 4, flip_deg=ernst)
    best = signal(white, flash)
    for factor in (0.8, 1.2):
        assert signal(white, replace(flash, flip_deg=ernst * factor)) < best
    expected = best * np.exp(-4 / 53 + 4 / 70)
    assert signal(white, flash, t2_star_ms=53.0) == pytest.approx(expected)
    # a spin echo refocuses: T2* has no say
    echo = PROTOCOLS["t2w"]
    assert signal(white, echo, t2_star_ms=53.0) == signal(white, echo)


def test_adc_map_inverts_diffusion_and_survives_empty_voxels() -> None:
    tissues = mr_table(3.0)
    names = ("csf", "white_matter", "infarct")
    s0, sb = (
        np.array([signal(tissues[n], PROTOCOLS[p]) for n in names], np.float32)
        for p in ("dwi_b0", "dwi_b1000")
    )
    np.testing.assert_allclose(adc_map(s0, sb, 1000.0), [3.0, 0.84, 0.627], rtol=1e-5)
    empty = adc_map(np.float32([0, 5]), np.float32([3, 0]), 1000.0)  # type: ignore[arg-type]
    np.testing.assert_array_equal(empty, 0.0)
    with pytest.raises(ValueError, match="one shape"):
        adc_map(s0, sb[:2], 1000.0)


def test_reference_is_shared_by_images_that_are_compared() -> None:
    tissues = mr_table(3.0)
    for one, other in (("t1n", "t1c"), ("dwi_b0", "dwi_b1000")):
        assert reference_signal(tissues, PROTOCOLS[one]) == reference_signal(
            tissues, PROTOCOLS[other]
        )
    with pytest.raises(KeyError, match="reference tissue 'cheese'"):
        reference_signal(tissues, replace(PROTOCOLS["t1n"], reference="cheese"))
    with pytest.raises(ValueError, match="no signal"):
        reference_signal(tissues, replace(PROTOCOLS["t1n"], reference="air"))


def test_a_patient_moves_levels_and_keeps_ratios() -> None:
    table = mr_table(3.0)
    rng = np.random.default_rng(5)
    draws = [vary(table, rng) for _ in range(800)]
    for attribute in ("t1_ms", "t2_ms"):
        grey, white, csf = (
            np.log([getattr(d[n], attribute) / getattr(table[n], attribute) for d in draws])
            for n in ("grey_matter", "white_matter", "csf")
        )
        assert white.std() == pytest.approx(np.hypot(0.12, 0.03), rel=0.1)
        assert (grey - white).std() == pytest.approx(0.03 * np.sqrt(2), rel=0.1)
        assert np.all(csf == 0.0)  # fluid keeps its values
        assert abs(white.mean()) < 0.02
    still = vary(table, rng, level=0.0, own=0.0)
    assert still == table
    assert vary(table, np.random.default_rng(1)) == vary(
        dict(reversed(table.items())), np.random.default_rng(1)
    )
    with pytest.raises(ValueError, match="level and own"):
        vary(table, rng, level=-0.1)


def test_tables_are_complete_sourced_and_separate() -> None:
    for field in FIELDS:
        table = mr_table(field)
        assert table == dict(TISSUES_MR[field]) and table is not mr_table(field)
        for name, tissue in table.items():
            assert tissue.source and 0.0 <= tissue.pd <= 1.0, name
            assert tissue.t1_ms >= tissue.t2_ms > 0.0 <= tissue.adc_um2_ms, name
    for name, tissue in mr_table(1.5).items():
        assert mr_table(3.0)[name].t1_ms >= tissue.t1_ms, name  # T1 grows with the field
    with pytest.raises(ValueError, match=r"1\.5, 3\.0"):
        mr_table(7.0)
    # what a CT of the same head or limb needs
    assert {"csf", "grey_matter", "white_matter", "sarcoma"} < set(TISSUES)
    hu = hu_table()
    assert hu["csf"] < hu["white_matter"] < hu["grey_matter"] < hu["muscle"]
    assert hu["grey_matter"] - hu["white_matter"] == pytest.approx(7.1, abs=0.5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sequence": "epi"}, "sequence"),
        ({"te_ms": 9000.0}, "te_ms"),
        ({"flip_deg": 0.0}, "flip_deg"),
        ({"noise": -0.1}, "noise"),
        ({"fat_saturation": 95.0}, "fat_saturation"),
        ({"bias": 2.0}, "bias"),
        ({"b_s_mm2": 500.0}, "use 'diffusion'"),
        ({"sequence": "diffusion", "ti_ms": 0.0, "b_s_mm2": -1.0}, "b_s_mm2"),
        ({"sequence": "spin_echo"}, "nothing is inverted"),
        ({"sequence": "inversion_recovery", "ti_ms": 0.0}, "null_ti_ms"),
        ({"pulses": 400}, "train"),
        ({"pulses": 0}, "train"),
    ],
)
def test_impossible_protocols_are_refused(change: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=f"t1n: .*{message}"):
        replace(PROTOCOLS["t1n"], **change)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="gd_mm"):
        signal(mr_table()["csf"], PROTOCOLS["t1c"], -0.5)
