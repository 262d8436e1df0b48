"""Who is on which side of a joint run, and what is refused."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from medkd_lib.course.experiments import joint_sources
from medkd_lib.course.experiments.folds import FOLDS
from medkd_lib.course.experiments.joint_cohort import SectionCohort
from medkd_lib.course.experiments.joint_sources import folds_in, joint_cohort
from medkd_lib.course.experiments.modalities import held_out
from medkd_lib.data.apart import LeakageError
from medkd_lib.data.sections import Sections
from medkd_lib.phantom.kits import write_kits
from medkd_lib.phantom.msd_liver import write_msd_liver
from tests.course.joint_toys import toy, toy_cohort

PATIENTS: Mapping[str, int] = {
    "kits23": 40, "msd_task03_liver": 4, "msd_task06_lung": 3, "hcc_tace_seg": 2,
    "msd_hippocampus": 23, "sts_petctmr": 6, "isles2022": 4,
}  # fmt: skip
ROOTS = {name: Path(name) for name in PATIENTS}
CT = ("msd_task03_liver", "msd_task06_lung")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, bool, int]]:
    """Toys in place of what would be read, and a list of what was asked for."""
    seen: list[tuple[str, str, bool, int]] = []

    def read(dataset: str, root: Path, foreground: str, moving: bool, seed: int) -> Sections:
        seen.append((dataset, foreground, moving, seed))
        made = toy(dataset, PATIENTS[dataset])
        return replace(made, fingerprint=f"{made.fingerprint} {foreground} {moving} {seed}")

    monkeypatch.setattr(joint_sources, "_read", read)
    return seen


def people(cohort: SectionCohort) -> dict[str, set[str]]:
    return {name: set(sections.patients) for name, sections in cohort.parts.items()}


def test_every_patient_has_one_place(asked: list[object]) -> None:
    found = joint_cohort(ROOTS, "kits23", CT, ["hcc_tace_seg"], seed=3)
    sides = people(found)
    assert sum(map(len, sides.values())) == len(set().union(*sides.values()))
    assert list(found.train) == ["kits23", *CT] and found.sources == CT
    assert len(sides["train kits23"]) == 14 and len(sides["val"]) == 6
    assert {len(sides[f"train {name}"]) for name in CT} == {4, 3}
    assert sides["external hcc_tace_seg"] == set(toy("hcc_tace_seg", 2).patients)


def test_test_patients_stay_and_all_others_move_with_the_seed(asked: list[object]) -> None:
    first, again, second = (joint_cohort(ROOTS, "kits23", CT, seed=seed) for seed in (0, 0, 1))
    everybody = sorted(set(toy("kits23", 40).patients))
    assert people(first)["test"] == people(second)["test"] == set(held_out(everybody, "kits23"))
    assert people(first)["train kits23"] != people(second)["train kits23"]
    assert people(first)["val"] != people(second)["val"]
    assert (first.split, first.fingerprint) == (again.split, again.fingerprint)
    assert first.split != second.split and first.fingerprint != second.fingerprint


def test_more_is_as_much_of_the_target_as_all_sources_together(asked: list[object]) -> None:
    """So that a gain from sources can be told from a gain from more sections."""
    few = joint_cohort(ROOTS, "kits23", CT[:1], train=5, val=2)
    assert len(few.more) == len(few.train[CT[0]]) == 16
    # 40 patients, of whom 14 are tested and 7 placed: no more than there are
    all_of_them = joint_cohort(ROOTS, "kits23", CT, train=5, val=2)
    wanted = sum(len(all_of_them.train[name]) for name in CT)
    assert len(all_of_them.more) == wanted == 28
    none = joint_cohort(ROOTS, "kits23", CT, train=20, val=6)
    assert len(none.more) == 0


def test_who_helps_is_part_of_the_splits_hash(asked: list[object]) -> None:
    one = joint_cohort(ROOTS, "kits23", CT[:1])
    both = joint_cohort(ROOTS, "kits23", CT)
    elsewhere = joint_cohort(ROOTS, "kits23", CT[:1], CT[1:])
    assert len({one.split, both.split, elsewhere.split}) == 3
    assert len({one.fingerprint, both.fingerprint, elsewhere.fingerprint}) == 3
    for part in ("train kits23", "val", "test"):
        assert people(one)[part] == people(both)[part]


def test_only_sources_show_another_structure(asked: list[tuple[str, str, bool, int]]) -> None:
    related = joint_cohort(ROOTS, "kits23", CT[:1])
    asked.clear()
    unrelated = joint_cohort(ROOTS, "kits23", CT[:1], sources_show="other")
    assert {(name, shown) for name, shown, _, _ in asked} == {
        ("kits23", "lesion"), ("msd_task03_liver", "other")
    }  # fmt: skip
    assert unrelated.split == related.split and unrelated.fingerprint != related.fingerprint


def test_windows_move_with_the_seed_in_training_and_stand_still_in_a_test(
    asked: list[tuple[str, str, bool, int]],
) -> None:
    joint_cohort(ROOTS, "sts_petctmr", ["msd_hippocampus"], seed=5, train=2, val=1)
    # what is no window is the same for every seed, and is read once
    assert set(asked) == {
        ("sts_petctmr", "lesion", False, 0), ("sts_petctmr", "lesion", True, 5),
        ("msd_hippocampus", "lesion", False, 0),
    }  # fmt: skip


def test_every_patient_of_a_small_real_set_is_tested_once(asked: list[object]) -> None:
    assert len(folds_in("msd_hippocampus")) == FOLDS and len(folds_in("kits23")) == 1
    runs = [
        joint_cohort(ROOTS, "msd_hippocampus", ["sts_petctmr"], seed=seed, fold=fold, train=8)
        for seed in (0, 1)
        for fold in range(FOLDS)
    ]
    tested = [people(run)["test"] for run in runs]
    assert tested[:FOLDS] == tested[FOLDS:]
    assert sum(map(len, tested[:FOLDS])) == len(set().union(*tested)) == 23


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sources": ["isles2022"]}, "expected sets of the family body_ct"),
        ({"sources": ["kits23"]}, "expected each once"),
        ({"sources": ["lits"]}, "found 'lits'; say in joint_sets.py"),
        ({"roots": {"kits23": Path()}}, r"found none of \['msd_task03_liver'\]"),
        ({"train": 30}, "expected 30 patients to train and 6 to choose by beside 14"),
        ({"val": 0}, "0 to choose by"),
        ({"fold": 1}, r"fold: expected one of \[0\], found 1"),
    ],
)
def test_what_cannot_be_is_told(
    asked: list[object], change: dict[str, object], message: str
) -> None:
    request: dict[str, object] = {
        "roots": ROOTS, "target": "kits23", "sources": ["msd_task03_liver"]
    }  # fmt: skip
    with pytest.raises(ValueError, match=message):
        joint_cohort(**(request | change))  # type: ignore[arg-type]


def test_a_patient_on_two_sides_is_refused() -> None:
    found = toy_cohort()
    mine, theirs = found.train["kits23"], found.train["msd_task03_liver"]
    for part in ("more", "val", "test"):
        with pytest.raises(LeakageError, match="is in 'train kits23' and in"):
            replace(found, **{part: mine})  # type: ignore[arg-type]
    with pytest.raises(LeakageError, match="in 'train msd_task03_liver' and in 'external"):
        replace(found, external={"msd_task06_lung": theirs})
    with pytest.raises(LeakageError, match="in 'val' and in 'test'"):
        replace(found, val=found.test)


@pytest.mark.parametrize(
    ("target", "source"),
    [
        ("kits23", "kits19"), ("msd_task03_liver", "lits"), ("brats2021", "brats2023_gli"),
        ("brats2020", "brats2021"), ("brats2021", "upenn_gbm"), ("brainmetshare", "brats2023_met"),
    ],
)  # fmt: skip
def test_sets_that_share_patients_are_refused(target: str, source: str) -> None:
    """Whichever is the target: patients have other names in the other set."""
    for a, b in ((target, source), (source, target)):
        with pytest.raises(LeakageError, match="share patients"):
            toy_cohort(a, b)


def test_an_overlap_with_a_set_that_nobody_trains_on_is_refused_too() -> None:
    with pytest.raises(LeakageError, match="share patients"):
        replace(toy_cohort(), external={"kits19": toy("kits19", 2)})


def test_parts_have_one_size_and_stack() -> None:
    found = toy_cohort()
    with pytest.raises(ValueError, match="expected one size in pixels"):
        replace(found, external={"msd_task06_lung": toy("msd_task06_lung", 2, side=32)})
    gap = [row for row in range(len(found.test)) if row != 1]
    with pytest.raises(ValueError, match="measure volumes on all their sections"):
        replace(found, test=found.test.rows(gap))
    with pytest.raises(ValueError, match="train: expected images of"):
        replace(found, train=dict(reversed(list(found.train.items()))))


def test_a_cohort_of_twins(tmp_path: Path) -> None:
    roots = {
        "kits23": write_kits(tmp_path / "kits", patients=6, seed=4),
        "msd_task03_liver": write_msd_liver(tmp_path / "liver", patients=2, seed=4),
    }
    found = joint_cohort(roots, "kits23", ["msd_task03_liver"], train=2, val=1)
    assert len(people(found)["train msd_task03_liver"]) == 2
    assert {len(sections.images) for sections in found.parts.values()} == {1}
    assert all(name.startswith("kits23:") for name in people(found)["test"])
    assert found.test.masks.any() and found.train["kits23"].masks.any()
    again = joint_cohort(roots, "kits23", ["msd_task03_liver"], train=2, val=1)
    assert again.fingerprint == found.fingerprint
