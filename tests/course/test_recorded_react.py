"""Recorded runs of lesson 05, held against what can be made again in seconds.

The patients of every phantom run are divided again from their plan (split hash, test cases), and
the mean of the numbers case by case is the recorded measure. None of this trains.
"""

import numpy as np
import pytest

from medkd_lib.course.contrasts import EACH, unpacked
from medkd_lib.course.experiments.cohort import divide
from medkd_lib.course.grid import Setting
from medkd_lib.course.recorded import Recorded
from medkd_lib.data.case import Case
from medkd_lib.phantom.hcc_grade import grade_of
from medkd_lib.phantom.hcc_patient import KEYS, Cohort

RECORDED = Recorded.read("05")
PHANTOMS = [s for s in RECORDED.settings if s.difficulty]
COHORT: Cohort = "react_kd_private_cohort"


def plan(patients: int, twin_seed: int) -> list[Case]:
    """Return the cohort's patients with their grades: nobody is scanned."""
    return [
        Case(name, name, COHORT, {}, label=grade_of(n, KEYS[COHORT], twin_seed))
        for n, name in enumerate(f"RKD-{i:03d}" for i in range(1, patients + 1))
    ]


@pytest.mark.parametrize("setting", PHANTOMS, ids=lambda s: s.id)
def test_the_recorded_patients_are_those_of_the_plan(setting: Setting) -> None:
    runs = RECORDED.of(setting.id)
    cases = RECORDED.cases[RECORDED.cases.setting == setting.id]
    patients = setting.patients
    number = patients[0] if isinstance(patients, list) else patients
    everybody = plan(number, setting.twin_seed)
    for seed, mine in runs.groupby("seed"):
        split = divide(everybody, int(str(seed)))
        assert set(mine.split) == {split.hash[:12]}
        assert sorted(set(cases.patient)) == sorted(split.parts["test"])


@pytest.mark.parametrize("measure", ["auc", "accuracy", "log_score"])
def test_a_measure_is_the_mean_of_its_cases(measure: str) -> None:
    for row in RECORDED.runs.itertuples():
        each = unpacked(getattr(row, EACH + measure))
        assert float(np.mean(each)) == pytest.approx(float(getattr(row, measure)), abs=1e-4)


def test_what_the_images_do_not_know_nobody_knows() -> None:
    """In `none` the grade is independent of the images: no arm may be far from one half."""
    none = RECORDED.of("phantom_none")
    if none.empty:
        pytest.skip("phantom_none is not recorded yet")
    means = none.groupby("arm").auc.mean()
    assert ((means > 0.35) & (means < 0.65)).all(), means.to_dict()
