"""The equal teacher: T1 in phase teaches T2 on abdomens; who is where, and one cell to its end."""

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

from medkd_lib.course.experiments import cmedl_cells, cmedl_sources
from medkd_lib.course.experiments.cmedl_budget import LESSON, network
from medkd_lib.course.experiments.cmedl_cells import run_cell
from medkd_lib.course.experiments.cmedl_sources import ABDOMEN, abdomens, material
from medkd_lib.course.experiments.cmedl_study import TEACHER, CmedlStudy, Plan
from medkd_lib.course.experiments.modalities import PARTS, Modalities, held_out
from medkd_lib.course.grid import read_grid
from medkd_lib.course.lesson import Images
from medkd_lib.course.lesson_cmedl import open_material, who_is_where
from medkd_lib.course.lesson_cmedl_looks import bars, translation_table
from medkd_lib.course.parameters import read_parameters
from medkd_lib.course.recorded import Recorded
from medkd_lib.course.recorded_cmedl import DEFAULT, setting_of
from medkd_lib.course.resolve import Config
from medkd_lib.data.index import Index, index
from medkd_lib.data.manifest import load_manifest
from medkd_lib.data.sections import Sections
from medkd_lib.data.split import Split
from medkd_lib.evaluate.tumour_contrast import tumour_contrast
from medkd_lib.methods.bedside import PSEUDO_ONLY
from medkd_lib.methods.cmedl_parts import STUDENTS
from medkd_lib.phantom import chaos_grids
from medkd_lib.phantom.chaos import write_chaos
from tests.course.test_cmedl_study import TINY, sections

GRID = read_grid("04")
EQUAL = next(s for s in GRID.settings if s.id == "abdomen_equal")
OPTIONS = GRID.options | EQUAL.options
# The fewest patients that can be divided: half of them are MR.
SMALLEST = 22


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    """The smallest twin, with a ninth of its pixels."""
    chaos_grids.MATRIX["small"], whole = 64, chaos_grids.MATRIX["small"]
    out = write_chaos(tmp_path_factory.mktemp("twin") / "chaos", patients=SMALLEST, seed=2)
    chaos_grids.MATRIX["small"] = whole
    yield index(load_manifest(ABDOMEN), out)


@pytest.fixture(scope="module")
def found(twin: Index) -> Modalities:
    return material([ABDOMEN], [str(twin.root)], 0, OPTIONS)


def cohort(patients: int, monkeypatch: pytest.MonkeyPatch) -> Index:
    """Toy sections of so many MR patients in place of those that would be read."""
    both = sections("p", patients, "t2")
    both = replace(both, images={**both.images, "t1": -both.images["t2"]})
    own = sections("p", patients, "t1")

    def toy(root: Path, organ: str, frame: object, *, paired: bool) -> Sections:
        return both if paired else own

    monkeypatch.setattr(cmedl_sources, "_of_abdomens", toy)
    return Index(load_manifest(ABDOMEN), Path(), [])


def sides(modalities: Modalities) -> dict[str, set[str]]:
    return {part: set(getattr(modalities, part).patients) for part in PARTS}


