"""Who had lung metastases: ranks by patient, with an interval that says how little is known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from medkd_lib.course import lesson_react_outcome as outcome
from medkd_lib.course.experiments.folds import folds_of
from medkd_lib.data.index import Index, index
from medkd_lib.data.manifest import load_manifest
from medkd_lib.evaluate.classify import Predictions
from medkd_lib.phantom.sts import write_sts

PROBABILITY = np.array([0.2, 0.9, 0.4, 0.3, 0.1, 0.6])
WHO = ("a", "a", "b", "b", "c", "c")


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Index:
    out = write_sts(tmp_path_factory.mktemp("twin") / "sts", patients=4, seed=3)
    return index(load_manifest("sts_petctmr"), out)


def labelled(found: Index, labels: tuple[int | None, ...]) -> Index:
    cases = [replace(c, label=y) for c, y in zip(found.cases, labels, strict=True)]
    return replace(found, cases=cases)


def blocks(found: Index, highest: tuple[float, ...]) -> Predictions:
    """Two blocks of each patient, of which the second has the given probability."""
    who = tuple(c.patient for c in found.cases for _ in range(2))
    p = np.array([x for h in highest for x in (h / 2, h)])
    return Predictions(np.stack([1 - p, p], axis=1), np.zeros(len(p), np.int64), who)


def test_a_patient_has_the_score_of_his_hottest_block() -> None:
    p = Predictions(np.stack([1 - PROBABILITY, PROBABILITY], 1), np.zeros(6, np.int64), WHO)
    assert outcome.highest_by_patient(p) == {"a": 0.9, "b": 0.4, "c": 0.6}


def test_rows_rank_patients_by_their_hottest_block(twin: Index) -> None:
    found = labelled(twin, (0, 1, 0, 1))
    tested = tuple(c.patient for c in found.cases)
    results = {"react": blocks(found, (0.1, 0.9, 0.2, 0.8)), "alone": blocks(found, (9, 1, 8, 2))}
    results["alone"] = replace(results["alone"], probabilities=results["alone"].probabilities / 10)
    table = outcome.outcome_rows(found, results, tested).set_index("score")
    # two against two: one order in six is perfect, and no interval would say so
    assert table.AUC["REACT-KD"] == "1.00, too few for an interval"
    assert table.AUC["student alone"] == "0.00, too few for an interval"
    assert set(table.patients) == {4} and set(table["with metastasis"]) == {2}


def test_an_auc_of_one_kind_of_patient_does_not_exist_and_unlabelled_ones_are_left_out(
    twin: Index,
) -> None:
    found = labelled(twin, (0, 1, None, 0))
    negative = tuple(c.patient for c in found.cases if c.label == 0)
    table = outcome.outcome_rows(found, {}, negative).set_index("score")
    tested = table[table.index.str.endswith("tested patients")]
    assert set(tested.AUC) == {"does not exist: all of one kind"}
    assert set(tested.patients) == {2} and set(tested["with metastasis"]) == {0}
    rest = table.drop(tested.index)
    assert set(rest.patients) == {3} and rest.AUC.str.match(r"\d\.\d\d, too few").all()


def test_scores_of_a_scan_are_its_uptakes_and_its_size(twin: Index) -> None:
    scores = outcome.of_scans(twin)
    whole, tumour = scores["highest SUV of the scan"], scores["highest SUV in the tumour"]
    assert all(0 < tumour[p] <= whole[p] for p in whole) and len(set(whole.values())) == 4
    assert all(100 < x < 20_000 for x in scores["extent of the crop"].values())


def test_on_real_patients_no_score_is_known_to_rank_them(real_data: Path) -> None:
    """The numbers behind the manifest's note on the order of the labels."""
    if not (real_data / "sts_petctmr").is_dir():
        pytest.skip(f"{real_data} has no sts_petctmr")
    found = index(load_manifest("sts_petctmr"), real_data / "sts_petctmr")
    fold = folds_of([c.patient for c in found.cases])[0]
    table = outcome.outcome_rows(found, {}, fold).set_index("score")
    everybody = table[table.index.str.endswith("all patients")]
    assert set(everybody.patients) == {21} and set(everybody["with metastasis"]) == {6}
    found_auc = everybody.AUC.str.extract(r"(\d\.\d\d) \[(\d\.\d\d), (\d\.\d\d)\]").astype(float)
    assert (found_auc[1] < 0.5).all() and (found_auc[2] > 0.5).all()
    # on the grid of the blocks; on the PET's own grid .69, as the manifest says
    assert found_auc[0]["highest SUV in the tumour, all patients"] == pytest.approx(0.69, abs=0.05)
