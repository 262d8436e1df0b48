"""The written set: layout, determinism, splits, honesty, and what its truth can tell."""

from __future__ import annotations

import csv
import hashlib
import re
from collections import Counter, defaultdict
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medkd_lib.phantom import cxr3
from medkd_lib.phantom.anatomy import Grid
from medkd_lib.phantom.cxr3 import write_cxr3
from medkd_lib.phantom.cxr3_oracle import oracle_accuracy, oracle_features, read_truth
from medkd_lib.phantom.cxr3_patient import make_patient
from medkd_lib.phantom.cxr3_plan import SECOND_FILM_SHARE, plan_patient
from medkd_lib.phantom.cxr3_truth import truth_row
from medkd_lib.phantom.opacities import Difficulty
from medkd_lib.phantom.thorax import sample_thorax, voxelise_thorax

PATIENTS = 18
PATTERNS = {
    "normal": r"IM-\d{4}-\d{4}\.jpeg",
    "bacterial": r"person\d+_bacteria_\d+\.jpeg",
    "viral": r"person\d+_virus_\d+\.jpeg",
}


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("twin") / "cxr3"
    return write_cxr3(out, patients=PATIENTS, seed=11, difficulty="subtle")


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "labels.csv").open(newline="") as handle:
        return list(csv.DictReader(handle))


def hashes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_layout_is_the_real_sets(twin: Path) -> None:
    rows = rows_of(twin)
    assert list(rows[0]) == ["file", "label", "split", "patient_number"]
    on_disk = {str(p.relative_to(twin).as_posix()) for p in twin.rglob("*.jpeg")}
    assert on_disk == {row["file"] for row in rows}
    assert len(rows) == len(on_disk)
    for row in rows:
        split, label, name = row["file"].split("/")
        assert (split, label) == (row["split"], row["label"])
        assert re.fullmatch(PATTERNS[label], name), name
        number = re.match(r"(?:IM-|person)(\d+)", name)
        assert number is not None
        assert int(number[1]) == int(row["patient_number"])
    assert [row["file"] for row in rows] == sorted(row["file"] for row in rows)
    assert Counter(row["label"] for row in rows).most_common()[0][1] * 3 == len(rows)
    assert {path.name for path in twin.iterdir()} == {
        "train", "test", "labels.csv", "truth.csv", "SOURCE.txt",
    }  # fmt: skip
    assert not list(twin.parent.glob(".*building*"))


def test_images_are_grey_rgb_jpegs_of_224(twin: Path) -> None:
    films = []
    for row in rows_of(twin):
        with Image.open(twin / row["file"]) as image:
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (224, 224))
            pixels = np.asarray(image)
        np.testing.assert_array_equal(pixels[..., 0], pixels[..., 1])
        np.testing.assert_array_equal(pixels[..., 0], pixels[..., 2])
        films.append(pixels[..., 0].astype(float))
    mean = np.mean(films, axis=0)
    # lungs darker than heart and belly, open air at the upper corners darkest
    lung, heart, belly = mean[100, 60], mean[130, 118], mean[205, 112]
    assert lung + 40 < heart
    assert lung + 40 < belly
    # the heart's shadow reaches further to the image's right, the patient's left
    assert mean[135:150, 125:150].mean() > mean[135:150, 74:99].mean() + 10


def test_source_says_synthetic_with_seed_and_difficulty(twin: Path) -> None:
    text = (twin / "SOURCE.txt").read_text()
    assert text.startswith("SYNTHETIC IMAGES")
    for words in ("seed: 11", "difficulty: subtle", f"version {cxr3.GENERATOR_VERSION}"):
        assert words in text


def test_same_bytes_with_two_workers_and_other_bytes_with_another_seed(
    twin: Path, tmp_path: Path
) -> None:
    pair = write_cxr3(tmp_path / "pair", patients=PATIENTS, seed=11, difficulty="subtle", workers=2)
    assert hashes(pair) == hashes(twin)
    other = write_cxr3(tmp_path / "other", patients=3, seed=12, difficulty="subtle")
    first = {k: v for k, v in hashes(other).items() if k.endswith("jpeg")}
    assert not set(first.values()) & set(hashes(twin).values())


def test_more_patients_leave_the_earlier_ones_alone(twin: Path, tmp_path: Path) -> None:
    few = write_cxr3(tmp_path / "few", patients=7, seed=11, difficulty="subtle")
    jpegs = {k: v for k, v in hashes(few).items() if k.endswith("jpeg")}
    assert jpegs.items() <= hashes(twin).items()


def test_plan_matches_the_real_counts() -> None:
    plans = [plan_patient(i, seed=0, difficulty="subtle", test_fraction=1 / 6) for i in range(948)]
    films = Counter[tuple[str, str]]()
    for plan in plans:
        films[plan.split, plan.label] += plan.films
    assert len(set(films.values())) == 2  # the classes of a split are equal
    assert sum(films.values()) == pytest.approx(1080, abs=60)
    test = sum(n for (split, _), n in films.items() if split == "test")
    assert test / sum(films.values()) == pytest.approx(1 / 6, abs=0.03)
    assert np.mean([plan.films == 2 for plan in plans]) == pytest.approx(
        SECOND_FILM_SHARE, abs=0.06
    )
    assert len({plan.number for plan in plans}) == 948
    assert len({plan.file(film) for plan in plans for film in range(plan.films)}) == sum(
        films.values()
    )