@pytest.mark.parametrize("patients", [SMALLEST // 2, 12, 20, 50])
def test_every_patient_has_one_place(patients: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty are those of the real release."""
    index = cohort(patients, monkeypatch)
    for seed in range(4):
        found = sides(abdomens(index, seed, organ="liver"))
        assert all(found.values())
        assert sum(map(len, found.values())) == len(set().union(*found.values())) == patients
        teachers, mine = len(found["teaching"]), patients - len(found["test"])
        assert teachers == min(mine // 2, mine - 5)


def test_test_patients_stay_and_all_others_move_with_the_seed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    index = cohort(20, monkeypatch)
    first, again, second = (abdomens(index, seed, organ="liver") for seed in (0, 0, 1))
    assert sides(first) == sides(again) and first.split == again.split != second.split
    everybody = set().union(*sides(first).values())
    assert (
        sides(first)["test"] == sides(second)["test"] == set(held_out(sorted(everybody), ABDOMEN))
    )
    assert sides(first)["teaching"] != sides(second)["teaching"]


def test_who_teaches_is_part_of_the_splits_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    index = cohort(20, monkeypatch)
    found = abdomens(index, 0, organ="liver")
    students = Split(ABDOMEN, 0, {p: tuple(sorted(sides(found)[p])) for p in PARTS[:2] + PARTS[3:]})
    with_teachers = {**students.parts, "teaching": tuple(sorted(sides(found)["teaching"]))}
    assert found.split == Split(ABDOMEN, 0, with_teachers).hash != students.hash


def test_too_few_patients_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    index = cohort(8, monkeypatch)
    with pytest.raises(ValueError, match="7 MR patients or more beside 3 for testing, found 5"):
        abdomens(index, 0, organ="liver")


def test_the_pairing_is_dropped_in_training_and_kept_for_the_oracle(found: Modalities) -> None:
    assert (found.student, found.teacher) == ("t2", "t1")
    assert set(found.teaching.images) == {"t1"}, "a teacher's patient has no T2"
    for part in ("train", "more", "val", "test"):
        assert set(getattr(found, part).images) == {"t1", "t2"}
    assert found.paired and not found.mirrored
    sets = found.sets()
    assert set(sets["source"].patients).isdisjoint(sets["target"].patients)


def test_an_unknown_organ_is_told(twin: Index) -> None:
    with pytest.raises(ValueError, match="found 'heart'"):
        abdomens(twin, 0, organ="heart")


def test_an_organ_has_a_side_so_nothing_is_mirrored(found: Modalities, cpu: Fabric) -> None:
    assert CmedlStudy(found, LESSON, Plan(), 0, cpu).budget == replace(LESSON, flip=0.0)
    assert LESSON.flip == 0.5
    tumours = replace(found, mirrored=True)
    assert CmedlStudy(tumours, LESSON, Plan(), 0, cpu).budget == LESSON


def test_networks_fit_the_sections(found: Modalities) -> None:
    images = found.test.images["t2"][:2]
    for kind in ("unet", "densefcn", "mrrn"):
        assert network(kind, LESSON)(images).shape == (2, 2, *images.shape[2:])


def test_a_recorded_cell_runs_to_its_end(
    twin: Index, monkeypatch: pytest.MonkeyPatch, cpu: Fabric
) -> None:
    """Every declared arm, after three steps of networks of a few weights."""
    monkeypatch.setattr(cmedl_cells, "RECORDED", TINY)
    results = {
        arm: run_cell(EQUAL.datasets, [str(twin.root)], arm, 0, OPTIONS, cpu) for arm in EQUAL.arms
    }
    assert {PSEUDO_ONLY, TEACHER} < set(results)
    assert set(results) - {PSEUDO_ONLY, TEACHER} == set(str(OPTIONS["students"]).split("+"))
    parts = abdomens(twin, 0, organ=str(OPTIONS["organ"]))
    for arm, measured in results.items():
        assert measured.patients == sorted(set(parts.test.patients)), arm
        assert measured.split == parts.split
        assert set(measured.strata) == {"volume_ml"}
        assert all(np.isfinite(x) for x in measured.extras.values()), arm
        assert np.isfinite(measured.values["dice"]).all()
    extras = results[PSEUDO_ONLY].extras
    assert {"contrast_true", "mae", "teacher_dice"} <= set(extras)
    # soft tissue can be told by a threshold on CT alone
    assert not [name for name in extras if name.startswith("soft_")]
    told = translation_table(extras).what.tolist()
    assert "mean error of the translation, in the tumour (grey values)" in told


def test_the_lesson_opens_abdomens_by_the_datasets_name(twin: Index, cpu: Fabric) -> None:
    config = Config(
        dataset=ABDOMEN, data_root=str(twin.root), patients=SMALLEST, difficulty="subtle",
        seed=0, organ="liver", size="small", setting="weak", teacher="pet",
    )  # fmt: skip
    opened = open_material(config)
    assert [each.manifest.id for each in opened.images] == [ABDOMEN]
    assert opened.images[0].evidence == "phantom"
    table = who_is_where(opened.modalities).set_index("part")
    assert table.patients.sum() == SMALLEST // 2
    assert table.loc["teaching", "who learns from it"] == "t1: teacher, generator"
    plan = Plan({"alone": STUDENTS["alone"], "true_hints": STUDENTS["true_hints"]})
    study = CmedlStudy(opened.modalities, TINY, plan, 0, cpu)
    assert study.arms == ["alone", "true_hints", PSEUDO_ONLY, TEACHER]
    contrasts = bars(study, opened.modalities.test.images["t1"], ("T2", "T1"))
    assert list(contrasts) == ["T2", "pseudo-T1", "true T1"]
    # nothing is outlined on MR: the ring is whatever is there
    test = opened.modalities.test
    whole = tumour_contrast(
        test.images["t2"][:, 0].numpy(), test.masks.numpy(), test.spacing_mm[:2], ring_mm=10.0
    )
    np.testing.assert_array_equal(contrasts["T2"][0].relative, whole.relative)
    assert torch.equal(open_material(config).modalities.train.masks, opened.modalities.train.masks)


@pytest.mark.parametrize(
    ("other", "setting", "comparable"),
    [
        ({}, "abdomen_equal", True),
        ({"organ": "liver"}, "abdomen_equal", False),
        ({"patients": 44}, "abdomen_equal", False),
        ({"difficulty": "none"}, DEFAULT, False),
    ],
)
def test_a_readers_run_gets_a_star_beside_its_own_setting(
    other: dict[str, object], setting: str, comparable: bool
) -> None:
    values = {
        "profile": "lesson", "truncated": False, "dataset": ABDOMEN, "difficulty": EQUAL.difficulty,
        "setting": "informative", "teacher": "mr", "architecture": "unet",
        "translation": "cyclegan", "patients": EQUAL.patients, "mr_patients": 28,
        "organ": OPTIONS["organ"],
    }  # fmt: skip
    names = pd.DataFrame({"setting": [s.id for s in GRID.settings]})
    recorded = Recorded(GRID, names, pd.DataFrame(), pd.DataFrame())
    modalities = SimpleNamespace(share=0.5, teaching_share=0.5)
    study = cast(CmedlStudy, SimpleNamespace(plan=Plan(), modalities=modalities, budget=TINY))
    images = cast(Images, SimpleNamespace(evidence="phantom"))
    shown = setting_of(recorded, study, Config(**values | other), images)
    assert (shown.id, shown.comparable) == (setting, comparable)


def test_the_lessons_defaults_are_the_recorded_ones() -> None:
    """So that a reader who names the set alone gets a star."""
    master = Path(__file__).parents[2] / "notebooks" / "masters" / "04_unpaired_modalities.py"
    given = {p.name: p for p in read_parameters(master)}
    assert given["organ"].default == OPTIONS["organ"]
    assert given["difficulty"].default == EQUAL.difficulty
    assert f'"lesson": {{"patients": {EQUAL.patients},' in master.read_text(encoding="utf-8")
