"""What lesson 06 does around its trainings, and how its recordings are read."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
import torch
from lightning_fabric import Fabric

from medkd_lib.course.arm_titles import ARM_TITLES
from medkd_lib.course.experiments.joint_arms import ARMS, GEOMETRY
from medkd_lib.course.experiments.joint_sets import joint_set
from medkd_lib.course.experiments.joint_study import JointStudy
from medkd_lib.course.experiments.outcome import Measured
from medkd_lib.course.grid import read_grid
from medkd_lib.course.lesson_joint import (
    declared_arm,
    gains,
    grey_values,
    open_material,
    typical,
    visible,
    who_is_where,
)
from medkd_lib.course.lesson_joint_left_out import every, left_out
from medkd_lib.course.recorded import Recorded
from medkd_lib.course.recorded_joint import means, setting_of, transfer_gains
from medkd_lib.data.apart import check_apart
from medkd_lib.data.manifest import manifest_folder
from medkd_lib.evaluate.claims import read_paper
from medkd_lib.models.joint_teacher import Fuser, JointTeacher
from tests.course.joint_material import SOURCES, TARGET, cohort
from tests.course.test_joint_study import TINY


def config(**changed: Any) -> Any:
    usual = {
        "profile": "lesson", "dataset": "msd_task06_lung", "sources": "msd_task03_liver+kits23",
        "external": "", "data_root": "", "difficulty": "subtle", "architecture": "unet",
        "domain": "reversal", "lambda_domain": 1.0, "gamma_domain": 10.0, "joint_on": "target",
        "alpha": 0.3, "beta": 0.1, "gamma_labels": 0.6, "temperature": 2.0, "levels": "all",
        "distance": "l2", "follow": "joint", "standardise": False, "dropping": 0.0,
        "sampling": "equal",
        "train_patients": None, "val_patients": None, "patients": 40, "source_patients": 2,
        "external_patients": 2, "size": "small", "seed": 0, "truncated": False,
    }  # fmt: skip
    return SimpleNamespace(**usual | changed)


def test_usual_parameters_are_the_recorded_method() -> None:
    assert declared_arm(config()) == ARMS["joint"]
    assert declared_arm(config(domain="mmd")) == ARMS["joint_mmd"]
    assert declared_arm(config(levels="bottleneck")) == ARMS["joint_bottleneck"]
    assert declared_arm(config(joint_on="all")) == ARMS["joint_on_all"]
    none = declared_arm(config(domain="none"))
    assert none.domain is None and visible(none).domain == ARMS["joint_visible"].domain


def test_twins_are_opened_and_divided(tmp_path: Any) -> None:
    material = open_material(config(train_patients=3, val_patients=2, patients=8))
    assert [i.manifest.id for i in material.images] == [
        "msd_task06_lung", "msd_task03_liver", "kits23"
    ]  # fmt: skip
    assert list(material.cohort.train) == [i.manifest.id for i in material.images]
    people = {n: len(set(s.patients)) for n, s in material.cohort.train.items()}
    assert people == {"msd_task06_lung": 3, "msd_task03_liver": 2, "kits23": 2}
    assert all(i.evidence == "phantom" for i in material.images)


def test_who_is_where_counts_every_part() -> None:
    table = who_is_where(cohort(external=True))
    assert list(table.part) == [
        f"train {TARGET}", f"train {SOURCES[0]}", f"train {SOURCES[1]}", "more", "val", "test",
        "external msd_hippocampus",
    ]  # fmt: skip
    assert list(table.patients) == [6, 8, 8, 8, 3, 4, 3]
    assert table["with lesion"][0] == "50%"
    assert "student" in table["who learns from it"][0]
    assert "nobody" in table["who learns from it"].iloc[-1]


def measured(dice: list[float]) -> Measured:
    names = [f"p{k}" for k in range(len(dice))]
    return Measured(names, names, "split", {"dice": dice})


def test_gains_are_paired_and_skip_what_nobody_measured() -> None:
    results = {
        "alone": measured([0.1, 0.5, np.nan, 0.3]), "joint": measured([0.2, 0.6, 0.9, 0.4])
    }  # fmt: skip
    table = gains(results, [("joint", "alone"), ("joint", "finetuned")])
    assert list(table.minus) == [ARM_TITLES["alone"]]
    assert table.Dice[0] == "+0.100 [+0.100, +0.100]" and table.patients[0] == 3


def test_typical_sections_are_of_different_patients_and_sizes() -> None:
    test = cohort().test
    rows = typical(test, 3)
    area = [int((test.masks[r] > 0).sum()) for r in rows]
    assert len(rows) == 3 and area == sorted(area) and area[0] > 0
    assert len({test.patients[r] for r in rows}) == 3


def test_per_image_values_have_mean_zero_and_spread_one() -> None:
    made = cohort()
    raw, found = grey_values(made), grey_values(made, per_image=True)
    for name, sections in made.train.items():
        inside = sections.images["image"] > -1 + 1e-3
        assert len(raw[name]) == len(found[name]) == int(inside.sum())
        assert float(found[name].mean()) == pytest.approx(0, abs=1e-3)
        assert float(found[name].std()) == pytest.approx(1, abs=1e-3)
    before = [float(v.mean()) for v in raw.values()]
    assert max(before) - min(before) > 0.3


def test_the_declared_grid_names_known_arms_and_sets() -> None:
    grid = read_grid("06")
    known = {*ARMS, GEOMETRY}
    assert set(grid.arms) <= known and set(grid.arms) <= set(ARM_TITLES)
    for setting in grid.settings:
        check_apart(setting.datasets)
        assert len({joint_set(d).family for d in setting.datasets}) == 1
        external = str(setting.options.get("external", ""))
        assert not external or external in setting.datasets
        if setting.options.get("architecture") == "transresunet":
            assert {"alone", "finetuned", "joint", "self_distilled"} <= set(grid.arms_of(setting))
    every = {s.id for s in grid.settings if set(grid.arms_of(s)) == set(grid.arms)}
    families = {joint_set(s.datasets[0]).family for s in grid.settings if s.id in every}
    assert families == {"brain_mr", "body_ct"}


def test_claims_ask_for_declared_contrasts() -> None:
    grids = [read_grid(lesson) for lesson in ("06", "07")]
    owner = {s.id: (grid, s) for grid in grids for s in grid.settings}
    assert len(owner) == sum(len(grid.settings) for grid in grids)
    for claim in read_paper(manifest_folder() / "claims" / "multidataset.yaml").claims:
        assert len({owner[trial.setting][0].lesson for trial in claim.trials}) == 1
        for trial in claim.trials:
            grid, setting = owner[trial.setting]
            contrast = next(c for c in grid.contrasts if c.id == trial.contrast)
            assert {contrast.arm, contrast.rival} <= set(grid.arms_of(setting))
            assert not contrast.settings or setting.id in contrast.settings


def recorded(settings: list[str]) -> Recorded:
    grid = read_grid("06")
    rows = [
        {"setting": s, "arm": a, "seed": k, "dice": 0.5 + 0.1 * k, "probe_kits23": 0.9,
         "dice_median": 0.5, "taught_kits23": 0.4}
        for s in settings for a in ("alone", "joint") for k in (0, 1)
    ]  # fmt: skip
    contrasts = [
        {"setting": s, "contrast": "finetuned_vs_alone", "difference": 0.1 * k, "low": -0.1,
         "high": 0.2}
        for k, s in enumerate(settings)
    ]  # fmt: skip
    return Recorded(grid, pd.DataFrame(rows), pd.DataFrame(), pd.DataFrame(contrasts))


def test_one_source_alone_has_a_cell_in_the_matrix() -> None:
    found = transfer_gains(recorded(["lung_subtle", "lung_from_liver", "brats_from_infarcts"]))
    assert found == {
        ("msd_task03_liver", "msd_task06_lung"): (0.1, (-0.1, 0.2)),
        ("isles2022", "brats2021"): (0.2, (-0.1, 0.2)),
    }


def test_a_run_is_shown_beside_its_own_setting(capsys: pytest.CaptureFixture[str]) -> None:
    ours: Any = SimpleNamespace(evidence="phantom")
    known = recorded(["lung_subtle", "lung_clear"])
    shown = setting_of(known, config(), ours)
    assert (shown.id, shown.comparable) == ("lung_subtle", True)
    assert setting_of(known, config(difficulty="clear"), ours).id == "lung_clear"
    turned = setting_of(known, config(alpha=0.6), ours)
    assert (turned.id, turned.comparable) == ("lung_subtle", False)
    assert "differs from the recorded ones in method" in capsys.readouterr().out
    for other in ({"sources": "msd_task03_liver"}, {"sources": ""}, {"train_patients": 6}):
        assert not setting_of(known, config(**other), ours).comparable, other
    strange = setting_of(known, config(dataset="kits23", sources="msd_task03_liver"), ours)
    assert (strange.id, strange.comparable) == ("lung_subtle", False)
    nothing = replace(known, runs=known.runs.iloc[:0])
    assert not setting_of(nothing, config(), ours).comparable
    table = means(known, "lung_subtle")
    assert list(table.arm) == [ARM_TITLES["alone"], ARM_TITLES["joint"]]
    assert table["Dice"][0] == pytest.approx(0.55) and table["probe, kits23"][0] == 0.9
    assert table["teacher's Dice on its own source, kits23"][0] == 0.4


def test_silencing_a_teacher_who_says_nothing_changes_nothing(cpu: Fabric) -> None:
    study = JointStudy(cohort(), replace(TINY, steps=40, learning_rate=1e-2), 0, cpu)
    joint = study.joint_teacher(ARMS["joint"])
    for fuser in cast(JointTeacher, joint.network).fusers:
        with torch.no_grad():
            cast(Fuser, fuser).mix.weight[:, -cast(Fuser, fuser).channels[-1] :] = 0
    study.joint_teacher = lambda arm: joint  # type: ignore[method-assign]
    table = left_out(study, ARMS["joint"])
    assert list(table.silenced) == ["nobody"] + [f"teacher of {n}" for n in (TARGET, *SOURCES)]
    assert table.Dice[3] == table.Dice[0] != table.Dice[1]


def test_every_third_section_is_of_every_case() -> None:
    test = every(cohort().test, 3)
    assert [name.split("/")[1] for name in test.ids] == ["k000", "k003"] * 4
