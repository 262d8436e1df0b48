"""The recorder: runs once, keeps what is there, and says which rows other code made."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from medkd_lib.course import record as recorder
from medkd_lib.course.experiments.outcome import Outcome
from medkd_lib.course.experiments.registry import Experiment
from medkd_lib.course.grid import Grid
from medkd_lib.course.record import of_other_code, record
from medkd_lib.course.tables import read_runs
from medkd_lib.evaluate.classify import Predictions

GRID = Grid.model_validate({
    "lesson": "99", "experiment": "logits", "declared": "today", "seeds": [0, 1, 2, 3, 4],
    "settings": [{"id": "toy", "title": "t", "dataset": "cxr3", "evidence": "stand-in",
                  "real_folder": "films"}],
    "arms": ["one", "other"], "primary": "accuracy", "correction": "holm", "contrasts": [],
})  # fmt: skip


def answer() -> Outcome:
    patients = ("a", "b", "c", "d")
    predictions = Predictions.from_logits(np.eye(4, 2), np.array([0, 1, 0, 1]), patients)
    return Outcome(predictions, patients, "split")


@pytest.fixture
def ran(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Films that nobody reads, an experiment that trains nothing, and the cells it was asked."""
    (tmp_path / "films").mkdir()
    monkeypatch.setenv("MEDKD_REAL_DATA", str(tmp_path))
    cells: list[tuple[str, int]] = []

    def run(
        datasets: Sequence[str], roots: Sequence[str], arm: str, seed: int, *rest: object
    ) -> Outcome:
        cells.append((arm, seed))
        return answer()

    monkeypatch.setattr(recorder, "EXPERIMENTS", {"logits": Experiment(run, ("other",))})
    return cells


def test_each_cell_runs_once_and_teachers_run_first(
    ran: list[tuple[str, int]], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    record(GRID, out, seeds=[0, 1])
    assert ran == [("other", 0), ("other", 1), ("one", 0), ("one", 1)]
    record(GRID, out)
    assert len(ran) == 10 and len(read_runs(out)) == 10


def test_rows_of_other_code_stay_and_are_named(
    ran: list[tuple[str, int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    told: list[str] = []
    record(GRID, out, tell=told.append)
    assert not any("other code" in line for line in told)
    monkeypatch.setattr(recorder, "code_hash", lambda rooms: "changed")
    record(GRID, out, arms=["one"], tell=told.append)
    assert told[-1] == f"rows of other code stay in {out / 'runs.csv'}: toy other"
    runs = read_runs(out)
    assert set(runs[runs.arm == "one"].code) == {"changed"} and len(runs) == 10


def test_other_code_is_named_setting_by_setting() -> None:
    runs = pd.DataFrame(
        [("b", "x", "old"), ("b", "x", "old"), ("b", "y", "new"), ("a", "z", "older")],
        columns=["setting", "arm", "code"],
    )
    assert of_other_code(runs, "new") == "b x; a z"
    assert of_other_code(runs[runs.code == "new"], "new") == ""
