"""The verdict is the declared rule: MSGFF must beat its own spread, the teacher the margin."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest

from medkd_lib.course.grid import Grid, results_folder
from medkd_lib.course.recorded import Recorded
from medkd_lib.course.verdict import MARGIN, teacher_verdict

CASES, SEEDS = 200, 5
LABELS = np.arange(CASES) % 2
GRID = Grid.model_validate({
    "lesson": "02", "experiment": "teachers", "declared": "today", "seeds": [*range(SEEDS)],
    "settings": [{"id": "toy", "title": "toy set", "dataset": "brats2023_gli",
                  "evidence": "phantom", "difficulty": "clear", "patients": 9}],
    "arms": ["student", "hybrid", "a4"], "primary": "balanced_accuracy", "correction": "holm",
    "contrasts": [],
})  # fmt: skip


def recorded(right: Mapping[str, list[int]], labels: np.ndarray = LABELS) -> Recorded:
    """Make tables in which an arm answers the first so many cases rightly, per seed."""
    runs = pd.DataFrame([
        {"setting": "toy", "arm": arm, "seed": seed,
         "correct": np.packbits(np.arange(CASES) < count).tobytes().hex()}
        for arm, counts in right.items() for seed, count in enumerate(counts)
    ])  # fmt: skip
    cases = pd.DataFrame({
        "setting": "toy", "case": [f"c{i}" for i in range(CASES)],
        "patient": [f"p{i}" for i in range(CASES)], "label": labels,
    })  # fmt: skip
    return Recorded(GRID, runs, cases, pd.DataFrame())


def test_the_difference_is_balanced_accuracy_of_teacher_minus_student() -> None:
    labels = (np.arange(CASES) >= 150).astype(int)  # 150 of class 0 first, then 50 of class 1
    verdict = teacher_verdict(recorded({"student": [150] * 5, "hybrid": [175] * 5}, labels), "toy")
    # recall of class 1 rises from 0 to 25 / 50, that of class 0 stays 1: a quarter
    assert verdict.difference == pytest.approx(0.25)
    assert verdict.interval[0] < 0.25 < verdict.interval[1]
    assert (verdict.teacher, verdict.margin, verdict.seeds) == ("hybrid", MARGIN, SEEDS)


@pytest.mark.parametrize(
    ("hybrid", "passes", "says"),
    [
        ([140] * 5, True, "beats the student by the margin of 0.02"),
        ([60, 140, 150, 70, 95], False, "is not shown to beat the student"),
        ([60] * 5, False, "is worse than the student"),
    ],
)
def test_a_teacher_passes_by_margin_and_interval(
    hybrid: list[int], passes: bool, says: str
) -> None:
    verdict = teacher_verdict(recorded({"student": [100] * 5, "hybrid": hybrid}), "toy")
    assert verdict.passes is passes
    assert says in verdict.text and verdict.text.startswith("toy set: the teacher (A0")


def test_the_margin_may_be_another() -> None:
    tables = recorded({"student": [100] * 5, "hybrid": [110] * 5})
    assert teacher_verdict(tables, "toy").passes
    strict = teacher_verdict(tables, "toy", margin=0.06)
    assert not strict.passes
    assert "is better than the student, but not by the margin of 0.06" in strict.text


@pytest.mark.parametrize(
    ("a4", "teacher", "says"),
    [
        # gains of 10, 12, 8, 11, 9 cases of 200: mean 10, SD 1.6
        ([130, 132, 128, 131, 129], "a4", "+0.050, SD over seeds 0.008: MSGFF is the teacher"),
        # gains of 60, -50, 40, -40, 5: mean 3, SD 48
        ([180, 70, 160, 80, 125], "hybrid", "MSGFF is not supported"),
        ([110] * 5, "hybrid", "-0.050, SD over seeds 0.000: MSGFF is not supported"),
    ],
)
def test_msgff_must_beat_its_own_spread(a4: list[int], teacher: str, says: str) -> None:
    verdict = teacher_verdict(
        recorded({"student": [100] * 5, "hybrid": [120] * 5, "a4": a4}), "toy"
    )
    assert verdict.teacher == teacher and says in verdict.choice
    assert ("A4" in verdict.text) == (teacher == "a4")


def test_the_chosen_teacher_is_compared_with_the_student() -> None:
    verdict = teacher_verdict(
        recorded({"student": [100] * 5, "hybrid": [120] * 5, "a4": [130] * 5}), "toy"
    )
    assert verdict.difference == pytest.approx(0.15)


def test_an_unfinished_ladder_keeps_the_hybrid_and_an_unfinished_hybrid_is_no_verdict() -> None:
    tables = recorded({"student": [100] * 5, "hybrid": [120] * 5, "a4": [190] * 3})
    verdict = teacher_verdict(tables, "toy")
    assert verdict.teacher == "hybrid" and "not recorded here" in verdict.choice
    with pytest.raises(
        ValueError, match=r"all seeds of student and hybrid.*\['hybrid'\].*record 02"
    ):
        teacher_verdict(recorded({"student": [100] * 5, "hybrid": [120] * 4}), "toy")


needs_tables = pytest.mark.skipif(
    not (results_folder("02") / "contrasts.csv").is_file(), reason="lesson 02 is not recorded yet"
)


@needs_tables
def test_the_recorded_verdict_agrees_with_the_declared_contrast() -> None:
    tables = Recorded.read("02")
    for line in tables.contrasts[tables.contrasts.contrast == "teacher_vs_student"].itertuples():
        verdict = teacher_verdict(tables, str(line.setting))
        if verdict.teacher == "hybrid":
            assert verdict.difference == pytest.approx(line.difference, abs=1e-4)
            assert verdict.interval == pytest.approx((line.low, line.high), abs=1e-4)
