"""The three detection twins on disk: layouts, boxes against truth, faults made on purpose."""

from __future__ import annotations

import csv
import json
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch
from PIL import Image

from medkd_lib.data.boxed_images import boxed_images
from medkd_lib.data.check import check
from medkd_lib.data.deeplesion_info import read_deeplesion
from medkd_lib.data.detection_set import load_detections
from medkd_lib.data.index import Index, index
from medkd_lib.data.look_alikes import look_alikes
from medkd_lib.data.manifest import load_manifest
from medkd_lib.data.split import split_by_patient
from medkd_lib.phantom.deeplesion import SPLIT_BLOCK, write_deeplesion
from medkd_lib.phantom.lung_pet_ct_dx import patient_names, protocols, write_lung_pet_ct_dx
from medkd_lib.phantom.lungct_roboflow import PARTS, write_lungct_roboflow

SEED, MANY = 3, 4
WRITERS: dict[str, Callable[..., Path]] = {
    "lung_pet_ct_dx": write_lung_pet_ct_dx,
    "deeplesion": write_deeplesion,
    "lungct_roboflow": write_lungct_roboflow,
}
Twin = Callable[[str], Index]


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Twin:
    """Index of a clear twin with all broken cases, made once."""
    made: dict[str, Index] = {}

    def of(name: str) -> Index:
        if name not in made:
            out = tmp_path_factory.mktemp("twin") / name
            WRITERS[name](out, patients=MANY, seed=SEED, difficulty="clear", known_issues=True)
            made[name] = index(load_manifest(name), out)
        return made[name]

    return of


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def drawn(root: Path) -> dict[str, list[list[float]]]:
    """Boxes that somebody drew, by image, as ``boxes.csv`` tells them."""
    found: dict[str, list[list[float]]] = defaultdict(list)
    for row in table(root / "boxes.csv"):
        if row["marked"] == "1":
            image = row["image"].removesuffix(".png").removesuffix(".jpg")
            found[image].append([float(row[k]) for k in ("x1", "y1", "x2", "y2")])
    return found


@pytest.mark.parametrize("name", WRITERS)
def test_the_loader_finds_every_box_that_was_drawn(twins: Twin, name: str) -> None:
    images, _ = boxed_images(twins(name))
    expected = drawn(twins(name).root)
    read = {image.id: image.boxes.tolist() for image in images if len(image.boxes)}
    assert set(read) == set(expected)
    for image, boxes in read.items():
        np.testing.assert_allclose(sorted(boxes), sorted(expected[image]), atol=2e-3)


@pytest.mark.parametrize("name", WRITERS)
def test_every_planted_defect_is_told(twins: Twin, name: str) -> None:
    root = twins(name).root
    told = Counter(problem.kind for problem in check(twins(name).manifest, root))
    planted = Counter(row["kind"] for row in table(root / "known_issues.csv"))
    # the manifest takes out copies itself: no problem is left
    copies = planted.pop("duplicate_patient", 0)
    notes = [note for note in twins(name).notes if note.startswith("dedupe")]
    assert len(notes) == copies
    kinds = {"no_boxes": "unmarked"}
    assert told == Counter({kinds.get(kind, kind): n for kind, n in planted.items()})


@pytest.mark.parametrize("name", WRITERS)
def test_true_boxes_surround_what_is_there(twins: Twin, name: str) -> None:
    """A clear lesion of the lung is far denser than lung."""
    found = twins(name)
    loaded = load_detections(found, 192, window_hu=(-1400.0, 0.0))
    row_of = {image: row for row, image in enumerate(loaded.ids)}
    windows = {row["case"]: row["window"] for row in table(found.root / "truth.csv")}
    seen = 0
    for row in table(found.root / "boxes.csv"):
        image = row["image"].removesuffix(".png").removesuffix(".jpg")
        if image not in row_of or row["kind"] != "lung" or int(row["area_px"]) < 12:
            continue
        x1, y1, x2, y2 = (int(float(row[f"true_{k}"])) for k in ("x1", "y1", "x2", "y2"))
        grey = loaded.images[row_of[image], 0].float()
        # a lesion of visibility 0.6 and its box's corners of lung: −450 HU; lung alone: −850
        low, high = (float(v) for v in (windows[row["case"]] or "-1400..0").split(".."))
        assert grey[y1:y2, x1:x2].mean() > (-650.0 - low) / (high - low) * 255.0
        seen += 1
    assert seen >= 1


def test_boxes_of_series_are_voc_files_named_by_slice(twins: Twin) -> None:
    root = twins("lung_pet_ct_dx").root
    names = [name for name, _ in patient_names(MANY)] + ["Lung_Dx-A0024"]
    series = sorted((root / "lung_pet_ct_dx").glob("*/CT/*"))
    assert sorted({s.parent.parent.name for s in series}) == sorted(names)
    # two series of one patient share study and frame, and no identifier of an image
    (both,) = [n for i, n in enumerate(names[:-1]) if len(protocols(i)) == 2]
    headers = [
        [pydicom.dcmread(p, stop_before_pixels=True) for p in sorted(s.iterdir())]
        for s in series if s.parent.parent.name == both
    ]  # fmt: skip
    assert sorted(float(h[0].SliceThickness) for h in headers) == [2.5, 5.0]
    assert len({h.StudyInstanceUID for hs in headers for h in hs}) == 1
    assert len({h.FrameOfReferenceUID for hs in headers for h in hs}) == 1
    uids = [h.SOPInstanceUID for hs in headers for h in hs]
    assert len(set(uids)) == len(uids)
    marked = {p.stem for p in root.glob(f"**/Annotation/{both.removeprefix('Lung_Dx-')}/*.xml")}
    assert marked and marked < set(uids)
    # the number whose patient has no box in the release is not a sound patient's
    assert "Lung_Dx-A0024" not in {name for name, _ in patient_names(355)}
    assert patient_names(3) == patient_names(355)[:3]


