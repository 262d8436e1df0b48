"""Small real sets are answered fold by fold; sections move in training and stay in tests."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from medkd_lib.course.experiments import box_cells, box_cohort
from medkd_lib.course.experiments.box_cells import run_cell
from medkd_lib.course.experiments.box_cohort import folds_in
from medkd_lib.course.experiments.box_sets import BOX_SETS
from medkd_lib.course.experiments.joint_sources import REAL_TRAIN, REAL_VAL
from medkd_lib.data.detection_set import DetectionSet
from medkd_lib.data.manifest import load_manifest
from tests.course.test_box_study import TINY, discs

SETS = ["sts_petctmr", "bccd_detection"]
ROOTS = {name: Path(name) for name in SETS}
PATIENTS = {"sts_petctmr": 17, "bccd_detection": 8, "lung_pet_ct_dx": 40}


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Squares in place of what would be read; another seed shows other grounds."""

    def read(dataset: str, root: Path, size: int, seed: int) -> DetectionSet:
        made = discs(dataset, range(PATIENTS[dataset]), ground=60 + seed)
        return replace(made, fingerprint=f"{made.fingerprint} {seed}")

    monkeypatch.setattr(box_cohort, "_read", read)


@pytest.mark.parametrize("name", BOX_SETS)
def test_the_table_says_what_the_manifests_say(name: str) -> None:
    chosen, manifest = BOX_SETS[name], load_manifest(name)
    assert manifest.layout is not None and manifest.labels is not None
    if chosen.windows is None:
        assert manifest.labels.kind == "boxes"
        return
    assert manifest.layout.image_roles[chosen.windows.image].unit == "HU"
    assert chosen.windows.mask in manifest.layout.annotation_roles
    assert {v.name for v in manifest.labels.values} == {"background", "tumour"}


def test_folds_of_a_small_set_test_everybody_once(drawn: None) -> None:
    cohorts = [box_cohort.box_cohort(ROOTS, SETS[0], SETS[1:], fold=f) for f in folds_in(SETS[0])]
    assert len(cohorts) == 5 and folds_in("lung_pet_ct_dx") == range(1)
    tested = [name for one in cohorts for name in set(one.test.patients)]
    assert sorted(tested) == [f"sts_petctmr:{n:03d}" for n in range(17)]
    for one in cohorts:
        sides = {name: set(part.patients) for name, part in one.parts.items()}
        assert len(sides["train sts_petctmr"]) == REAL_TRAIN and len(sides["val"]) == REAL_VAL
        assert len(sides["train bccd_detection"]) == 8
    assert len({one.split for one in cohorts}) == 5


def test_other_sets_have_their_numbers(drawn: None) -> None:
    roots = {"lung_pet_ct_dx": Path("dx")}
    found = box_cohort.box_cohort(roots, "lung_pet_ct_dx", [])
    numbers = [len(set(p.patients)) for p in (found.train["lung_pet_ct_dx"], found.val)]
    assert numbers == [box_cohort.TRAIN, box_cohort.VAL]


def test_windows_move_in_training_and_stay_in_a_test(drawn: None) -> None:
    first, second = (box_cohort.box_cohort(ROOTS, SETS[0], SETS[1:], seed) for seed in (0, 1))
    assert torch.equal(first.test.images, second.test.images)
    assert first.test.fingerprint == second.test.fingerprint and first.split != second.split
    there = (first.train[SETS[0]], second.train[SETS[0]])
    shared = sorted(set(there[0].patients) & set(there[1].patients))
    a, b = (part.of(shared).images for part in there)
    assert not torch.equal(a, b)
    # pictures are no windows
    assert first.train[SETS[1]].fingerprint == second.train[SETS[1]].fingerprint


def test_a_cell_answers_for_every_fold(
    drawn: None, monkeypatch: pytest.MonkeyPatch, cpu: Fabric
) -> None:
    monkeypatch.setattr(box_cells, "RECORDED", replace(TINY, steps=1))
    for arm in ("geometry", "alone"):
        found = run_cell(SETS, [str(r) for r in ROOTS.values()], arm, 0, {}, cpu)
        assert len(set(found.cases)) == len(found.values["froc"]) == 34
        assert len(set(found.patients)) == 17
        assert np.isfinite(found.values["froc"]).sum() == 17  # one of two images has a box
        assert set(found.extras) == {"map_50", "map_coco", "froc_val"}
    with pytest.raises(ValueError, match="found another structure"):
        run_cell(SETS, [str(r) for r in ROOTS.values()], "unrelated", 0, {}, cpu)