def test_a_patient_is_on_one_side_of_the_split() -> None:
    sides: dict[int, set[str]] = defaultdict(set)
    for index in range(300):
        plan = plan_patient(index, seed=4, difficulty="none", test_fraction=0.4)
        sides[plan.number] |= {plan.file(film).split("/")[0] for film in range(plan.films)}
    assert all(len(side) == 1 for side in sides.values())
    assert {next(iter(side)) for side in sides.values()} == {"train", "test"}


def test_films_of_a_patient_share_the_anatomy() -> None:
    plan = plan_patient(5, seed=3, difficulty="subtle", test_fraction=0.2)
    rows, films = make_patient(replace(plan, films=2), seed=3, difficulty="subtle")
    acquisition = {"file", "film", "rotation_deg", "exposure"}
    first, second = ({k: v for k, v in asdict(r).items() if k not in acquisition} for r in rows)
    assert first == second
    assert rows[0].rotation_deg != rows[1].rotation_deg
    assert not np.array_equal(films[0], films[1])
    # a second film changes nothing on the first
    _, alone = make_patient(replace(plan, films=1), seed=3, difficulty="subtle")
    np.testing.assert_array_equal(alone[0], films[0])
    stranger = plan_patient(8, seed=3, difficulty="subtle", test_fraction=0.2)
    _, other = make_patient(replace(stranger, films=1), seed=3, difficulty="subtle")

    def likeness(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.corrcoef(a[::4, ::4].ravel(), b[::4, ::4].ravel())[0, 1])

    assert likeness(films[0], films[1]) > likeness(films[0], other[0])


def truth_of_many(difficulty: Difficulty, patients: int) -> list[dict[str, str]]:
    """Truth rows without films: same plan and anatomy code, measured on a coarse grid."""
    grid = Grid((48, 24, 48), (8.0, 11.0, 8.0))
    rows = []
    for index in range(patients):
        plan = plan_patient(index, seed=21, difficulty=difficulty, test_fraction=0.2)
        rng = np.random.default_rng(np.random.SeedSequence(21, spawn_key=(index,)))
        patient = sample_thorax(rng, plan.diagnosis, difficulty)
        row = truth_row(plan, 0, patient, voxelise_thorax(patient, grid), "hospital_a", 0.0, 1.0)
        rows.append({key: str(value) for key, value in asdict(row).items()})
    return rows


@pytest.mark.parametrize("difficulty", ["clear", "subtle"])
def test_oracle_is_good_but_not_perfect(difficulty: Difficulty) -> None:
    accuracy = oracle_accuracy(truth_of_many(difficulty, 240))
    assert 0.90 <= accuracy < 1.0


def test_none_carries_no_signal() -> None:
    rows = truth_of_many("none", 300)
    # chance is 1/3; 4 standard errors of 300 patients are 0.109
    assert abs(oracle_accuracy(rows) - 1 / 3) < 0.109
    assert Counter(row["label"] for row in rows) == {"normal": 100, "bacterial": 100, "viral": 100}
    table = Counter((row["label"], row["diagnosis"]) for row in rows)
    diagnoses = Counter(row["diagnosis"] for row in rows)
    chi2 = sum(
        (table[label, name] - diagnoses[name] / 3) ** 2 / (diagnoses[name] / 3)
        for label in PATTERNS
        for name in diagnoses
    )
    assert chi2 < 18.5  # 4 degrees of freedom, p = 0.001
    # the films themselves do have findings: the same test on the diagnosis is far from chance
    told = [{**row, "label": row["diagnosis"]} for row in rows]
    assert oracle_accuracy(told) > 0.9


def test_truth_is_readable_and_features_leave_the_answer_out(twin: Path, tmp_path: Path) -> None:
    rows = read_truth(twin)
    assert [r["file"] for r in rows] == [r["file"] for r in rows_of(twin)]
    features, labels, numbers = oracle_features(rows)
    assert features.shape == (PATIENTS, 7)
    assert len(set(numbers)) == PATIENTS
    hidden = [{**row, "diagnosis": "", "file": "", "split": ""} for row in rows]
    np.testing.assert_array_equal(oracle_features(hidden)[0], features)
    assert set(labels) == set(PATTERNS)
    with pytest.raises(FileNotFoundError, match="synthetic"):
        read_truth(tmp_path)


def test_a_filled_target_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(FileExistsError, match="empty folder"):
        write_cxr3(tmp_path, patients=1, seed=0, difficulty="clear")
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]
    empty = tmp_path / "empty"
    empty.mkdir()
    write_cxr3(empty, patients=1, seed=0, difficulty="clear", image_size=64)
    assert (empty / "labels.csv").is_file()


def test_a_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(job: object) -> None:
        raise RuntimeError("disk full")

    monkeypatch.setattr(cxr3, "_make", broken)
    with pytest.raises(RuntimeError, match="disk full"):
        write_cxr3(tmp_path / "set", patients=1, seed=0, difficulty="clear")
    assert list(tmp_path.iterdir()) == []


def test_wrong_arguments_name_themselves(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="difficulty"):
        write_cxr3(tmp_path / "a", patients=1, difficulty="hard")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="scanners"):
        write_cxr3(tmp_path / "a", patients=1, scanners=("hospital_c",))
    with pytest.raises(ValueError, match="patients"):
        write_cxr3(tmp_path / "a", patients=0)
