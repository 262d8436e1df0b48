"""Recorded tables: written whole, recomputable, and never fed by an unfinished grid."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from medkd_lib.course.contrasts import contrast_table, correct_matrix, values_matrix
from medkd_lib.course.grid import Grid, read_grid, results_folder
from medkd_lib.course.record import record
from medkd_lib.course.tables import (
    RunRow,
    read_cases,
    read_contrasts,
    read_runs,
    write_tables,
)
from medkd_lib.data.manifest import manifest_folder
from medkd_lib.evaluate.claims import Paper, judge, kept, ledger, read_paper
from medkd_lib.evaluate.intervals import decide

RECORDED = [p.parent.name for p in sorted(results_folder("00").parent.glob("*/runs.csv"))]
# Settings of these lessons are recorded arm by arm; README and ledger say what is not there yet.
ARMS_TO_COME = ("05",)


def grid() -> Grid:
    return Grid.model_validate({
        "lesson": "99", "experiment": "logits", "options": {"temperature": 4, "alpha": 0.9},
        "declared": "today", "seeds": [0, 1, 2, 3, 4],
        "settings": [{"id": "toy", "title": "t", "dataset": "cxr3", "evidence": "phantom",
                      "difficulty": "clear", "patients": 9}],
        "arms": ["few_kd", "few_alone"], "primary": "accuracy", "correction": "holm",
        "contrasts": [{"id": "c", "question": "?", "arm": "few_kd", "rival": "few_alone"}],
    })  # fmt: skip


def rows(seeds: int = 5, cases: int = 21) -> list[RunRow]:
    made = []
    for arm, rate in (("few_kd", 0.9), ("few_alone", 0.5)):
        for seed in range(seeds):
            correct = np.random.default_rng([seed, len(arm)]).random(cases) < rate
            made.append(RunRow(
                "toy", arm, seed, "split", "code", 1.0, {"accuracy": float(correct.mean())},
                np.packbits(correct).tobytes().hex(), [f"c{i}" for i in range(cases)],
                [f"p{i // 2}" for i in range(cases)],
            ))  # fmt: skip
    return made


def test_round_trip_and_recomputation(tmp_path: Path) -> None:
    write_tables(grid(), rows(), tmp_path)
    runs, cases = read_runs(tmp_path), read_cases(tmp_path)
    matrix = correct_matrix(runs, "toy", "few_kd", len(cases))
    accuracies = runs[runs.arm == "few_kd"].sort_values("seed").accuracy
    np.testing.assert_allclose(matrix.mean(1), accuracies)
    again = contrast_table(grid(), runs, cases)
    pd.testing.assert_frame_equal(again, read_contrasts(tmp_path))
    assert again.iloc[0].verdict == "better"


def test_a_case_has_one_line_whatever_is_not_known_of_it(tmp_path: Path) -> None:
    """A block without a tumour has no volume, and another setting's cases have none at all."""
    made = [
        replace(row, strata={"volume_ml": [math.nan if i % 3 else 1.5 for i in range(21)]})
        for row in rows()
    ]
    declared = grid()
    two = declared.settings[0].model_copy(update={"id": "other"})
    declared = declared.model_copy(update={"settings": [*declared.settings, two]})
    write_tables(declared, made, tmp_path)
    once = read_cases(tmp_path)
    assert len(once) == 21 and once.volume_ml.notna().sum() == 7
    plain = [replace(row, setting="other", strata={}) for row in made]
    for _ in range(2):
        write_tables(declared, plain, tmp_path)
        both = read_cases(tmp_path)
        assert len(both) == 42
        pd.testing.assert_frame_equal(both[both.setting == "toy"], once)


def test_an_unfinished_grid_gives_no_contrast(tmp_path: Path) -> None:
    write_tables(grid(), rows()[:-1], tmp_path)
    assert read_runs(tmp_path).shape[0] == 9
    assert len(read_contrasts(tmp_path)) == 0


