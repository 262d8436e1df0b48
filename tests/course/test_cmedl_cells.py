"""The recorded cells of lesson 04: numbers per case and arm, folds joined, a blind guess."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from medkd_lib.course.experiments.cmedl_cells import (
    GEOMETRY,
    answered,
    joined,
    study_of,
    usual_place,
)
from medkd_lib.course.experiments.cmedl_study import TEACHER, CmedlStudy, Plan
from medkd_lib.course.experiments.folds import folds_of
from medkd_lib.methods.bedside import PSEUDO_ONLY
from medkd_lib.methods.cmedl_parts import STUDENTS
from tests.course.test_cmedl_study import TINY, modalities, sections

CPU = Fabric(accelerator="cpu", devices=1)


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CmedlStudy:
    monkeypatch.setenv("MEDKD_HOME", str(tmp_path))
    return CmedlStudy(modalities(), TINY, Plan(), 0, CPU)


def test_every_arm_is_measured_on_the_same_cases(study: CmedlStudy) -> None:
    found = {arm: answered(study, arm) for arm in [*study.arms, GEOMETRY]}
    assert set(found) == {*STUDENTS, PSEUDO_ONLY, TEACHER, GEOMETRY}
    cases = {tuple(m.cases) for m in found.values()}
    assert len(cases) == 1
    patients = set(study.modalities.test.patients)
    for arm, measured in found.items():
        assert set(measured.patients) == patients, arm
        assert set(measured.values) == {"dice", "surface_dice", "hd95_mm", "false_alarms"}
        assert all(len(v) == len(measured.cases) for v in measured.values.values())
        assert all(np.isfinite(x) for x in measured.extras.values()), arm
    assert found["alone"].strata["volume_ml"] == sorted(found["alone"].strata["volume_ml"])
    # what became of the translation stands with the arm that looks at it alone
    assert {"collapsed", "copied", "teacher_dice"} <= set(found[PSEUDO_ONLY].extras)
    assert found[PSEUDO_ONLY].extras["teacher_dice"] == pytest.approx(
        np.nanmean(found[PSEUDO_ONLY].values["dice"])
    )


def test_the_usual_place_is_what_most_sections_with_tumour_show() -> None:
    made = sections("g", 3, "ct")
    masks = torch.zeros_like(made.masks)
    masks[:6, 4:8, 4:8] = 1
    masks[6:8, 10, 10] = 1
    guess = usual_place(replace(made, masks=masks))
    assert guess[4:8, 4:8].all() and guess.sum() == 16


def test_folds_are_joined_case_by_case() -> None:
    from medkd_lib.course.experiments.outcome import Measured

    parts = [
        Measured(["a"], ["p"], "h1", {"dice": [0.5]}, {"volume_ml": [1.0]}, {"x": 1.0}),
        Measured(["b"], ["q"], "h2", {"dice": [0.7]}, {"volume_ml": [2.0]}, {"x": 3.0, "y": 5.0}),
    ]
    whole = joined(parts)
    assert whole.cases == ["a", "b"] and whole.values["dice"] == [0.5, 0.7]
    assert whole.extras == {"x": 2.0, "y": 5.0} and whole.strata["volume_ml"] == [1.0, 2.0]
    assert whole.split != joined(parts[::-1]).split


def test_folds_test_everybody_once() -> None:
    made = sections("f", 17, "ct")
    folds = folds_of(made.patients)
    assert sorted(p for fold in folds for p in fold) == sorted(set(made.patients))
    assert {len(f) for f in folds} == {3, 4}


def test_a_recorded_cell_trains_what_its_options_name() -> None:
    options = {
        "students": "alone+cmedl", "architecture": "mrrn", "translation": "latent",
    }  # fmt: skip
    study = study_of(modalities(truth=False), 0, options, CPU)
    assert list(study.plan.students) == ["alone", "cmedl"]
    assert (study.plan.architecture, study.plan.translation) == ("mrrn", "latent")
    assert TEACHER not in study.arms
