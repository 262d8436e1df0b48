"""Patients and labels from lists: what no path tells, and what a list and a folder disagree on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pydantic import ValidationError

from medkd_lib.data.index import index, scan
from medkd_lib.data.index_lists import read_list
from medkd_lib.data.manifest import Manifest
from medkd_lib.data.manifest_layout import CaseList
from medkd_lib.data.problems import DataError

from .tiny import manifest

LAYOUT: dict[str, Any] = {
    "images": {"image": {"glob": ["train/*.*", "test/*.*"]}},
    "annotations": {},
    "case_regex": r"^(?P<split>train|test)/(?P<case>(?P<patient>[^/]+))$",
    "lists": [{"file": f"{split}.txt", "folder": split} for split in ("train", "test")],
}
LABELS = {
    "kind": "classes",
    "values": [{"id": 0, "name": "negative"}, {"id": 1, "name": "positive"}],
}
TRAIN = ["A1 a.png positive ward", "A1 b 2.png positive ward", "B7 c.jpg negative street"]
TEST = ["C3 a.jpg negative street"]


def films() -> Manifest:
    return manifest(layout=LAYOUT, labels=LABELS, modality=["CR"], task=["classification"])


def write_set(folder: Path, train: list[str] = TRAIN, test: list[str] = TEST) -> Path:
    files = {"train": ("a.png", "b 2.png", "c.jpg"), "test": ("a.jpg",)}
    for number, (split, names) in enumerate(files.items()):
        (folder / split).mkdir(parents=True)
        for place, name in enumerate(names):
            Image.new("L", (8, 8), 40 * number + 9 * place).save(folder / split / name)
    (folder / "train.txt").write_text("\n".join(train) + "\n\n")
    (folder / "test.txt").write_text("\n".join(test))
    return folder


def test_patient_and_label_are_the_lists(tmp_path: Path) -> None:
    found = index(films(), write_set(tmp_path))
    assert [(c.id, c.patient, c.label, c.split) for c in found.cases] == [
        ("a.jpg", "C3", 0, "test"),
        ("a.png", "A1", 1, "train"),
        ("b 2.png", "A1", 1, "train"),
        ("c.jpg", "B7", 0, "train"),
    ]
    assert found.problems == []
    entry = read_list(tmp_path / "train.txt")["b 2.png"]
    assert (entry.source, entry.line) == ("ward", 2)


def test_list_and_folder_of_two_versions_are_told(tmp_path: Path) -> None:
    root = write_set(tmp_path, [*TRAIN[:2], "D4 gone.png negative street"])
    found = scan(films(), root)
    told = {(p.kind, p.severity): p.where for p in found.problems}
    assert set(told) == {("no_patient", "error"), ("no_images", "warning")}
    assert told["no_patient", "error"].endswith("c.jpg")
    assert told["no_images", "warning"].endswith("gone.png (line 3 of its list)")
    assert [c.id for c in found.cases] == ["a.jpg", "a.png", "b 2.png"]
    with pytest.raises(DataError, match=r"c\.jpg: expected a line in .*train\.txt"):
        index(films(), root)
    assert len(index(films(), root, drop_broken=True).cases) == 3


def test_a_label_that_the_manifest_does_not_know_breaks_its_film(tmp_path: Path) -> None:
    root = write_set(tmp_path, [*TRAIN[:2], "B7 c.jpg pneumonia street"])
    (problem,) = scan(films(), root).problems
    assert (problem.kind, problem.severity) == ("unknown_label", "error")
    assert "'pneumonia' in line 3" in problem.found


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("ragged_row", b"A1 a.png positive\n"),
        ("duplicate_key", b"A1 a.png positive x\nA2 a.png negative x\n"),
        ("wrong_encoding", b"A1 a\xff.png positive x\n"),
        ("missing_file", None),
    ],
)
def test_without_a_list_that_can_be_read_no_film_may_be_used(
    tmp_path: Path, kind: str, content: bytes | None
) -> None:
    root = write_set(tmp_path)
    (root / "train.txt").unlink()
    if content is not None:
        (root / "train.txt").write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_list(root / "train.txt")
    assert caught.value.problem.kind == kind and "train.txt" in str(caught.value)
    found = scan(films(), root)
    # a film under its own name as patient would stand on two sides unnoticed
    assert [p.kind for p in found.problems] == [kind] and found.cases == []


def test_a_list_cannot_lead_out_of_the_folder() -> None:
    for wrong in ({"file": "../train.txt"}, {"folder": "/train"}):
        with pytest.raises(ValidationError, match="stays in data_root"):
            CaseList.model_validate({"file": "train.txt", "folder": "train"} | wrong)
