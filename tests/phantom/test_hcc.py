"""Virtual liver cancers: what the grade does to the looks, where masses lie, what scanners see."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from scipy import ndimage
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import roc_auc_score

from medkd_lib.phantom.ct import CTSettings
from medkd_lib.phantom.hcc_anatomy import REGIONS, TUMOUR, voxelise_hcc
from medkd_lib.phantom.hcc_grade import (
    BLOCK,
    GRADES,
    STRENGTH,
    Difficulty,
    Looks,
    grade_of,
    sample_looks,
)
from medkd_lib.phantom.hcc_patient import LIVER_SUV, Cohort, HccPatient, hcc_patient
from medkd_lib.phantom.hcc_scan import hcc_ct, hcc_pet
from medkd_lib.phantom.hcc_tissue import CONTRAST_FACTOR, Phase, abdomen_suv, phase_hu
from medkd_lib.phantom.liver_mass import GAP_MM, HCC_BURDEN
from medkd_lib.phantom.lobulated_mass import LobulatedMass
from medkd_lib.phantom.pet import PETSettings
from medkd_lib.phantom.thigh_grid import PlacedGrid
from medkd_lib.phantom.tissue_pet import Tracer

GRID = PlacedGrid((72, 48, 34), (5.0, 5.0, 6.5), (-180.0, -120.0, -105.0))
SILENT = CTSettings(sigma_hu=0.0, texture_hu=0.0)
SHARP = PETSettings(psf_fwhm_mm=0.0, filter_fwhm_mm=0.0, liver_noise=0.0)


def someone(index: int, **changes: object) -> HccPatient:
    patient = hcc_patient("hcc_tace_seg", index, seed=4, difficulty="clear")
    return replace(patient, **changes)  # type: ignore[arg-type]


def one_ball(looks: Looks) -> HccPatient:
    """A patient with one ball of 5 cm where the liver is thick."""
    patient = someone(0)
    centre = patient.person.at(-80.0, 5.0, 45.0)
    ball = LobulatedMass(centre, 25.0, (1.0, 1.0, 1.0), 3)
    return replace(patient, masses=(ball,), looks=(looks,))


def cohort_looks(difficulty: Difficulty, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Grades (N,) and log tumour-to-liver FDG, acetate, CT contrast and log mottle (N, 4)."""
    grades, rows = [], []
    for index in range(number):
        grade = grade_of(index, 21, seed=8)
        rng = np.random.default_rng([8, index])
        looks = sample_looks(grade, 1 + index % 3, difficulty, rng)
        mean = np.mean([(v.fdg_ratio, v.acetate_ratio, v.contrast_hu, v.mottle_hu) for v in looks],
                       axis=0)  # fmt: skip
        grades.append(grade)
        rows.append([np.log(mean[0]), np.log(mean[1]), mean[2], np.log(mean[3])])
    return np.array(grades), np.array(rows)


def auc(grades: np.ndarray, features: np.ndarray) -> float:
    """Macro AUC, one grade against the rest, of a linear rule learnt on the other half."""
    half = len(grades) // 2
    rule = LinearDiscriminantAnalysis().fit(features[:half], grades[:half])
    told = rule.predict_proba(features[half:])
    return float(roc_auc_score(grades[half:], told, multi_class="ovr", average="macro"))


def test_both_tracers_tell_the_grade_one_alone_less_and_ct_less_than_all() -> None:
    found = {}
    for difficulty in get_args(Difficulty):
        grades, looks = cohort_looks(difficulty, 2400)
        found[difficulty] = [
            auc(grades, looks[:, c]) for c in ([0, 1], [0], [1], [2], [0, 1, 2, 3])
        ]
    both, fdg, acetate, contrast, everything = found["clear"]
    assert both > 0.93 and both > fdg + 0.015 and both > acetate + 0.04
    assert 0.80 < contrast < 0.90 and everything > 0.96
    both, fdg, acetate, contrast, everything = found["subtle"]
    assert 0.80 < both < 0.93 and both > fdg + 0.005 and both > acetate + 0.1
    assert 0.75 < contrast < 0.88 and everything > 0.90
    # 1200 tested, 200 of them poor: 0.025 is about one standard error of the macro AUC
    assert all(abs(value - 0.5) < 0.06 for value in found["none"])


def test_the_tracers_are_related_as_the_dossier_says_and_only_through_the_grade() -> None:
    grades, looks = cohort_looks("subtle", 2400)
    assert np.corrcoef(looks[:, 0], looks[:, 1])[0, 1] == pytest.approx(-0.33, abs=0.07)
    within = [np.corrcoef(looks[grades == g, :2].T)[0, 1] for g in range(3)]
    assert np.abs(within).max() < 0.15
    medians = [np.exp(np.median(looks[grades == g, :2], axis=0)) for g in range(3)]
    np.testing.assert_allclose(medians, [(1.05, 1.7), (1.5, 1.5), (2.6, 1.1)], rtol=0.08)


def test_without_effect_the_images_look_the_same_and_know_nothing() -> None:
    subtle, none = (cohort_looks(d, 1200)[1] for d in ("subtle", "none"))
    np.testing.assert_allclose(none.mean(axis=0), subtle.mean(axis=0), atol=0.8)
    np.testing.assert_allclose(none.std(axis=0), subtle.std(axis=0), rtol=0.15)
    assert not STRENGTH["none"].informed
    assert replace(STRENGTH["none"], informed=True) == STRENGTH["subtle"]


