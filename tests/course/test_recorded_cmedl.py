"""A reader's run of lesson 04 beside the recorded ones: only the seed may differ."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from medkd_lib.course.experiments.cmedl_budget import LESSON
from medkd_lib.course.experiments.cmedl_study import CmedlStudy, Plan
from medkd_lib.course.experiments.modalities import Modalities
from medkd_lib.course.grid import ContrastPlan, Grid, Setting
from medkd_lib.course.lesson import Images
from medkd_lib.course.parameters import read_parameters
from medkd_lib.course.recorded import Recorded
from medkd_lib.course.recorded_cmedl import (
    TRANSLATION,
    answered_nothing,
    recorded_reach,
    recorded_translation,
    setting_name,
    setting_of,
    tally,
)
from medkd_lib.course.resolve import Config
from medkd_lib.methods.cmedl_parts import Hints, Weights

MASTER = Path(__file__).parents[2] / "notebooks" / "masters" / "04_unpaired_modalities.py"
CHESTS = "msd_task06_lung+cmedl_private_mr_cohort"


def config(**other: object) -> Config:
    values: dict[str, object] = {
        "profile": "lesson", "truncated": False, "dataset": "msd_task06_lung", "seed": 7,
        "difficulty": "subtle", "setting": "informative", "teacher": "mr", "architecture": "unet",
        "translation": "cyclegan", "patients": 100, "mr_patients": 28,
    }  # fmt: skip
    return Config(**values | other)


def images(evidence: str = "phantom") -> Images:
    return cast(Images, SimpleNamespace(evidence=evidence))


def setting(name: str, **other: Any) -> Setting:
    return Setting(
        id=name, title=name, evidence="phantom",
        **{"dataset": CHESTS, "difficulty": "subtle", "patients": [100, 28]} | other,
    )  # fmt: skip


@pytest.fixture
def recorded() -> Recorded:
    settings = [
        setting("phantom_subtle"),
        setting("phantom_subtle_weak", dataset="+".join(CHESTS.split("+")[::-1]),
                patients=[28, 40]),
        setting("sts_mr", dataset="sts_petctmr", difficulty="", real_folder="sts", patients=0),
    ]  # fmt: skip
    grid = Grid(
        lesson="04", experiment="cmedl", declared="today", seeds=[0, 1, 2, 3, 4],
        settings=settings, arms=["alone", "cmedl"], primary="dice", correction="holm",
        contrasts=[],
    )  # fmt: skip
    runs = pd.DataFrame(
        [{"setting": s.id, "arm": arm, "seed": seed, "dice": 0.5 + 0.1 * (arm == "alone")
          + 0.01 * seed} for s in settings for arm in ("cmedl", "alone") for seed in range(3)]
    )  # fmt: skip
    return Recorded(grid, runs, pd.DataFrame(), pd.DataFrame())


def study(plan: Plan | None = None, teaching_share: float = 0.5) -> CmedlStudy:
    modalities = SimpleNamespace(share=0.5, teaching_share=teaching_share)
    return cast(
        CmedlStudy, SimpleNamespace(plan=plan or Plan(), modalities=modalities, budget=LESSON)
    )


def test_names_are_the_grids() -> None:
    assert setting_name(config(), images()) == "phantom_subtle"
    assert setting_name(config(architecture="mrrn"), images()) == "phantom_subtle_mrrn"
    assert setting_name(config(translation="latent"), images()) == "phantom_subtle_latent"
    assert setting_name(config(setting="weak"), images()) == "phantom_subtle_weak"
    sarcoma = config(dataset="sts_petctmr", teacher="pet")
    assert setting_name(sarcoma, images("stand-in")) == "sts_pet"


def test_a_run_that_differs_by_seed_and_updates_gets_a_star(
    recorded: Recorded, capsys: pytest.CaptureFixture[str]
) -> None:
    assert setting_of(recorded, study(), config(), images()).comparable
    assert "recorded with 600 updates, your run with 300" in capsys.readouterr().out
    weak = setting_of(recorded, study(), config(setting="weak", patients=40), images())
    assert weak.id == "phantom_subtle_weak" and weak.comparable


def test_whatever_else_differs_takes_the_star_away(
    recorded: Recorded, capsys: pytest.CaptureFixture[str]
) -> None:
    louder = Plan(hints=replace(Hints(), weight=5.0))
    for name, run, mine in (
        ("profile", study(), config(profile="smoke")),
        ("patients", study(), config(patients=50)),
        ("hints", study(louder), config()),
        ("teaching_share", study(teaching_share=0.0), config()),
    ):
        assert not setting_of(recorded, run, mine, images()).comparable
        assert f"in {name}: no star" in capsys.readouterr().out
    fold = config(dataset="sts_petctmr")
    shown = setting_of(recorded, study(), fold, images("stand-in"))
    assert shown.id == "sts_mr" and not shown.comparable


@pytest.mark.parametrize("other", [{"architecture": "mrrn"}, {"dataset": "nsclc_radiomics"},
                                   {"dataset": "sts_petctmr"}])  # fmt: skip
def test_what_was_not_recorded_is_shown_beside_the_default(
    recorded: Recorded, other: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    shown = setting_of(recorded, study(), config(**other), images())
    assert shown.id == "phantom_subtle" and not shown.comparable
    assert "was not recorded: shown is phantom_subtle" in capsys.readouterr().out


def test_the_lessons_knobs_begin_where_the_recorded_runs_were() -> None:
    given = {p.name: p.default for p in read_parameters(MASTER)}
    hints, weights = Hints(), Weights()
    assert (given["lambda_hint"], given["hint_warmup"]) == (hints.weight, hints.warm_up)
    assert (given["hint_distance"], given["detach_teacher"]) == (hints.distance, hints.detach)
    assert (given["lambda_cycle"], given["lambda_identity"]) == (weights.cycle, weights.identity)
    assert given["lambda_contextual"] == weights.contextual
    assert given["seg_to_generator"] == weights.segmentation_to_generator
    assert given["teaching_share"] == Modalities.teaching_share


def test_means_are_over_seeds_in_the_grids_order(recorded: Recorded) -> None:
    found = recorded.means_of("phantom_subtle", {"dice": "Dice"})
    assert found.arm.tolist() == ["student alone", "CMEDL: hints from the translation"]
    np.testing.assert_allclose(found.Dice, [0.61, 0.51])


def with_rows(recorded: Recorded, rows: list[dict[str, Any]]) -> Recorded:
    return replace(recorded, runs=pd.concat([recorded.runs, pd.DataFrame(rows)], ignore_index=True))


def test_what_more_labels_reach_is_shown_where_all_three_arms_ran(recorded: Recorded) -> None:
    rows = [
        {"setting": "phantom_subtle", "arm": arm, "seed": seed, "dice": dice + 0.1 * seed}
        for arm, dice in (("more_labels", 0.7), ("teacher_true", 0.8))
        for seed in (0, 1)
    ]
    rows.append({"setting": "sts_mr", "arm": "teacher_true", "seed": 0, "dice": 0.9})
    found = recorded_reach(with_rows(recorded, rows))
    assert found.to_numpy().tolist() == [["phantom_subtle", "0.610", "0.750", "0.850"]]
    assert recorded_reach(recorded).empty


def test_recorded_translations_show_no_contrast_of_the_older_definition(recorded: Recorded) -> None:
    shown = {name: 0.1 for name in TRANSLATION} | {"soft_source": 9.0}
    rows = [
        {"setting": "phantom_subtle", "arm": "pseudo_only", "seed": seed, "dice": 0.4}
        | shown | {"mae": 0.2 * seed, "contrast_true": np.nan}
        for seed in (0, 1)
    ]  # fmt: skip
    (row,) = recorded_translation(with_rows(recorded, rows)).to_dict("records")
    assert row[TRANSLATION["mae"]] == "0.100" and row[TRANSLATION["contrast_true"]] == ""
    assert row["recorded setting"] == "phantom_subtle" and "9.000" not in row.values()


def test_trainings_that_answered_nothing_are_named_and_a_guess_is_none(recorded: Recorded) -> None:
    assert answered_nothing(recorded, "sts_mr").endswith("(Dice below 0.01): none")
    rows = [
        {"setting": "sts_mr", "arm": "cmedl", "seed": 4, "dice": 0.004},
        {"setting": "sts_mr", "arm": "geometry", "seed": 4, "dice": 0.003},
        {"setting": "phantom_subtle", "arm": "alone", "seed": 4, "dice": 0.0},
    ]
    found = answered_nothing(with_rows(recorded, rows), "sts_mr")
    assert found.endswith(": CMEDL: hints from the translation (seed 4)")


def test_a_tally_counts_verdicts_and_only_phantoms_for_more_labels(recorded: Recorded) -> None:
    asked = {"cmedl_vs_alone": "CMEDL?", "true_vs_alone": "true?", "more_vs_cmedl": "more?"}
    contrasts = [
        ContrastPlan(id=name, family="f", arm="cmedl", rival="alone", question=question)
        for name, question in asked.items()
    ]
    table = pd.DataFrame(
        [("phantom_subtle", "cmedl_vs_alone", "worse"), ("sts_mr", "cmedl_vs_alone", "better"),
         ("phantom_subtle_weak", "cmedl_vs_alone", "worse"),
         ("sts_mr", "true_vs_alone", "undecided"),
         ("phantom_subtle", "more_vs_cmedl", "better"),
         ("phantom_subtle_weak", "more_vs_cmedl", "undecided"),
         ("sts_mr", "more_vs_cmedl", "better")],
        columns=["setting", "contrast", "verdict"],
    )  # fmt: skip
    settings = [
        s.model_copy(update={"evidence": "stand-in"}) if s.id == "sts_mr" else s
        for s in recorded.grid.settings
    ]
    grid = recorded.grid.model_copy(update={"contrasts": contrasts, "settings": settings})
    assert tally(replace(recorded, grid=grid, contrasts=table)) == [
        "CMEDL?: better in 1, worse in 2, undecided in 0 of 3 recorded settings",
        "true?: better in 0, worse in 0, undecided in 1 of 1 recorded settings",
        "twice the labels beat CMEDL in 1 of 2 phantoms that had them",
    ]