@pytest.mark.parametrize("lesson", RECORDED)
def test_committed_contrasts_follow_from_the_committed_runs(lesson: str) -> None:
    folder = results_folder(lesson)
    declared = read_grid(lesson)
    runs = read_runs(folder)
    again = contrast_table(declared, runs, read_cases(folder))
    pd.testing.assert_frame_equal(again, read_contrasts(folder), check_exact=False, atol=2e-4)
    for setting in declared.settings:
        mine = runs[runs.setting == setting.id]
        seeds = len(declared.seeds_of(setting))
        half = mine.groupby("arm").seed.nunique()
        half = half[half != seeds]
        assert half.empty, f"{setting.id}, {list(half.index)}: medkd record {lesson}"
        cells = len(declared.arms_of(setting)) * seeds
        if lesson not in ARMS_TO_COME:
            assert len(mine) in (0, cells), f"{setting.id} lacks arms: medkd record {lesson}"


def balanced_grid(**contrast: str) -> Grid:
    raw = grid().model_dump()
    raw["primary"] = "balanced_accuracy"
    raw["contrasts"][0] |= contrast
    return Grid.model_validate(raw)


def with_labels(made: list[RunRow]) -> list[RunRow]:
    """The first 14 cases are of class 0 (no tumour), the last 7 of class 1, ever larger."""
    labels, sizes = [0] * 14 + [1] * 7, [0.0] * 14 + [float(n) for n in range(10, 17)]
    return [replace(r, labels=labels, sizes_mm2=sizes, correct_noisy="ffffff") for r in made]


def test_balanced_accuracy_weighs_classes_alike(tmp_path: Path) -> None:
    write_tables(balanced_grid(), with_labels(rows()), tmp_path)
    arm, rival = (
        correct_matrix(read_runs(tmp_path), "toy", a, 21).mean(0) for a in ("few_kd", "few_alone")
    )
    recall = [(arm - rival)[:14].mean(), (arm - rival)[14:].mean()]
    found = read_contrasts(tmp_path).iloc[0]
    assert found.difference == pytest.approx(np.mean(recall), abs=1e-4)
    again = contrast_table(balanced_grid(), read_runs(tmp_path), read_cases(tmp_path))
    pd.testing.assert_frame_equal(again, read_contrasts(tmp_path))


def test_a_contrast_about_small_tumours_asks_those_images_alone(tmp_path: Path) -> None:
    write_tables(balanced_grid(only="small"), with_labels(rows()), tmp_path)
    arm, rival = (
        correct_matrix(read_runs(tmp_path), "toy", a, 21)[:, 14:17].mean()
        for a in ("few_kd", "few_alone")
    )
    found = read_contrasts(tmp_path).iloc[0]
    assert found.cases == 3 and found.difference == pytest.approx(arm - rival, abs=1e-4)


def test_a_contrast_about_noisy_answers(tmp_path: Path) -> None:
    write_tables(balanced_grid(answers="noisy"), with_labels(rows()), tmp_path)
    assert read_contrasts(tmp_path).iloc[0].difference == 0, "all noisy answers are right here"


def test_recording_a_part_later_keeps_labels_and_sizes(tmp_path: Path) -> None:
    made = with_labels(rows())
    write_tables(balanced_grid(), made[:6], tmp_path)
    write_tables(balanced_grid(), made[6:], tmp_path)
    whole = read_cases(tmp_path)
    assert whole.label.tolist() == made[0].labels and whole.size_mm2.tolist() == made[0].sizes_mm2
    assert len(read_runs(tmp_path)) == 10 and len(read_contrasts(tmp_path)) == 1


def test_arms_of_one_seed_trained_on_other_patients_are_not_mixed(tmp_path: Path) -> None:
    write_tables(grid(), rows()[:5], tmp_path)
    before = (tmp_path / "runs.csv").read_bytes()
    moved = [replace(r, split="moved") for r in rows()[5:]]
    with pytest.raises(ValueError, match="toy, seed 0, found split: few_kd; moved: few_alone"):
        write_tables(grid(), moved, tmp_path)
    assert (tmp_path / "runs.csv").read_bytes() == before
    # Nothing is mixed where every arm of the seed is new, or where only seeds differ.
    write_tables(grid(), [replace(r, split="moved") for r in rows()], tmp_path)
    each = [replace(r, split=f"split{r.seed}") for r in rows()]
    write_tables(grid(), each, tmp_path)
    assert read_runs(tmp_path).groupby("seed").split.nunique().max() == 1


