"""Contrast agent and protocols of the abdomen: the dossier's table, tube voltages, noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from medkd_lib.phantom.abdomen_agent import IODINE_HU, contrast_hu, iodine_mg_ml
from medkd_lib.phantom.abdomen_lesion import NECROSIS_HU, Lesion
from medkd_lib.phantom.abdomen_patient import AbdomenPatient, sample_abdomen
from medkd_lib.phantom.abdomen_protocol import (
    LIVER_SIGMA_HU,
    SCANNERS,
    Protocol,
    sample_protocol,
)
from medkd_lib.phantom.abdomen_tissue import portal_hu
from medkd_lib.phantom.hcc_tissue import phase_hu
from medkd_lib.phantom.lobulated_mass import LobulatedMass

BALL = LobulatedMass((0.0, 0.0, 0.0), 20.0, (1.0, 1.0, 1.0), 1)


def average() -> AbdomenPatient:
    """Someone with the mean CT numbers and no fat in the liver."""
    person = sample_abdomen(np.random.default_rng(0))
    mean = {
        "adipose": -99.0, "muscle": 60.0, "liver": 106.0, "spleen": 120.0, "kidney_cortex": 180.0,
        "arterial_blood": 150.0, "portal_blood": 165.0,
    }  # fmt: skip
    return replace(person, liver_fat=0.0, hu=mean)


# the dossier's §2.2: lowest and highest CT number at 120 kV
EARLY = {
    "liver": (74.0, 79.0), "spleen": (115.0, 125.0), "kidney_cortex": (150.0, 200.0),
    "kidney_medulla": (65.0, 75.0), "pancreas": (105.0, 115.0), "muscle": (53.0, 57.0),
    "arterial_blood": (250.0, 260.0), "portal_blood": (60.0, 100.0), "bowel_wall": (77.0, 83.0),
    "bile": (0.0, 15.0), "urine": (0.0, 15.0),
}  # fmt: skip
LATE = {
    "liver": (105.0, 110.0), "spleen": (118.0, 122.0), "kidney_cortex": (175.0, 185.0),
    "kidney_medulla": (155.0, 165.0), "pancreas": (88.0, 92.0), "muscle": (58.0, 62.0),
    "arterial_blood": (145.0, 155.0), "portal_blood": (160.0, 170.0), "bowel_wall": (88.0, 92.0),
    "bile": (0.0, 15.0), "urine": (0.0, 15.0),
}  # fmt: skip


@pytest.mark.parametrize(
    ("phase", "table"),
    [("corticomedullary", EARLY), ("portal", LATE), ("nephrographic", LATE)],
)
def test_an_average_person_has_the_numbers_of_the_table(
    phase: str, table: dict[str, tuple[float, float]]
) -> None:
    values = contrast_hu(average(), phase, 120)  # type: ignore[arg-type]
    outside = {t: values[t] for t, (low, high) in table.items() if not low <= values[t] <= high}
    assert outside == {}


def test_portal_at_120_kv_is_the_phase_the_other_twins_know() -> None:
    for seed in range(5):
        person = sample_abdomen(np.random.default_rng(seed))
        ours, theirs = contrast_hu(person, "portal", 120), portal_hu(person)
        assert ours == pytest.approx(theirs)


def test_tube_voltage_changes_iodine_bone_and_fat_and_no_native_soft_tissue() -> None:
    person = average()
    native = phase_hu(person, "unenhanced")
    at = {kv: contrast_hu(person, "portal", kv) for kv in IODINE_HU}
    for tissue in ("liver", "arterial_blood", "kidney_cortex"):
        gain = {kv: at[kv][tissue] - native[tissue] for kv in IODINE_HU}
        # §2.1 C: 120 → 80 kV multiplies the contrast of iodine by 1.6
        assert gain[80] / gain[120] == pytest.approx(1.62, abs=0.01)
        assert gain[80] > gain[100] > gain[120] > gain[140]
    assert at[80]["adipose"] - at[120]["adipose"] == -20.0
    assert at[80]["cortical_bone"] / at[120]["cortical_bone"] == pytest.approx(1.375, abs=0.001)
    assert at[80]["bile"] == at[140]["bile"] == native["bile"]


def test_iodine_is_what_the_dossier_computes_and_stays_the_persons_own() -> None:
    person = average()
    assert iodine_mg_ml(person, "portal")["liver"] == pytest.approx(1.9, abs=0.1)  # §2.1
    assert iodine_mg_ml(person, "corticomedullary")["arterial_blood"] == pytest.approx(7.9, abs=0.2)
    assert "bile" not in iodine_mg_ml(person, "portal")
    richer = replace(person, hu=person.hu | {"kidney_cortex": 220.0})
    for phase in ("portal", "corticomedullary"):
        ratio = (
            iodine_mg_ml(richer, phase)["kidney_cortex"]
            / iodine_mg_ml(person, phase)["kidney_cortex"]
        )
        assert ratio == pytest.approx(186.0 / 146.0)
    fatty = replace(person, liver_fat=0.25)
    share = iodine_mg_ml(fatty, "portal")["liver"] / iodine_mg_ml(person, "portal")["liver"]
    assert share == pytest.approx(0.75), "fat takes no agent"


def test_noise_follows_dose_kernel_and_slice() -> None:
    full = Protocol("portal", 120, 1.0, "standard", 5.0)
    assert full.sigma_hu == pytest.approx(LIVER_SIGMA_HU)
    quarter = replace(full, dose=0.25)
    # a little more than twice: the electronic share (§2.5 R: 80.0 against 37.5)
    assert 2.0 < quarter.sigma_hu / full.sigma_hu < 80.0 / 37.5 * 1.03
    assert replace(full, slice_mm=1.25).sigma_hu == pytest.approx(2.0 * LIVER_SIGMA_HU)
    assert full.sigma_hu / replace(full, kernel="soft").sigma_hu == pytest.approx(37.5 / 17.7)


def test_the_two_sets_are_scanned_differently() -> None:
    drawn = {
        cohort: [
            sample_protocol(cohort, "small", np.random.default_rng([n, 5])) for n in range(200)
        ]
        for cohort in SCANNERS
    }
    liver, kidney = drawn["msd_task03_liver"], drawn["kits23"]
    assert {p.phase for p in liver} == {"portal"}
    early = np.mean([p.phase == "corticomedullary" for p in kidney])
    assert {p.phase for p in kidney} == {"corticomedullary", "nephrographic"}
    assert early == pytest.approx(0.7, abs=0.1)
    assert {p.kilovolts for p in liver} == {120, 140} and {p.kilovolts for p in kidney} == {
        100,
        120,
    }
    assert {p.kernel for p in liver}.isdisjoint({p.kernel for p in kidney})
    assert {p.slice_mm for p in liver}.isdisjoint({p.slice_mm for p in kidney})
    assert min(p.sigma_hu for p in liver) > max(p.sigma_hu for p in kidney)
    same = sample_protocol("kits23", "full", np.random.default_rng([7, 5]))
    assert replace(same, slice_mm=4.0) == kidney[7], "a size changes the slices alone"


def test_one_concentration_serves_every_voltage_and_a_cyst_takes_none() -> None:
    tumour = Lesion("tumour", BALL, 34.0, {"corticomedullary": 5.1})
    # §2.1: clear-cell cancer, 173 HU, is 5.1 mg/mL
    assert tumour.hu("corticomedullary", 120) == pytest.approx(173.0, abs=1.0)
    assert tumour.hu("corticomedullary", 80) > 250.0
    cyst = Lesion("cyst", BALL, 11.0, {})
    assert cyst.hu("nephrographic", 80) == cyst.hu("corticomedullary", 140) == 11.0
    with pytest.raises(KeyError, match="portal"):
        tumour.hu("portal", 120)


@pytest.mark.parametrize("share", [0.1, 0.35])
def test_necrosis_takes_its_share_where_the_tumour_is_darkest(share: float) -> None:
    field = np.random.default_rng(0).standard_normal(200_000).astype(np.float32)
    lesion = Lesion("tumour", BALL, 34.0, {"portal": 4.0}, mottle_hu=10.0, necrosis=share)
    hu = 150.0 + lesion.uneven(field, 150.0)
    dark = np.quantile(field, share)
    half = np.abs(hu - NECROSIS_HU) < 0.5 * np.abs(150.0 - NECROSIS_HU)
    assert half.mean() == pytest.approx(share, abs=0.02)
    assert hu[field < dark - 0.2].max() == pytest.approx(NECROSIS_HU)
    solid = replace(lesion, necrosis=0.0).uneven(field, 150.0)
    np.testing.assert_allclose(solid, 10.0 * field, rtol=1e-6)