def test_grades_come_in_blocks_and_cohorts_share_nobody() -> None:
    drawn = [grade_of(i, 21, seed=3) for i in range(60)]
    for start in range(0, 60, 6):
        assert sorted(drawn[start : start + 6]) == list(BLOCK)
    assert Counter(drawn) == {0: 20, 1: 30, 2: 10} and len(GRADES) == 3
    assert drawn != [grade_of(i, 22, seed=3) for i in range(60)]
    names: tuple[Cohort, ...] = get_args(Cohort)
    bodies = {hcc_patient(n, i, seed=0, difficulty="none").person.wave_seed
              for n in names for i in range(3)}  # fmt: skip
    assert len(bodies) == 6


def test_difficulties_and_exams_keep_the_person() -> None:
    first = hcc_patient("hcc_tace_seg", 5, seed=1, difficulty="clear")
    other = hcc_patient("hcc_tace_seg", 5, seed=1, difficulty="none")
    later = hcc_patient("hcc_tace_seg", 5, seed=1, difficulty="clear", exam=1)
    assert first.person == other.person == later.person
    assert first.masses == other.masses and first.grade == other.grade
    assert later.looks == first.looks
    for now, then in zip(later.masses, first.masses, strict=True):
        assert now.radius_mm == pytest.approx(1.08 * then.radius_mm)


def test_masses_lie_in_the_liver_apart_and_map_shows_every_region() -> None:
    several = 0
    for index in range(5):
        patient = someone(index)
        anatomy = voxelise_hcc(patient, GRID)
        several += len(patient.masses) > 1
        assert len(patient.masses) == len(patient.looks) == len(anatomy.masses) <= 3
        np.testing.assert_array_equal(anatomy.regions == TUMOUR, anatomy.mass_number > 0)
        assert ((anatomy.regions == TUMOUR) <= (anatomy.organs == 1)).all()
        _, pieces = ndimage.label(anatomy.regions == TUMOUR)
        assert pieces == len(patient.masses), "each mass is a piece of its own"
        assert max(m.radius_mm for m in patient.masses) <= 0.5 * HCC_BURDEN.largest_mm
        present = set(np.unique(anatomy.regions)) - {0}
        # a segment may be eaten by a mass, thin vessels may fall between coarse voxels
        assert {TUMOUR, 11, 12, 13, 14, 15, 16} <= present <= set(REGIONS)
        centres = [np.array(m.centre_mm) for m in patient.masses]
        radii = [m.radius_mm for m in patient.masses]
        for a in range(len(radii)):
            for b in range(a):
                assert np.linalg.norm(centres[a] - centres[b]) > radii[a] + radii[b] + 0.5 * GAP_MM
    assert several >= 1


def test_a_mass_is_one_object_of_its_volume_on_any_grid() -> None:
    mass = LobulatedMass((0.0, 0.0, 0.0), 20.0, (1.1, 1.0, 1.0 / 1.1), 7)
    volumes = []
    for step in (2.0, 4.0):
        n = int(80 / step)
        grid = PlacedGrid((n, n, n), (step, step, step), (-40.0, -40.0, -40.0))
        volumes.append(float(mass.draw(grid)[1].sum()) * grid.voxel_ml)
    ball = 4.0 / 3.0 * np.pi * 20.0**3 / 1000.0
    assert volumes[0] == pytest.approx(ball, rel=0.12)
    assert volumes[1] == pytest.approx(volumes[0], rel=0.05)


@pytest.mark.parametrize("phase", get_args(Phase))
def test_ct_shows_liver_contrast_and_mottle(phase: Phase) -> None:
    patient = one_ball(Looks(1.0, 1.0, contrast_hu=-20.0, mottle_hu=6.0))
    anatomy = voxelise_hcc(patient, GRID)
    hu = hcc_ct(patient, anatomy, phase, SILENT, np.random.default_rng(0))
    liver = phase_hu(patient.person, phase)["liver"]
    member = anatomy.fraction("mass_1")
    inside = hu[member > 0.98]
    assert inside.size > 100
    assert np.mean(inside) == pytest.approx(liver - 20.0 * CONTRAST_FACTOR[phase], abs=2.5)
    assert np.std(inside) == pytest.approx(6.0, rel=0.35)
    assert float(hu.min()) >= -1024.0
    blood = {"unenhanced": 42.0, "portal": patient.person.hu["arterial_blood"]}[phase]
    assert np.median(hu[anatomy.regions == 12]) == pytest.approx(blood, abs=15.0)


@pytest.mark.parametrize("tracer", get_args(Tracer))
def test_pet_shows_the_ratio_to_the_liver(tracer: Tracer) -> None:
    patient = one_ball(Looks(fdg_ratio=2.0, acetate_ratio=0.6, contrast_hu=0.0, mottle_hu=1.0))
    anatomy = voxelise_hcc(patient, GRID)
    settings = replace(SHARP, tracer=tracer)
    suv = hcc_pet(patient, anatomy, settings, np.random.default_rng(0))
    liver = patient.liver_suv[tracer]
    ratio = {"fdg": 2.0, "acetate": 0.6}[tracer]
    assert np.mean(suv[anatomy.fraction("mass_1") > 0.98]) == pytest.approx(ratio * liver, rel=0.06)
    pure = anatomy.fraction("liver") > 0.99
    np.testing.assert_allclose(suv[pure], liver, rtol=0.01)
    table = abdomen_suv(tracer, liver)
    assert set(phase_hu(patient.person, "portal")) <= set(table), "every tissue has an uptake"


def test_livers_take_up_what_the_dossier_says() -> None:
    people = [someone(i) for i in range(40)]
    for tracer in get_args(Tracer):
        median, spread = LIVER_SUV[tracer]
        logs = np.log([p.liver_suv[tracer] for p in people])
        assert np.exp(np.mean(logs)) == pytest.approx(median, rel=3.5 * spread / np.sqrt(40))
    assert 45.0 <= np.median([p.weight_kg for p in people]) <= 95.0
