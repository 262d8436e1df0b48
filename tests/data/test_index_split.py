"""Index and splits: layouts, leaks, overlaps, and the phantom twin read like the real set."""

import dataclasses
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from medkd_lib.data.case import Case, LayoutError
from medkd_lib.data.index import index
from medkd_lib.data.manifest import load_manifest
from medkd_lib.data.manifest_parts import Overlap
from medkd_lib.data.split import (
    LeakageError,
    Split,
    check_disjoint,
    check_overlaps,
    read_split,
    split_by_patient,
    write_split,
)

CXR3 = load_manifest("cxr3")
FRACTIONS = {"train": 0.6, "val": 0.2, "spare": 0.2}


def film(root: Path, name: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(path)


@pytest.fixture
def few_films(tmp_path: Path) -> Path:
    for name in (
        "train/normal/IM-0001-0001.jpeg",
        "train/normal/NORMAL2-IM-0001-0001.jpeg",
        "train/viral/person7_virus_11.jpeg",
        "test/bacterial/person9_bacteria_2.jpeg",
    ):
        film(tmp_path, name)
    return tmp_path


def cases(n: int = 120, films_each: int = 2) -> list[Case]:
    return [
        Case(
            f"c{i}-{k}",
            f"p{i}",
            "toy",
            {},
            label=i % 3,
            split="test" if i // 3 % 6 == 0 else "train",
        )
        for i in range(n)
        for k in range(films_each)
    ]


def test_patient_label_and_split_come_from_the_path(few_films: Path) -> None:
    found = index(CXR3, few_films)
    seen = {(c.id, c.patient, c.label, c.split) for c in found.cases}
    assert seen == {
        ("IM-0001-0001", "IM-0001", 0, "train"),
        ("NORMAL2-IM-0001-0001", "IM-0001", 0, "train"),
        ("person7_virus_11", "person7", 2, "train"),
        ("person9_bacteria_2", "person9", 1, "test"),
    }
    assert any("aspect ratio" in note for note in found.notes)


@pytest.mark.parametrize(
    ("name", "message"),
    [("train/normal/scan_1.jpeg", "patient"), ("train/covid/person1_virus_1.jpeg", "person1")],
)
def test_a_file_that_does_not_fit_is_named(few_films: Path, name: str, message: str) -> None:
    film(few_films, name)
    with pytest.raises(LayoutError, match=message):
        index(CXR3, few_films)


def test_two_files_of_one_case_are_refused(few_films: Path) -> None:
    film(few_films, "train/bacterial/person7_virus_11.jpeg")
    with pytest.raises(LayoutError, match="has a image already"):
        index(CXR3, few_films)


def test_an_empty_folder_and_a_missing_one(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match="no whole case"):
        index(CXR3, tmp_path)
    with pytest.raises(LayoutError, match="found none"):
        index(CXR3, tmp_path / "nowhere")


def test_a_known_issue_that_excludes_does_so(few_films: Path) -> None:
    issue = CXR3.known_issues[0].model_copy(update={"cases": ["person7*"], "action": "exclude"})
    found = index(CXR3.model_copy(update={"known_issues": [issue]}), few_films)
    assert "person7_virus_11" not in {c.id for c in found.cases}
    content = issue.model_dump() | {"action": "relabel"}
    with pytest.raises(ValueError, match="relabel needs `role` and `to`"):
        type(issue).model_validate(content)


def test_an_archive_with_a_foreign_label(tmp_path: Path) -> None:
    arrays: dict[str, Any] = {
        f"{s}_images": np.zeros((2, 28, 28), np.uint8) for s in ("train", "val", "test")
    }
    labels: dict[str, Any] = {f"{s}_labels": np.array([[0], [1]]) for s in ("train", "val", "test")}
    np.savez(tmp_path / "breastmnist.npz", **arrays, **labels)
    manifest = load_manifest("breastmnist")
    assert Counter(c.split for c in index(manifest, tmp_path).cases) == {
        "train": 2, "val": 2, "test": 2}  # fmt: skip
    np.savez(tmp_path / "breastmnist.npz", **arrays, **(labels | {"val_labels": np.array([0, 5])}))
    with pytest.raises(LayoutError, match=r"val row 1: expected one of .*, found label 5"):
        index(manifest, tmp_path)


def test_no_patient_stands_on_two_sides_and_classes_are_balanced() -> None:
    split = split_by_patient(cases(), FRACTIONS, seed=0)
    owner = {c.id: c for c in cases()}
    parts = {name: {owner[i].patient for i in ids} for name, ids in split.parts.items()}
    assert not set.intersection(parts["train"], parts["test"])
    assert sum(len(ids) for ids in split.parts.values()) == 240
    assert {owner[i].split for i in split.parts["test"]} == {"test"}
    for ids in split.parts.values():
        counts = Counter(owner[i].label for i in ids)
        assert max(counts.values()) <= 1.7 * min(counts.values())
    assert len(split.parts["train"]) == pytest.approx(0.6 * 200, abs=14)


def test_a_split_depends_on_seed_alone_and_its_hash_on_its_cases() -> None:
    one, same, other = (split_by_patient(cases(), FRACTIONS, seed) for seed in (0, 0, 1))
    shuffled = split_by_patient(cases()[::-1], FRACTIONS, 0)
    assert one.hash == same.hash == shuffled.hash != other.hash


def test_a_leak_raises() -> None:
    leak = Split("toy", 0, {"train": ("c4-0",), "test": ("c4-1",)})
    with pytest.raises(LeakageError, match="patient p4 is in 'train' and in 'test'"):
        check_disjoint(leak, cases())
    moved = [dataclasses.replace(c, split="test") if c.id == "c4-1" else c for c in cases()]
    with pytest.raises(LeakageError):
        split_by_patient(moved, FRACTIONS, 0)


def test_declared_overlaps_refuse_train_and_test() -> None:
    other = load_manifest("breastmnist")
    touching = CXR3.model_copy(update={"overlaps": [Overlap(id="breastmnist", evidence="made up")]})
    check_overlaps([CXR3], [other])
    check_overlaps([touching], [touching])
    for train, test in (([touching], [other]), ([other], [touching])):
        with pytest.raises(LeakageError, match="made up"):
            check_overlaps(train, test)


@pytest.mark.parametrize(
    ("n", "fractions", "message"),
    [(120, {"a": 0.5, "b": 0.4}, "sum to"), (4, FRACTIONS, "too few|would be empty")],
)
def test_impossible_splits(n: int, fractions: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        split_by_patient(cases(n), fractions, 0, keep_test=False)


def test_a_split_file_edited_by_hand_is_refused(tmp_path: Path) -> None:
    split = split_by_patient(cases(), FRACTIONS, 0)
    path = tmp_path / "split.json"
    write_split(split, path)
    assert read_split(path).hash == split.hash
    content = json.loads(path.read_text())
    content["parts"]["train"].append("c0-0")
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="was changed"):
        read_split(path)


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("dataset", "folder", "number"),
    [("cxr3", "cxr3", 1080), ("breastmnist", "medmnist", 780), ("retinamnist", "medmnist", 1600)],
)
def test_real_sets_index_and_split(real_data: Path, dataset: str, folder: str, number: int) -> None:
    manifest = load_manifest(dataset)
    found = index(manifest, real_data / folder)
    assert len(found.cases) == number == manifest.n_cases["images"]
    if manifest.n_cases["patients"] is not None:
        assert len({c.patient for c in found.cases}) == manifest.n_cases["patients"]
    split = split_by_patient(found.cases, FRACTIONS, 0)
    assert len(split.parts["test"]) == manifest.n_cases["test_images"]


def test_sets_that_share_patients_are_not_divided_together() -> None:
    both = [
        dataclasses.replace(c, dataset=name, id=f"{name}-{c.id}", patient=f"{name}-{c.patient}")
        for name in ("brats2021", "brats2023_gli")
        for c in cases(40, 1)
    ]
    with pytest.raises(LeakageError, match=r"brats2021 and brats2023_gli share patients"):
        split_by_patient(both, FRACTIONS, seed=0)
    apart = [dataclasses.replace(c, dataset=c.dataset.replace("2021", "2023_men")) for c in both]
    split_by_patient(apart, FRACTIONS, seed=0)


def test_a_set_with_masks_only_is_divided_by_patient_alone() -> None:
    plain = [dataclasses.replace(c, label=None, split=None) for c in cases(40)]
    split = split_by_patient(plain, FRACTIONS, seed=1)
    assert sum(len(ids) for ids in split.parts.values()) == len(plain)
    half = [dataclasses.replace(c, label=None) if i % 2 else c for i, c in enumerate(cases(40))]
    with pytest.raises(ValueError, match="for all cases or for none"):
        split_by_patient(half, FRACTIONS, seed=1)