def dice_grid(**contrast: str) -> Grid:
    raw = grid().model_dump()
    raw |= {"experiment": "cmedl", "primary": "dice"}
    raw["contrasts"][0] |= contrast
    return Grid.model_validate(raw)


def measured_rows() -> list[RunRow]:
    """Ten cases, the last without a value; the arm gains 0.2 on the five small ones alone."""
    made = []
    volumes = [float(n) for n in range(1, 11)]
    for arm, gain in (("few_kd", 0.2), ("few_alone", 0.0)):
        for seed in range(5):
            dice = [0.5 + 0.01 * seed + (gain if v <= 5 else 0) for v in volumes[:-1]]
            made.append(RunRow(
                "toy", arm, seed, "split", "code", 1.0, {"dice": 0.5}, "",
                [f"c{i}" for i in range(10)], [f"p{i}" for i in range(10)],
                values={"dice": [*dice, float("nan")], "hd95_mm": [5.0 - gain] * 10},
                strata={"volume_ml": volumes},
            ))  # fmt: skip
    return made


def test_measured_cases_are_compared_case_by_case(tmp_path: Path) -> None:
    write_tables(dice_grid(), measured_rows()[:7], tmp_path)
    write_tables(dice_grid(), measured_rows()[7:], tmp_path)
    found = read_contrasts(tmp_path).iloc[0]
    assert found.cases == 9, "a case without a value is left out"
    assert found.difference == pytest.approx(0.2 * 5 / 9, abs=1e-4)
    assert values_matrix(read_runs(tmp_path), "toy", "few_kd", "dice").shape == (5, 10)
    assert read_cases(tmp_path).volume_ml.tolist() == [float(n) for n in range(1, 11)]
    again = contrast_table(dice_grid(), read_runs(tmp_path), read_cases(tmp_path))
    pd.testing.assert_frame_equal(again, read_contrasts(tmp_path))


def test_another_measure_and_another_stratum(tmp_path: Path) -> None:
    write_tables(dice_grid(measure="hd95_mm"), measured_rows(), tmp_path)
    assert read_contrasts(tmp_path).iloc[0].difference == pytest.approx(-0.2)
    small = dice_grid(only="small", by="volume_ml")
    found = contrast_table(small, read_runs(tmp_path), read_cases(tmp_path)).iloc[0]
    assert found.cases == 4 and found.difference == pytest.approx(0.2)


def test_a_setting_may_run_fewer_seeds_but_not_fewer_than_three() -> None:
    raw = grid().model_dump()
    raw["settings"][0]["seeds"] = [0, 1, 2]
    made = Grid.model_validate(raw)
    assert made.seeds_of(made.settings[0]) == [0, 1, 2]
    for wrong in ([0, 1], [0, 1, 9]):
        raw["settings"][0]["seeds"] = wrong
        with pytest.raises(ValueError, match="at least 3"):
            Grid.model_validate(raw)


def test_a_setting_may_run_fewer_arms() -> None:
    raw = grid().model_dump()
    raw["settings"].append(raw["settings"][0] | {"id": "small", "arms": ["few_kd"]})
    made = Grid.model_validate(raw)
    assert made.arms_of(made.settings[1]) == ["few_kd"]
    assert made.contrasts_of(made.settings[1]) == [], "one arm alone answers no contrast"
    raw["settings"][1]["arms"] = ["nobody"]
    with pytest.raises(ValueError, match="nobody"):
        Grid.model_validate(raw)


def test_what_the_grid_does_not_declare_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not in the declared grid"):
        record(grid(), tmp_path, arms=["few_kdd"])


def test_a_contrast_on_an_undeclared_arm_is_refused() -> None:
    raw = grid().model_dump()
    raw["contrasts"][0]["rival"] = "nobody"
    with pytest.raises(ValueError, match="nobody"):
        Grid.model_validate(raw)


