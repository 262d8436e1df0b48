"""Age and dementia in the phantom brain: equations, volumes, oracle, who is in the twins."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from medkd_lib.phantom import dementia
from medkd_lib.phantom.adni_patient import OF_FOUR, diagnoses_of
from medkd_lib.phantom.adni_scanners import SCANNERS, SITES
from medkd_lib.phantom.brain_parts import hippocampus_depth, lateral_ventricle_depth
from medkd_lib.phantom.brain_patient import brain_patient
from medkd_lib.phantom.brain_shapes import Points
from medkd_lib.phantom.dementia import Decline, sample_decline, sample_severity, with_decline
from medkd_lib.phantom.dementia_oracle import ORACLE_FEATURES, oracle_balanced_accuracy
from medkd_lib.phantom.oasis_plan import COUNTS, SECOND_SESSIONS, grade_of, plan_person
from medkd_lib.phantom.opacities import Difficulty

N = 1200


def declines(age: float, severity: float, difficulty: Difficulty = "subtle") -> NDArray[np.float64]:
    """Draw (N, 4): logarithms of three factors, and the width of the sulci."""
    rng = np.random.default_rng(0)
    drawn = [sample_decline(rng, age, severity, difficulty) for _ in range(N)]
    factors = np.log([[d.ventricles, d.hippocampus, d.cortex] for d in drawn])
    return np.column_stack([factors, [d.sulci for d in drawn]])


@pytest.mark.parametrize("severity, column", [(0.0, 0), (1.0, 1), (2.0, 2), (3.0, 3), (1.5, None)])
def test_a_grade_multiplies_as_its_table_says(severity: float, column: int | None) -> None:
    tables = (dementia.VENTRICLES, dementia.HIPPOCAMPUS, dementia.CORTEX)
    # between two grades the factor lies on the line between them
    factors = [t[column] if column is not None else (t[1] + t[2]) / 2 for t in tables]
    # the same stream, so that every person's own spread cancels
    for difficulty in get_args(Difficulty):
        change = declines(60.0, severity, difficulty) - declines(60.0, 0.0, difficulty)
        effect = dementia.LOOKS[difficulty].effect
        np.testing.assert_allclose(change[:, :3], effect * np.log(factors) * np.ones((N, 1)))
    assert dementia.VENTRICLES[0] == 1.0 and dementia.VENTRICLES[2] == 1.6


def test_age_acts_without_dementia_and_on_the_same_things() -> None:
    young, old = declines(20.0, 0.0), declines(80.0, 0.0)
    slopes = [dementia.LN_VENTRICLES_A_YEAR, dementia.LN_HIPPOCAMPUS_A_YEAR,
              dementia.LN_CORTEX_A_YEAR]  # fmt: skip
    np.testing.assert_allclose((old - young)[:, :3], 60.0 * np.array(slopes) * np.ones((N, 1)))
    assert (old[:, 3] > young[:, 3]).all()
    sick = declines(60.0, 2.0).mean(axis=0) - declines(60.0, 0.0).mean(axis=0)
    assert (np.sign(sick) == np.sign(old.mean(axis=0) - young.mean(axis=0))).all()


def test_people_of_one_age_and_grade_differ_by_the_stated_spread() -> None:
    for difficulty in get_args(Difficulty):
        spread = np.array(dementia.SPREAD) * dementia.LOOKS[difficulty].spread
        # an age at which no width is cut at 0; normal draws are cut at 2.5, which costs 4.5 %
        np.testing.assert_allclose(declines(90.0, 2.0, difficulty).std(axis=0), spread, rtol=0.12)
    assert dementia.LOOKS["none"] == dementia.LOOKS["subtle"]


def test_without_dementia_severity_is_nothing() -> None:
    rng = np.random.default_rng(0)
    assert {sample_severity(rng, 0) for _ in range(20)} == {0.0}
    for grade in (1, 2, 3):
        drawn = [sample_severity(rng, grade) for _ in range(400)]
        assert np.mean(drawn) == pytest.approx(grade, abs=0.03)
        assert 0.1 < np.std(drawn) < 0.17 and grade - 0.5 < min(drawn) < max(drawn) < grade + 0.5


def inside_ml(depth: Any, patient: Any, factor: float = 1.0) -> float:
    """Volume where a depth field of the brain frame is positive, on points of 0.8 mm."""
    axes = [np.arange(a, b, 0.8).astype(np.float32) for a, b in ((-52, 0), (-42, 80), (-34, 40))]
    u, v, w = np.meshgrid(*axes, indexing="ij")
    return float((depth(Points(u, v, w), patient) > 0.0).sum()) * 0.8**3 / 1000.0 * factor


@pytest.mark.parametrize("factor", [0.6, 0.8, 1.5, 2.5])
def test_drawn_volumes_follow_the_factor(factor: float) -> None:
    rng = np.random.default_rng(0)
    plain, changed = (
        with_decline(brain_patient(0), Decline(0.0, f, f, 1.0, 0.5), rng) for f in (1.0, factor)
    )
    for depth in (hippocampus_depth, lateral_ventricle_depth):
        ratio = inside_ml(depth, changed) / inside_ml(depth, plain)
        assert ratio == pytest.approx(factor, rel=0.1), depth.__name__


def test_other_brains_have_the_hippocampus_they_had() -> None:
    patient = brain_patient(0)
    assert patient.hippocampus == 1.0
    smaller = replace(patient, hippocampus=0.8)
    assert inside_ml(hippocampus_depth, smaller) < 0.75 * inside_ml(hippocampus_depth, patient)


def test_grades_come_as_in_the_release_with_both_moderate_people_early() -> None:
    for start in (0, 416):
        grades = Counter(grade_of(rank) for rank in range(start, start + 416))
        assert tuple(grades[g] for g in range(4)) == COUNTS == (316, 70, 28, 2)
    for seed in range(4):
        plans = [plan_person(i, seed=seed, difficulty="subtle") for i in range(416)]
        assert tuple(Counter(p.grade for p in plans)[g] for g in range(4)) == COUNTS
        assert sum(p.grade == 3 for p in plans[:80]) == 2, "a quarter of the set has both"
        back = [p for p in plans if p.delay_days]
        assert len(back) in (19, 20) and {p.grade for p in back} == {0}
        assert all(p.sessions[1].endswith("_MR2") and p.delay_days <= 90 for p in back)
        assert min(p.age for p in plans if p.grade) >= 60 > min(p.age for p in plans)
        assert {p.scans for p in plans} == {3, 4}
    assert abs(20 * SECOND_SESSIONS - COUNTS[0]) < SECOND_SESSIONS


def test_more_people_leave_the_earlier_ones_as_they_are() -> None:
    first = [plan_person(i, seed=5, difficulty="subtle") for i in range(20)]
    assert first == [plan_person(i, seed=5, difficulty="subtle") for i in reversed(range(20))][::-1]
    assert first != [plan_person(i, seed=6, difficulty="subtle") for i in range(20)]


def test_none_deals_labels_that_know_nothing() -> None:
    plans = [plan_person(i, seed=0, difficulty="none") for i in range(2080)]
    label, drawn, age = (
        np.array([getattr(p, n) for p in plans]) for n in ("grade", "drawn", "age")
    )
    sick, drawn_sick = label > 0, drawn > 0
    assert sick.mean() == pytest.approx(100 / 416, abs=0.002)
    assert drawn_sick.mean() == pytest.approx(100 / 416, abs=0.03)
    # four standard errors of a correlation of nothing
    for other in (drawn_sick, age):
        assert abs(np.corrcoef(sick, other)[0, 1]) < 4 / np.sqrt(len(plans))
    assert np.corrcoef(drawn_sick, age)[0, 1] > 0.3, "age goes with the brain"
    pairs = np.array([diagnoses_of(i, seed=0, difficulty="none") for i in range(2000)])
    assert abs(np.corrcoef(pairs.T)[0, 1]) < 4 / np.sqrt(2000)
    blocks = np.sort(pairs[:, 0].reshape(-1, 4), axis=1)
    assert (blocks == OF_FOUR).all() and pairs[:, 1].mean() == pytest.approx(1.0, abs=0.08)
    assert all(len(set(diagnoses_of(i, seed=0, difficulty="subtle"))) == 1 for i in range(40))


def rows_of(difficulty: Difficulty, people: int) -> tuple[list[dict[str, Any]], list[int]]:
    """Truth of people whose measured volumes are exactly their factors."""
    rows, labels = [], []
    for i in range(people):
        plan = plan_person(i, seed=0, difficulty=difficulty)
        rng = np.random.default_rng([1, i])
        d = sample_decline(rng, plan.age, sample_severity(rng, plan.drawn), difficulty)
        rows.append({"patient": plan.patient, "skull_ml": 1.0, "ventricle_ml": d.ventricles,
                     "hippocampus_ml": d.hippocampus, "cortex_mm": d.cortex, "sulci": d.sulci,
                     "age": plan.age})  # fmt: skip
        labels.append(int(plan.grade > 0))
    return rows, labels


def test_the_oracle_reads_the_volumes_and_nothing_where_nothing_is() -> None:
    reached = {d: oracle_balanced_accuracy(*rows_of(d, 520)) for d in get_args(Difficulty)}
    assert reached["clear"] > 0.96 and 0.90 <= reached["subtle"] < reached["clear"]
    assert reached["none"] == pytest.approx(0.5, abs=0.07)
    rows, labels = rows_of("subtle", 520)
    alone = {n: oracle_balanced_accuracy(rows, labels, only=(n,)) for n in ORACLE_FEATURES}
    assert max(alone, key=alone.__getitem__) == "hippocampus_share"
    assert 0.6 < alone["age"] < reached["subtle"] - 0.1, "age tells something, and not enough"
    with pytest.raises(ValueError, match=r"only: .*'mmse'"):
        oracle_balanced_accuracy(rows, labels, only=("mmse",))


def test_scanners_differ_in_physics_and_a_quarter_has_three_tesla() -> None:
    assert len(SITES) == 8 and sum(s.field_t == 3.0 for s in SITES.values()) == 2
    assert min(SITES) > 950, "numbers of their own"
    assert len({s.vendor for s in SCANNERS.values()}) == 3
    times = {(s.field_t, s.settings.tr_ms, s.settings.ti_ms) for s in SCANNERS.values()}
    assert len(times) == len(SCANNERS) == 4
