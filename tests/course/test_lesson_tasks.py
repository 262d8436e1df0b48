"""What lesson 07 does around its trainings, and how its recordings are read."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from medkd_lib.course import grid as grid_module
from medkd_lib.course.experiments.box_sets import box_set
from medkd_lib.course.experiments.label_sets import label_set
from medkd_lib.course.experiments.outcome import Measured
from medkd_lib.course.grid import Setting, read_grid
from medkd_lib.course.lesson_boxes import some_of, typical_boxes
from medkd_lib.course.lesson_labels import (
    LabelMaterial,
    houses_of,
    named_in,
    open_labels,
    value_table,
    who_learns,
    within_houses,
)
from medkd_lib.course.mended_tasks import auc_within
from medkd_lib.course.recorded import Recorded
from medkd_lib.course.recorded_tasks import setting_of
from medkd_lib.data.apart import LeakageError
from medkd_lib.data.manifest import Manifest
from medkd_lib.evaluate.classify import Predictions
from medkd_lib.evaluate.detection import Detections
from tests.course.test_box_geometry import marked


def config(**changed: Any) -> Any:
    usual = {
        "profile": "lesson", "dataset": "covid_radiography", "sources": "covid_qu_ex",
        "data_root": "", "difficulty": "subtle", "shortcut": 1.0, "clean": True, "patients": 110,
        "source_patients": 12, "fair_patients": 16, "train_patients": 40, "val_patients": 20,
        "architecture": "medvit", "detector": "faster_rcnn", "box_difficulty": "clear", "seed": 0,
    }  # fmt: skip
    return SimpleNamespace(**usual | changed)


@pytest.fixture(scope="module")
def films() -> LabelMaterial:
    return open_labels(config(), 32)


def test_every_film_of_a_phantom_has_a_house(films: LabelMaterial) -> None:
    for part in (films.cohort.train["covid_radiography"], films.cohort.val, films.cohort.test):
        assert set(part.ids) <= films.houses.keys()
    assert len(set(films.houses.values())) > 2
    table = who_learns(films.cohort, "normal", dict.fromkeys(films.cohort.parts, 0.5))
    assert table.images.sum() == sum(
        len(part) for name, part in films.cohort.parts.items() if name != "more"
    )


def test_the_class_tells_the_house_but_not_of_fair_films(films: LabelMaterial) -> None:
    """A reader of houses is right on the documented films and guesses on the fair ones."""
    assert films.fair is not None and len(films.fair) >= 16
    kermany = np.array([films.houses[i] == "kermany" for i in films.cohort.test.ids])
    assert set(films.cohort.test.labels.numpy()[kermany].tolist()) <= {0, 3}  # children: no COVID
    assert not set(films.fair.ids) - {
        i for i in films.fair.ids if i.startswith("covid_radiography")
    }
    root = films.images[0].root
    assert houses_of("covid_radiography", root) == dict(films.houses)
    assert houses_of("covid_radiography", root / "nowhere") == {}


def test_sets_that_share_patients_are_refused_unless_cleaned() -> None:
    with pytest.raises(LeakageError, match="covid_qu_ex and covid_radiography share patients"):
        open_labels(config(clean=False), 32)
    assert named_in("") == [] and named_in("a+b") == ["a", "b"]


def test_within_a_house_who_knows_the_house_alone_is_a_coin(films: LabelMaterial) -> None:
    part = films.cohort.test
    labels, ids = part.labels.numpy(), part.ids
    where = sorted(set(films.houses.values()))
    told = np.array([[where.index(films.houses[i]) + 1.0, 1, 1, 1] for i in ids])
    p = Predictions(told / told.sum(axis=1, keepdims=True), labels, part.patients)
    assert within_houses(p, ids, films.houses, auc_within) == pytest.approx(0.5)
    right = np.eye(4)[labels] + 0.1
    sure = Predictions(right / right.sum(axis=1, keepdims=True), labels, part.patients)
    assert within_houses(sure, ids, films.houses, auc_within) == 1


def test_undefined_cases_and_missing_numbers_leave_a_gap() -> None:
    found = {
        "alone": Measured(["a", "b", "c"], ["a", "b", "c"], "s", {"froc": [1.0, np.nan, 0.0]},
                          extras={"map_50": 0.25}),
        "geometry": Measured(["a"], ["a"], "s", {"froc": [0.5]}),
    }  # fmt: skip
    table = value_table(found, {"froc": "FROC"}, {"map_50": "mAP"})
    assert table.FROC.tolist()[0].startswith("0.500 [") and table.mAP.tolist() == ["0.250", ""]


def test_typical_boxes_are_of_different_patients_by_size() -> None:
    part = marked([[0, 0, 4, 4]], [], [[0, 0, 20, 20], [1, 1, 2, 2]], [[0, 0, 9, 9]])
    assert typical_boxes(part) == [0, 3, 2] and typical_boxes(part, 1) == [0]
    boxes = [b.numpy() for b in part.boxes]
    found = Detections.of(boxes, [[0.5] * len(b) for b in boxes], boxes, part.patients)
    some = some_of(found, [2, 1])
    assert some.patients == ("a:2", "a:1") and [len(t) for t in some.truths] == [2, 0]


def test_a_fair_twin_has_other_people_and_a_folder_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made: list[tuple[str, dict[str, Any]]] = []

    def twin(manifest: Manifest, **wanted: Any) -> Path:
        made.append((manifest.id, wanted))
        return tmp_path / f"{manifest.id}{wanted['seed']}"

    monkeypatch.setattr(grid_module, "twin", twin)
    monkeypatch.setattr("medkd_lib.phantom.twin.twin", twin)
    setting = next(s for s in read_grid("07").settings if s.id == "films_documented")
    names = [root.name for root in setting.roots()]
    assert names == ["covid_radiography2", "covid_qu_ex2", "covid_radiography3"]
    assert [w["shortcut"] for _, w in made] == [1, 1, 0]
    with pytest.raises(ValueError, match="only a twin can be made fair"):
        Setting(id="x", title="x", dataset="cxr3", evidence="stand-in", real_folder="cxr3", fair=9)


def test_the_grid_asks_both_tasks_and_every_contrast_has_its_arms() -> None:
    grid = read_grid("07")
    families = {"labels": lambda d: label_set(d).families, "boxes": lambda d: [box_set(d).family]}
    for setting in grid.settings:
        task = str(setting.options["task"])
        shared = set.intersection(*(set(families[task](d)) for d in setting.datasets))
        assert shared, f"{setting.id}: sets that cannot be joined"
        assert bool(setting.options.get("judged_on")) <= bool(setting.fair)
        seeds = setting.seeds or grid.seeds
        assert len(seeds) >= {"labels": 5, "boxes": 3}[task]
    arms = {s.id: set(grid.arms_of(s)) for s in grid.settings}
    tasks = {s.id: s.options["task"] for s in grid.settings}
    for contrast in grid.contrasts:
        measure = {"labels": "", "boxes": "froc"}
        for name in contrast.settings:
            assert {contrast.arm, contrast.rival} <= arms[name]
            assert contrast.measure == measure[str(tasks[name])]


def test_a_run_is_shown_beside_the_nearest_recorded_setting(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def of(*settings: str) -> Recorded:
        runs = pd.DataFrame({"setting": settings, "arm": "alone", "seed": 0})
        return Recorded(read_grid("07"), runs, pd.DataFrame(), pd.DataFrame())

    assert setting_of(of("boxes_clear"), "labels", "covid_radiography", config()) is None
    both = of("films_documented", "films_judged_apart", "films_efficientnet", "heads_subtle")
    assert setting_of(both, "labels", "covid_radiography", config()) == "films_documented"
    assert not capsys.readouterr().out
    other = config(architecture="efficientnet")
    assert setting_of(both, "labels", "covid_radiography", other) == "films_efficientnet"
    assert setting_of(both, "labels", "oasis1", config()) == "heads_subtle"
    assert setting_of(of("boxes_real"), "boxes", "lung_pet_ct_dx", config()) == "boxes_real"
    assert "this run was not recorded" in capsys.readouterr().out