def test_key_slices_hold_hu_and_the_documented_columns(twins: Twin) -> None:
    root = twins("deeplesion").root
    rows = table(root / "DL_info.csv")
    assert list(rows[0])[:7] == [
        "File_name", "Patient_index", "Study_index", "Series_ID", "Key_slice_index",
        "Measurement_coordinates", "Bounding_boxes",
    ]  # fmt: skip
    for row in rows[4:]:
        folder, _, name = row["File_name"].rpartition("_")
        with Image.open(root / "Images_png" / folder / name) as picture:
            assert picture.mode.startswith("I;16")
            stored = np.asarray(picture).astype(int)
        assert stored.min() == 32768 - 1024 and np.median(stored[90:110, 60:130]) + 1000 > 32768
        first, last = (int(v) for v in row["Slice_range"].split(","))
        numbers = sorted(int(p.stem) for p in (root / "Images_png" / folder).iterdir())
        assert numbers == list(range(first, last + 1))
        # the box is that of the four ends and a margin: 5 of 512 pixels
        ends = np.array([float(v) for v in row["Measurement_coordinates"].split(",")]).reshape(4, 2)
        box = [float(v) for v in row["Bounding_boxes"].split(",")]
        pad = 5 / 512 * 192
        padded = [*(ends.min(axis=0) - pad), *(ends.max(axis=0) + pad)]
        assert box == pytest.approx(padded, abs=1e-2)
    assert {row["Coarse_lesion_type"] for row in rows if row["Train_Val_Test"] == "1"} == {"-1"}
    assert Counter(SPLIT_BLOCK) == {1: 14, 2: 3, 3: 3}
    assert len(read_deeplesion(root / "DL_info.csv")) >= MANY


def test_two_studies_of_one_patient_stay_together(twins: Twin) -> None:
    found = twins("deeplesion")
    studies = Counter(case.patient for case in found.cases)
    assert max(studies.values()) == 2, "another seed: nobody came twice"
    split = split_by_patient(found.cases, {"train": 0.5, "test": 0.5}, 0)
    parts = [{c.patient for c in split.of(name, found.cases)} for name in ("train", "test")]
    assert not parts[0] & parts[1]


def test_slices_of_one_patient_lie_on_both_sides(twins: Twin) -> None:
    found = twins("lungct_roboflow")
    truth = {row["case"]: row["patient"] for row in table(found.root / "truth.csv")}
    sides = defaultdict(set)
    for case in found.cases:
        sides[truth[case.id]].add(case.split)
        # no name tells whose picture it is
        assert truth[case.id] not in case.id.split("_")[1] and case.patient == case.id
    assert any(len(parts) > 1 for parts in sides.values())


def test_the_look_alike_check_shows_the_fault(twins: Twin) -> None:
    """Of the pairs found across the sides, far more are of one patient than chance gives."""
    found = twins("lungct_roboflow")
    truth = {row["case"]: row["patient"] for row in table(found.root / "truth.csv")}
    loaded = load_detections(found, 96)
    train = [n for n, split in enumerate(loaded.splits) if split == "train"]
    rest = [n for n, split in enumerate(loaded.splits) if split != "train"]
    images = loaded.inputs()
    pairs = look_alikes(images[train], images[rest], least=0.9)
    same = [truth[loaded.ids[train[p.first]]] == truth[loaded.ids[rest[p.second]]] for p in pairs]
    by_chance = np.mean([
        truth[loaded.ids[a]] == truth[loaded.ids[b]] for a in train for b in rest
    ])  # fmt: skip
    assert len(same) >= 3 and np.mean(same) > 0.9 > 2 * by_chance


def test_pictures_are_eight_bits_and_listed_once(twins: Twin) -> None:
    root = twins("lungct_roboflow").root
    for part in PARTS:
        contents = json.loads((root / part / "_annotations.coco.json").read_text("utf-8"))
        listed = {entry["file_name"] for entry in contents["images"]}
        there = {path.name for path in (root / part).glob("*.jpg")}
        assert len(listed - there) == (part == "train") and there <= listed
    with Image.open(next((root / "train").glob("*.jpg"))) as picture:
        assert picture.mode == "L" and picture.size == (192, 192)


def test_targets_fit_torchvisions_detectors(twins: Twin) -> None:
    loaded = load_detections(twins("lungct_roboflow"), 96)
    rows = list(range(6))
    for target in loaded.targets(rows):
        assert target["boxes"].shape == (len(target["labels"]), 4)
        assert target["boxes"].dtype == torch.float32 and target["labels"].dtype == torch.int64
        assert (target["boxes"][:, 2:] > target["boxes"][:, :2]).all()
