"""What lesson 05 computes around its trainings, and which recorded setting a run belongs to."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pandas as pd
import pytest
import torch
from lightning_fabric import Fabric

from medkd_lib.course import lesson_react as lesson
from medkd_lib.course import lesson_react_looks as looks
from medkd_lib.course import mended_react as mended
from medkd_lib.course.experiments.react_arms import ARMS, GEOMETRY, ORACLE, TEACHERS
from medkd_lib.course.experiments.react_study import ReactStudy
from medkd_lib.course.grid import read_grid, results_folder
from medkd_lib.course.lesson import Images
from medkd_lib.course.lesson_react_boxes import grades_by_voxel, pooled, typical_rows
from medkd_lib.course.parameters import read_parameters
from medkd_lib.course.recorded import Recorded, claim_ledger
from medkd_lib.course.recorded_react import COLOURS, means, setting_of
from medkd_lib.course.resolve import Config
from medkd_lib.models.cbam3d import CBAM3D
from medkd_lib.train import Trained
from tests.course.react_boxes import DOSES, GRADES, boxes, cohort
from tests.course.test_react_study import TINY

MASTER = Path(__file__).parents[2] / "notebooks" / "masters" / "05_a_graph_of_regions.py"


def config(**other: object) -> Config:
    """Return the parameters of the master as they stand, with the lesson profile's patients."""
    values = {p.name: p.default for p in read_parameters(MASTER)}
    return Config(**values | {"truncated": False, "patients": 120, "external_patients": 24} | other)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReactStudy]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDKD_HOME", str(tmp_path_factory.mktemp("home")))
        found = ReactStudy(cohort(), TINY, 0, Fabric(accelerator="cpu", devices=1))

        yield found


@pytest.fixture(scope="module")
def trained(study: ReactStudy) -> dict[str, Trained]:
    return {name: study.train(name) for name in ("alone", "react", "teacher")}


def test_the_masters_parameters_describe_the_declared_arm() -> None:
    assert lesson.declared_arm(config()) == ARMS["react"]
    assert lesson.declared_arm(config(beta=0.0)) != ARMS["react"]


def test_tables_have_a_row_per_arm_and_a_difference_per_rival(
    study: ReactStudy, trained: dict[str, Trained]
) -> None:
    results = {name: study.predictions(network) for name, network in trained.items()}
    table = lesson.auc_rows(results, GRADES)
    assert list(table.columns) == ["arm", *GRADES, "macro", "micro"] and len(table) == 3
    apart = lesson.gains(results, "alone", GRADES)
    assert len(apart) == 2 and apart.macro.str.match(r"^[+-]0\.\d{3} \[[+-]").all()


def test_a_student_with_pet_can_be_asked_in_five_ways(
    study: ReactStudy, trained: dict[str, Trained]
) -> None:
    table = lesson.missing_rows(study, {n: trained[n] for n in ("alone", "react")})
    assert table.shown.value_counts().to_dict() == {"CT alone": 4, "CT and PET": 2, "PET alone": 1}
    assert set(lesson.missing_rows(study, {"teacher": trained["teacher"]}).shown) == {"everything"}


def test_doses_are_shares_of_the_full_one(study: ReactStudy, trained: dict[str, Trained]) -> None:
    found = lesson.by_dose(trained["alone"], study.cohort.parts["test"], DOSES)
    assert set(found) == {1.0, 0.5, 0.1}


def test_calibration_moves_no_answer(study: ReactStudy, trained: dict[str, Trained]) -> None:
    honest, raw = lesson.calibrated(study, trained["alone"]), study.predictions(trained["alone"])
    assert np.array_equal(honest.correct, raw.correct)


def test_graphs_attention_and_looks_have_the_shapes_of_the_figures(
    study: ReactStudy, trained: dict[str, Trained]
) -> None:
    test = study.cohort.parts["test"].rows([0, 1])
    graph = looks.graphs_of(trained["react"], test)
    assert graph.nodes.shape == (2, 5, TINY.channels) and graph.of(1).present.shape == (1, 5)
    assert graph.present[:, :4].all() and not graph.present[:, 4].any()  # nobody has two masses
    found = looks.attention_of(trained["react"], test.rows([0]), ("ct", "ct_tenth"))
    assert list(found) == ["full dose", "10% of the dose"]
    maps = looks.looks_of(trained["alone"], test)
    # pooled over the masses: a map has a gradient there alone
    assert torch.as_tensor(maps.share).shape == (2,)
    assert torch.equal(looks.tumour_masks(test), test.images["roi"][:, 0] > 0)


def test_the_released_student_is_one_layer() -> None:
    counts = list(looks.released_student().values())
    assert counts[2] / counts[0] > 0.95


