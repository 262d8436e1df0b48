"""The written slices of OASIS-1: names, folders, the people of the volumes, and the leak."""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from sklearn.neighbors import KNeighborsClassifier

from medkd_lib.data.index import index
from medkd_lib.data.manifest import load_manifest
from medkd_lib.phantom.dementia_truth import BrainVolumes
from medkd_lib.phantom.oasis_patient import (
    GRIDS,
    Size,
    draw_person,
)
from medkd_lib.phantom.oasis_plan import plan_person
from medkd_lib.phantom.oasis_slices import FOLDERS, as_picture, heights, write_oasis1_slices_kaggle
from medkd_lib.phantom.oasis_truth import truth_of

SEED, PATIENTS = 0, 3


@pytest.fixture(scope="module")
def slices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("oasis") / "slices"
    return write_oasis1_slices_kaggle(out, patients=PATIENTS, seed=SEED, difficulty="subtle")


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def hashes(folder: Path, pattern: str) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob(pattern))
    }


def test_slices_are_named_and_filed_as_the_release(slices: Path) -> None:
    rows = table(slices / "truth.csv")
    assert {p.name for p in (slices / "Data").iterdir()} == set(FOLDERS)
    numbers = {f"{n}" for n, _ in heights("small")}
    assert numbers == {f"{n}" for n in range(100, 161, 4)} and len(heights("full")) == 61
    scans = {p: set() for p in {r["patient"] for r in rows}}  # type: dict[str, set[str]]
    for row in rows:
        match = re.fullmatch(r"(OAS1_\d{4})_MR1_mpr-([1-4])_(\d{3})", row["case"])
        assert match and match.groups() == (row["patient"], row["scan"], row["height_mm"])
        scans[row["patient"]].add(row["scan"])
        with Image.open(slices / "Data" / row["label"] / f"{row['case']}.jpg") as image:
            assert (image.mode, image.size, image.format) == ("L", (88, 104), "JPEG")
    plans = {p.patient: p for p in (plan_person(i, seed=SEED, difficulty="subtle")
                                    for i in range(PATIENTS))}  # fmt: skip
    assert {p: len(s) for p, s in scans.items()} == {n: p.scans for n, p in plans.items()}
    assert len(rows) == 16 * sum(p.scans for p in plans.values())
    assert {r["label"] for r in rows} == {FOLDERS[p.grade] for p in plans.values()}
    found = index(load_manifest("oasis1_slices_kaggle"), slices)
    assert len(found.cases) == len(rows) and {c.patient for c in found.cases} == set(plans)


def test_slices_show_the_people_of_the_volumes(slices: Path) -> None:
    for index_of in range(PATIENTS):
        # whom write_oasis1 draws for this index, and its line of truth
        person = draw_person(index_of, seed=SEED, difficulty="subtle")
        empty = BrainVolumes(1.0, 1.0, 1.0, 1.0, 1.0)
        other = asdict(truth_of(person, 0, empty, "subtle"))
        rows = [r for r in table(slices / "truth.csv") if r["patient"] == person.plan.patient]
        assert len(rows) == 16 * person.plan.scans
        same = ("drawn_cdr", "age", "male", "severity", "cortex_mm", "sulci", "noise", "bias")
        for row in rows:
            assert [row[n] for n in same] == [str(other[n]) for n in same]
            # before the atlas: the head has its own size
            assert float(row["skull_ml"]) == pytest.approx(other["etiv_ml"])
            assert 5.0 < float(row["ventricle_ml"]) < 150.0


def test_pictures_have_the_front_at_the_top() -> None:
    volume = np.zeros(GRIDS["small"].shape, np.float32)
    volume[60, 10, 40] = 200.0  # left of the middle, in front
    picture = as_picture(volume, 40)
    assert picture.shape == (104, 88) and picture[10, 60] == 200 and picture.sum() == 200
    number, lowest = heights("full")[0]
    assert (number, lowest) == (100, 61), "the middle is 87.5, and 27 mm lie below it"
    # a picture's height in millimetres is the same in both sizes
    for size in get_args(Size):
        middle, step = (GRIDS[size].shape[2] - 1) / 2, GRIDS[size].spacing_mm[2]
        for number, k in heights(size):
            assert abs((k - middle) * step - (number - 127)) <= 1.0
        assert len({k for _, k in heights(size)}) == len(heights(size))


def seen(folder: Path) -> tuple[NDArray[np.float64], NDArray[np.str_], list[str]]:
    """Slices of 16×16 pixels, (N, 256), their people, and their names."""
    paths = sorted((folder / "Data").rglob("*.jpg"))
    small = []
    for path in paths:
        with Image.open(path) as image:
            small.append(np.asarray(image.resize((16, 16), Image.Resampling.BOX), float).ravel())
    return np.array(small), np.array([p.name[:9] for p in paths]), [p.stem for p in paths]


def one_nn(
    images: NDArray[np.float64], labels: NDArray[np.int64], parts: Sequence[NDArray[np.bool_]]
) -> float:
    """Accuracy of the nearest neighbour, each part tested on all the others."""
    right = [
        KNeighborsClassifier(1).fit(images[~t], labels[~t]).predict(images[t]) == labels[t]
        for t in parts
    ]
    return float(np.concatenate(right).mean())


def test_a_split_by_slice_learns_labels_that_mean_nothing(slices: Path) -> None:
    images, people, _ = seen(slices)
    names = sorted(set(people))
    rng = np.random.default_rng(0)
    fold = rng.integers(5, size=len(people))
    by_slice = [fold == n for n in range(5)]
    by_person = [people == name for name in names]
    # every way of dealing two labels to the people, so that chance is exactly one half
    deals = [np.array([n >> k & 1 for k in range(len(names))]) for n in range(2 ** len(names))]
    place = np.searchsorted(names, people)
    leaked, honest = (
        np.mean([one_nn(images, deal[place], parts) for deal in deals])
        for parts in (by_slice, by_person)
    )
    assert leaked > 0.95, "the nearest slice is the same person's"
    assert honest == pytest.approx(0.5, abs=1e-9)


def test_bytes_depend_on_seed_and_person_alone(slices: Path, tmp_path: Path) -> None:
    one = write_oasis1_slices_kaggle(tmp_path / "1", patients=1, seed=SEED, workers=2)
    first = hashes(one, "*.jpg")
    assert first and first.items() <= hashes(slices, "*.jpg").items()
    assert len(set(first.values())) == len(first), "no two slices are equal"


def test_wrong_arguments_name_themselves(tmp_path: Path) -> None:
    for wrong in ({"size": "huge"}, {"difficulty": "hard"}, {"patients": 0}, {"workers": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            write_oasis1_slices_kaggle(tmp_path / "a", **{"patients": 1, **wrong})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no broken file"):
        write_oasis1_slices_kaggle(tmp_path / "a", patients=1, known_issues=True)