def test_every_trial_of_a_claim_is_declared_by_some_grid() -> None:
    declared = {
        (setting.id, plan.id)
        for path in results_folder("00").parent.glob("*/grid.yaml")
        for grid in [read_grid(path.parent.name)]
        for setting in grid.settings
        for plan in grid.contrasts_of(setting)
    }
    for path in sorted((manifest_folder() / "claims").glob("*.yaml")):
        if path.stem == "yagis2021":  # tried by lesson 01 itself, which needs no grid
            continue
        for claim in read_paper(path).claims:
            for trial in claim.trials:
                asked = (trial.setting, trial.contrast)
                assert asked in declared, f"{path.name}, {claim.id}: no grid declares {asked}"


def test_verdicts_of_the_ledger() -> None:
    assert judge("phantom", decide((0.1, 0.2), 0.01)) == "direction supported"
    assert judge("original", decide((0.1, 0.2), 0.01)) == "reproduced"
    assert judge("phantom", decide((0.1, 0.2), 0.2)) == "undecided at this n"
    assert judge("phantom", decide((-0.1, 0.2), 0.01)) == "undecided at this n"
    assert judge("stand-in", decide((-0.2, -0.1), 0.01)) == "not supported"


def test_a_claim_that_something_is_kept() -> None:
    assert kept(-0.02, 0.05, margin=0.05) == "better"
    assert kept(-0.02, 0.05, margin=0.01) == "undecided"
    assert kept(-0.20, -0.06, margin=0.05) == "worse"


def test_the_ledger_keeps_every_claim(tmp_path: Path) -> None:
    paper = read_paper(manifest_folder() / "claims" / "hinton2015.yaml")
    write_tables(grid(), rows()[:-1], tmp_path)
    shown = ledger(paper, read_contrasts(tmp_path))
    assert set(shown.claim) == {c.id for c in paper.claims}
    assert "reproduced" not in set(shown.verdict)


def test_a_verdict_waits_for_its_premise() -> None:
    premise = {"arm": "joint", "measures": "probe_", "below": 0.6, "why": "not hidden"}
    trial = {"setting": "s", "contrast": "c", "evidence": "phantom", "premise": premise}
    claim = {"id": "x", "text": "t", "place": "p", "published": None, "trials": [trial]}
    paper = Paper.model_validate({"id": "x", "citation": "c", "claims": [claim]})
    line = {"setting": "s", "contrast": "c", "difference": 0.1, "low": 0.05, "high": 0.2,
            "verdict": "better", "seeds": 2, "patients": 9}  # fmt: skip
    contrasts = pd.DataFrame([line])

    def shown(probes: list[float], arm: str = "joint") -> tuple[str, str]:
        runs = pd.DataFrame({"setting": "s", "arm": arm, "probe_a": probes, "probe_b": 0.5})
        row = ledger(paper, contrasts, runs).iloc[0]
        return row.verdict, row.note

    assert shown([0.55, 0.59]) == ("direction supported", "s: c")
    verdict, note = shown([0.55, 0.61])
    assert verdict == "not testable here" and "not hidden" in note and "0.61" in note
    assert shown([0.55, 0.59], arm="other")[0] == "not testable here"
    assert ledger(paper, contrasts).iloc[0].verdict == "not testable here"


@pytest.mark.real_data
@pytest.mark.slow
def test_a_recorded_run_on_real_films_comes_out_again(real_data: Path, tmp_path: Path) -> None:
    """Another processor may round differently, so a band, not a number."""
    from lightning_fabric import Fabric

    from medkd_lib.course.experiments.logits import Budget, Study, run_arm
    from medkd_lib.data.index import index
    from medkd_lib.data.manifest import load_manifest

    runs = read_runs(results_folder("00"))
    kept = runs[(runs.setting == "cxr3_real") & (runs.arm == "few_alone") & (runs.seed == 0)].iloc[
        0
    ]
    found = index(load_manifest("cxr3"), real_data / "cxr3")
    study = Study(found, Budget(), 0, Fabric(accelerator="cpu", devices=1))
    assert study.split.hash == kept.split
    accuracy = run_arm(study, "few_alone").correct.mean()
    assert accuracy == pytest.approx(kept.accuracy, abs=0.06)
