"""What lesson 07 does around its trainings, and how its recordings are read."""

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from medkd_lib.course import grid as grid_module
from medkd_lib.course import lesson_labels
from medkd_lib.course.experiments.box_sets import box_set
from medkd_lib.course.experiments.label_sets import label_set
from medkd_lib.course.experiments.look_alike_patients import ALIKE
from medkd_lib.course.experiments.outcome import Measured
from medkd_lib.course.grid import Setting, read_grid
from medkd_lib.course.lesson_boxes import some_of, typical_boxes
from medkd_lib.course.lesson_joint import named_in
from medkd_lib.course.lesson_labels import (
    LabelMaterial,
    known_of,
    met_before,
    open_labels,
    value_table,
    who_learns,
    within_houses,
)
from medkd_lib.course.mended_tasks import auc_within, told_by_house
from medkd_lib.course.recorded import Recorded
from medkd_lib.course.recorded_tasks import falls, setting_of
from medkd_lib.data.apart import LeakageError
from medkd_lib.data.images import ImageSet
from medkd_lib.data.look_alikes import look_alikes
from medkd_lib.data.manifest import Manifest
from medkd_lib.evaluate.classify import Predictions
from medkd_lib.evaluate.detection import Detections
from medkd_lib.phantom.twin import fair_twin
from tests.course.test_box_geometry import marked


def config(**changed: Any) -> Any:
    usual = {
        "profile": "lesson", "dataset": "covid_radiography", "sources": "covid_qu_ex",
        "data_root": "", "difficulty": "subtle", "shortcut": 1.0, "clean": True, "patients": 110,
        "source_patients": 12, "fair_patients": 16, "train_patients": 40, "val_patients": 20,
        "architecture": "medvit", "detector": "faster_rcnn", "box_difficulty": "clear", "seed": 0,
        "box_sources": "deeplesion",
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
    test, train = films.cohort.test, films.cohort.train["covid_radiography"]
    manifest, root = films.images[0].manifest, films.images[0].root
    assert films.fair is not None
    apart = known_of(manifest.id, fair_twin(manifest, 16, "subtle"), "source")

    def right(part: ImageSet, houses: Mapping[str, str]) -> float:
        classes = [int(y) for y in train.labels]
        told = told_by_house(
            [films.houses[i] for i in train.ids], classes, [houses[i] for i in part.ids]
        )
        labels = part.labels.numpy()
        return float(np.mean([(told[labels == c] == c).mean() for c in sorted(set(labels))]))

    assert right(test, films.houses) > 0.55 > 0.45 > right(films.fair, apart)
    assert known_of(manifest.id, root, "source") == dict(films.houses)
    assert known_of(manifest.id, root / "nowhere", "source") == {}


def test_fair_films_show_nobody_of_the_others(films: LabelMaterial) -> None:
    assert films.fair is not None
    for part in (films.cohort.test, films.cohort.train["covid_radiography"]):
        assert not look_alikes(part.inputs().float(), films.fair.inputs().float(), least=ALIKE)


def test_people_met_again_are_counted_over_all_sets(
    films: LabelMaterial, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two test films are of people who train, one of them in the source; a third is nobody's."""
    test, train = films.cohort.test.ids, films.cohort.train
    people = {
        test[0]: "ann", test[1]: "bob", test[2]: "cleo",
        train["covid_radiography"].ids[0]: "ann", train["covid_qu_ex"].ids[0]: "bob",
    }  # fmt: skip
    monkeypatch.setattr(
        lesson_labels, "known_of",
        lambda dataset, *rest: {k: v for k, v in people.items() if k.startswith(dataset + ":")},
    )  # fmt: skip
    assert met_before(films) == 2


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
    share, pairs = within_houses(p, ids, films.houses, auc_within)
    assert share == pytest.approx(0.5) and sum(pairs) > 0
    right = np.eye(4)[labels] + 0.1
    sure = Predictions(right / right.sum(axis=1, keepdims=True), labels, part.patients)
    assert within_houses(sure, ids, films.houses, auc_within)[0] == 1
    apart = {i: i for i in ids}
    assert np.isnan(within_houses(p, ids, apart, auc_within)[0])


def test_every_pair_within_a_house_weighs_the_same() -> None:
    labels = np.array([0, 0, 0, 1, 1, 2])
    rows = np.array([[0.6, 0.3, 0.1]] * 3 + [[0.1, 0.8, 0.1], [0.7, 0.2, 0.1], [0.1, 0.2, 0.7]])
    told = Predictions(rows, labels, tuple("abcdef"))
    ids, houses = list("abcdef"), dict(zip("abcdef", "nnnnns", strict=True))
    # of house n: class 0 against 1 and back, six pairs each; class 2 is alone in house s
    share, pairs = within_houses(told, ids, houses, auc_within)
    assert pairs == [6, 6, 0]
    assert share == pytest.approx((3 + 0 + 3 + 0) / 12)


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
    assert names == ["covid_radiography2", "covid_qu_ex2", "covid_radiography1002"]
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
    both = of(
        "films_documented",
        "films_judged_apart",
        "films_apart",
        "films_efficientnet",
        "heads_subtle",
    )
    assert setting_of(both, "labels", "covid_radiography", config()) == "films_documented"
    assert setting_of(both, "labels", "covid_radiography", config(shortcut=0)) == "films_apart"
    assert not capsys.readouterr().out
    other = config(architecture="efficientnet", shortcut=0.0)
    assert setting_of(both, "labels", "covid_radiography", other) == "films_efficientnet"
    heads = config(sources="adni", shortcut=1.0)
    assert setting_of(both, "labels", "oasis1", heads) == "heads_subtle"
    assert setting_of(of("boxes_real"), "boxes", "lung_pet_ct_dx", config()) == "boxes_real"
    assert "this run was not recorded" in capsys.readouterr().out


def test_a_fall_is_paired_with_the_student_alone_seed_by_seed() -> None:
    runs = pd.DataFrame(
        [{"setting": "films_documented", "arm": arm, "seed": seed, "auc": 0.9 + 0.01 * seed,
          "auc_fair": 0.7 - 0.02 * (arm == "joint")}
         for arm in ("alone", "joint") for seed in range(3)]
    )  # fmt: skip
    recorded = Recorded(read_grid("07"), runs, pd.DataFrame(), pd.DataFrame())
    table = falls(recorded, "films_documented")
    assert [row.split(" ")[0] for row in table.fall] == ["0.210", "0.230"]
    assert table["more than alone"].tolist() == ["", "+0.020 [+0.020, +0.020]"]