def test_mended_answers_equal_the_modules() -> None:
    torch.manual_seed(0)
    module, features = CBAM3D(8, ratio=4), torch.randn(2, 8, 3, 4, 5)
    narrow, widen = (p.detach() for p in module.shared_mlp.parameters())
    expected = module.channel_weights(features)[:, :, None, None, None] * features
    assert torch.allclose(mended.weighed_channels(features, narrow, widen), expected, atol=1e-6)
    graph = torch.randn(4, 3)
    assert float(mended.edge_loss(graph, graph.clone(), torch.eye(4) / 4)) < 1e-9
    assert mended.benefit_and_reason(
        np.array([0.9, 0.6, 0.2, 0.7]), np.array([True, True, True, False]), 0.5
    ) == (pytest.approx(0.5 - 0.25), "b")


def recorded() -> Recorded:
    grid = read_grid("05")
    runs = pd.DataFrame(
        [{"setting": setting, "arm": arm, "seed": seed, "auc": 0.5, "accuracy": 0.4}
         for setting in ("phantom_subtle", "sts_present")
         for arm in ("alone", "react") for seed in range(5)]
    )  # fmt: skip
    return Recorded(grid, runs, pd.DataFrame(), pd.DataFrame())


def test_only_seed_and_number_of_patients_may_differ_for_a_star(
    capsys: pytest.CaptureFixture[str],
) -> None:
    images = cast(Images, SimpleNamespace(evidence="phantom"))
    real = cast(Images, SimpleNamespace(evidence="stand-in"))
    assert setting_of(recorded(), config(seed=9), images).comparable
    capsys.readouterr()
    assert setting_of(recorded(), config(patients=60), images).comparable
    assert "patients, your run with [60, 24]" in capsys.readouterr().out
    for name, changed in (("profile", {"profile": "smoke"}), ("method", {"alpha": 0.1})):
        assert not setting_of(recorded(), config(**changed), images).comparable
        assert f"in {name}: no star" in capsys.readouterr().out
    sarcoma = setting_of(recorded(), config(dataset="sts_petctmr", target="present"), real)
    assert sarcoma.id == "sts_present" and not sarcoma.comparable
    assert setting_of(recorded(), config(), real).id == "phantom_subtle"


def test_a_grid_of_which_nothing_is_recorded_stops_no_lesson(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(results_folder("05") / "grid.yaml", tmp_path)
    nothing = Recorded.read("05", tmp_path)
    images = cast(Images, SimpleNamespace(evidence="phantom"))
    shown = setting_of(nothing, config(), images)
    assert shown.id == "phantom_subtle" and not shown.comparable
    assert "nothing of this grid is recorded yet" in capsys.readouterr().out
    twin = setting_of(nothing, config(dataset="sts_petctmr"), images)  # was never declared
    assert twin.id == "phantom_subtle" and nothing.titles_in(twin.id) == nothing.titles_in(shown.id)
    assert nothing.of(shown.id).empty and nothing.verdicts(shown.id).empty
    assert nothing.sentence(shown.id, "react_vs_alone") == "not recorded yet"
    ledger = claim_ledger("react_kd", nothing)
    assert set(ledger.verdict) == {"not recorded", "not testable here"}
    one = replace(recorded(), runs=recorded().runs.query("setting == 'sts_present'"))
    assert setting_of(one, config(), images).id == "sts_present"


def test_the_typical_patient_of_a_class_is_the_one_nearest_its_mean_uptake() -> None:
    found = boxes()
    rows = typical_rows(found, 3)
    assert found.labels[rows].tolist() == [0, 1, 2]
    for label, row in enumerate(rows):
        own = [r for r in range(len(found)) if int(found.labels[r]) == label]
        uptake = np.stack([pooled(found, t) for t in ("fdg", "acetate")], axis=1)
        away = np.linalg.norm(uptake - uptake[own].mean(axis=0), axis=1)
        assert away[row] == min(away[own])
    nobody_outlined = replace(found, images={"ct": found.images["ct"]})
    assert typical_rows(nobody_outlined, 3) == [0, 1, 2]


def test_a_coarse_voxel_hides_what_a_fine_one_shows() -> None:
    found = grades_by_voxel(boxes(), GRADES)
    assert found.voxels.tolist() == ["6 mm", "12 mm", "24 mm"]
    assert found["macro AUC"].iloc[0] > 0.95 and set(found.patients) == {36}
    # the mean over whole voxels, half of them liver, is not the mean over the mass
    fine, coarse = pooled(boxes(), "ct"), pooled(boxes(), "ct", 4)
    assert fine[2] - fine[0] > 1.5 > coarse[2] - coarse[0]


def test_every_arm_has_a_colour_and_means_are_in_the_grids_order() -> None:
    assert set(COLOURS) == {*ARMS, *TEACHERS, ORACLE, GEOMETRY}
    table = means(recorded(), "phantom_subtle")
    assert table.arm.tolist() == ["student alone", "REACT-KD"]
    assert "macro AUC" in table and "other hospital" not in table


def test_an_arm_without_attention_has_none_to_look_at(study: ReactStudy) -> None:
    plain = study.train_arm(replace(ARMS["react"], attention="none"))
    with pytest.raises(ValueError, match="without"):
        looks.attention_of(plain, study.cohort.parts["test"].rows([0]), ("ct",))
