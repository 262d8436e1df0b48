"""The written twins of OASIS-1: Analyze pairs, sheet, sessions, slices, and their leak."""

from __future__ import annotations

import csv
import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from sklearn.neighbors import KNeighborsClassifier

from medkd_lib.data.case import LayoutError
from medkd_lib.data.check import check
from medkd_lib.data.index import index, scan
from medkd_lib.data.manifest import load_manifest
from medkd_lib.data.read_case import read_case
from medkd_lib.data.stated_geometry import StatedGeometry, write_statement
from medkd_lib.phantom.analyze_files import write_analyze
from medkd_lib.phantom.brain import BrainAnatomy, voxelise_brain
from medkd_lib.phantom.mr import signal
from medkd_lib.phantom.oasis import write_oasis1
from medkd_lib.phantom.oasis_patient import (
    ATLAS_SCALE,
    GRIDS,
    PROTOCOL,
    OasisPerson,
    Size,
    draw_person,
    in_atlas,
    oasis_stream,
)
from medkd_lib.phantom.oasis_patient import scan as take
from medkd_lib.phantom.oasis_plan import plan_person
from medkd_lib.phantom.oasis_slices import FOLDERS, as_picture, heights, write_oasis1_slices_kaggle

SEED, PATIENTS = 0, 3


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("oasis") / "volumes"
    return write_oasis1(out, patients=PATIENTS, seed=SEED, difficulty="subtle")


@pytest.fixture(scope="module")
def slices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("oasis") / "slices"
    return write_oasis1_slices_kaggle(out, patients=PATIENTS, seed=SEED, difficulty="subtle")


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("oasis") / "broken"
    return write_oasis1(
        out, patients=1, seed=SEED, difficulty="subtle", workers=2, known_issues=True
    )  # fmt: skip


@pytest.fixture(scope="module")
def drawn() -> tuple[OasisPerson, BrainAnatomy]:
    person = draw_person(0, seed=SEED, difficulty="subtle")
    return person, voxelise_brain(person.brain, GRIDS["small"])


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def hashes(folder: Path, pattern: str) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob(pattern))
    }


def test_tree_and_headers_are_the_releases(volumes: Path) -> None:
    rows = table(volumes / "truth.csv")
    assert {p.name for p in volumes.iterdir()} == {
        "disc1", "oasis_cross-sectional.csv", "stated_geometry.yaml", "truth.csv", "SOURCE.txt",
    }  # fmt: skip
    assert (volumes / "SOURCE.txt").read_text().startswith("SYNTHETIC IMAGES")
    for row in rows:
        stem = f"{row['case']}_mpr_n{row['scans']}_anon_111_t88_masked_gfc"
        folder = volumes / "disc1" / row["case"] / "PROCESSED" / "MPRAGE" / "T88_111"
        assert {p.name for p in folder.iterdir()} == {f"{stem}.hdr", f"{stem}.img"}
        content = (folder / f"{stem}.hdr").read_bytes()
        assert len(content) == 348 and int.from_bytes(content[:4], "big") == 348
        image = nib.AnalyzeImage.from_filename(folder / f"{stem}.hdr")
        assert image.get_data_dtype() == np.dtype(">i2") and image.shape == (88, 104, 88)
        assert image.header.get_zooms() == (2.0, 2.0, 2.0)
        array = np.asanyarray(image.dataobj)
        assert array.min() == 0 and 0.15 < (array > 0).mean() < 0.35


def test_one_person_came_twice_and_is_one_patient(volumes: Path) -> None:
    found = index(load_manifest("oasis1"), volumes)
    sessions = Counter(c.patient for c in found.cases)
    (twice,) = [p for p, n in sessions.items() if n == 2]
    assert len(sessions) == PATIENTS and len(found.cases) == PATIENTS + 1
    images = {
        c.id: read_case(c, found.manifest)["t1"].array.astype(float).ravel() for c in found.cases
    }
    names = list(images)
    alike = np.corrcoef(list(images.values()))
    pair = alike[names.index(f"{twice}_MR1"), names.index(f"{twice}_MR2")]
    np.fill_diagonal(alike, 0.0)
    assert pair == alike.max() and pair > np.sort(alike.ravel())[-3] + 0.03, "one brain, two poses"
    first, second = (row for row in table(volumes / "truth.csv") if row["patient"] == twice)
    same = ("label", "age", "severity", "ventricle_factor", "cortex_mm", "etiv_ml", "noise")
    assert [first[n] for n in same] == [second[n] for n in same]
    assert int(first["delay_days"]) == 0 < int(second["delay_days"]) <= 90


def test_the_sheet_tells_what_the_release_tells(volumes: Path) -> None:
    rows = {row["ID"]: row for row in table(volumes / "oasis_cross-sectional.csv")}
    truth = {row["case"]: row for row in table(volumes / "truth.csv")}
    found = index(load_manifest("oasis1"), volumes)
    assert set(rows) == set(truth) == {c.id for c in found.cases} and not found.problems
    names = {0: "0", 1: "0.5", 2: "1", 3: "2"}
    for case in found.cases:
        row, known = rows[case.id], truth[case.id]
        assert case.label is not None and names[case.label] == row["CDR"] == known["label"]
        assert (row["M/F"], row["Age"]) == ("FM"[int(known["male"])], known["age"])
        share = float(known["tissue_ml"]) / float(known["skull_ml"])
        assert float(row["nWBV"]) == pytest.approx(share, abs=1e-3)
        # eTIV times ASF is the atlas' own volume, the same for everybody
        assert float(row["eTIV"]) * float(row["ASF"]) == pytest.approx(1406.0, rel=2e-3)


def test_the_atlas_takes_size_and_pose_away_and_leaves_the_decline() -> None:
    people = [draw_person(i, seed=SEED, difficulty="subtle") for i in range(40)]
    atlas = [in_atlas(p.brain, oasis_stream(i, SEED, 1)) for i, p in enumerate(people)]
    sizes, sizes_before = ([b.mean_scale for b in brains]
                           for brains in (atlas, [p.brain for p in people]))  # fmt: skip
    assert np.std(sizes) < 0.25 * np.std(sizes_before)
    assert np.mean(sizes) == pytest.approx(ATLAS_SCALE, abs=0.003)
    for person, brain in zip(people, atlas, strict=True):
        same = ("ventricles", "hippocampus", "cortex_mm", "atrophy", "gyri")
        assert [getattr(brain, n) for n in same] == [getattr(person.brain, n) for n in same]
        assert max(map(abs, brain.rotation_deg)) < 4.0
    men = [p.brain.mean_scale for p in people if p.plan.male]
    assert np.mean(men) > np.mean([p.brain.mean_scale for p in people if not p.plan.male])


def test_tissue_has_the_signal_of_the_equation(drawn: tuple[OasisPerson, BrainAnatomy]) -> None:
    person, anatomy = drawn
    quiet = replace(person, noise=0.0)
    image = take(quiet, anatomy, np.random.default_rng(0), averages=1, bias=0.0)
    white = signal(person.tissues["white_matter"], PROTOCOL)
    for tissue in ("csf", "grey_matter", "white_matter"):
        pure = anatomy.fraction(tissue) > 0.999
        expected = person.gain * signal(person.tissues[tissue], PROTOCOL) / white
        assert pure.sum() > 50
        assert np.median(image[pure]) == pytest.approx(expected, rel=0.02), tissue


def test_averages_have_less_noise(drawn: tuple[OasisPerson, BrainAnatomy]) -> None:
    person, anatomy = drawn
    pure = anatomy.fraction("white_matter") > 0.94

    def noise(averages: int) -> float:
        pair = [
            take(person, anatomy, np.random.default_rng(n), averages=averages, bias=0.0)[pure]
            for n in (0, 1)
        ]
        return float(np.std(pair[0] - pair[1]) / np.sqrt(2.0) / person.gain)

    assert noise(1) == pytest.approx(person.noise, rel=0.05)
    assert noise(4) == pytest.approx(person.noise / 2.0, rel=0.05)


def test_blank_ratings_and_no_axes_among_the_broken_cases(volumes: Path, broken: Path) -> None:
    manifest = load_manifest("oasis1")
    planted = {(row["case"], row["kind"]) for row in table(broken / "known_issues.csv")}
    young = plan_person(0, seed=SEED, difficulty="subtle")
    assert young.age < 60
    assert planted == {(young.sessions[0], "blank_cdr"), (young.sessions[0], "no_statement")}
    (row,) = table(broken / "oasis_cross-sectional.csv")
    assert row["CDR"] == "" and int(row["Age"]) == young.age
    problems = {(p.kind, p.severity) for p in check(manifest, broken)}
    assert problems == {("unread", "error"), ("no_label", "warning")}
    (case,) = scan(manifest, broken).cases
    with pytest.raises(LayoutError, match="state axcodes after looking"):
        read_case(case, manifest)
    # once somebody states the axes, the volume is the one of the sound twin, and has no label
    write_statement(broken, StatedGeometry(dataset="oasis1", axcodes="LPS", spacing_mm=[2, 2, 2],
                                           source="the test"))  # fmt: skip
    found = scan(manifest, broken)
    assert [c.label for c in found.cases] == [None]
    assert read_case(found.cases[0], found.manifest)["t1"].axcodes == "LPS"
    first = hashes(broken, "*.img")
    assert len(first) == 1 and first.items() <= hashes(volumes, "*.img").items()


def test_the_head_points_where_the_statement_says(volumes: Path) -> None:
    found = index(load_manifest("oasis1"), volumes)
    volume = read_case(found.cases[0], found.manifest)["t1"]
    assert volume.axcodes == "LPS" and volume.spacing_mm == (2.0, 2.0, 2.0)
    brain = volume.array > 0
    # a brain is longer than wide, and its lowest part (brainstem) is small and not its highest
    lengths = [np.ptp(np.flatnonzero(brain.any(axis=tuple({0, 1, 2} - {a})))) for a in range(3)]
    assert lengths[1] > lengths[0] > 50
    area = brain.sum(axis=(0, 1))
    filled = np.flatnonzero(area)
    assert area[filled[:6]].mean() < 0.5 * area[filled[-6:]].mean()


def test_analyze_pairs_refuse_what_they_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"ends in \.hdr"):
        write_analyze(tmp_path / "a.img", np.zeros((2, 2, 2), np.int16), (1, 1, 1))
    with pytest.raises(ValueError, match="three axes"):
        write_analyze(tmp_path / "a.hdr", np.zeros((2, 2), np.int16), (1, 1, 1))


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


def test_slices_show_the_people_of_the_volumes(volumes: Path, slices: Path) -> None:
    of_volumes = {row["patient"]: row for row in table(volumes / "truth.csv")}
    for row in table(slices / "truth.csv"):
        other = of_volumes[row["patient"]]
        same = ("drawn_cdr", "age", "male", "severity", "cortex_mm", "sulci", "noise", "bias")
        assert [row[n] for n in same] == [other[n] for n in same]
        # before the atlas: the head has its own size, so volumes differ as the cube of its scale
        assert float(row["skull_ml"]) == pytest.approx(float(other["etiv_ml"]))
        share = float(row["ventricle_ml"]) / float(row["skull_ml"])
        in_the_atlas = float(other["ventricle_ml"]) / float(other["skull_ml"])
        assert share == pytest.approx(in_the_atlas, rel=0.06)


def test_pictures_have_the_front_at_the_top(drawn: tuple[OasisPerson, BrainAnatomy]) -> None:
    _, anatomy = drawn
    volume = np.zeros(GRIDS["small"].shape, np.float32)
    volume[60, 10, 40] = 200.0  # left of the middle, in front
    picture = as_picture(volume, 40)
    assert picture.shape == (104, 88) and picture[10, 60] == 200 and picture.sum() == 200
    number, lowest = heights("full")[0]
    assert (number, lowest) == (100, round(87.5 - 27.0))
    # a picture's height in millimetres is the same in both sizes
    for size in get_args(Size):
        middle, step = (GRIDS[size].shape[2] - 1) / 2, GRIDS[size].spacing_mm[2]
        for number, k in heights(size):
            assert abs((k - middle) * step - (number - 127)) <= 1.0
    # the ventricles lie inside the slices taken
    planes = np.flatnonzero(anatomy.fraction("csf")[40:48].sum(axis=(0, 1)) > 0)
    taken = [k for _, k in heights("small")]
    assert min(taken) >= planes.min() and len(set(taken)) == 16


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
    for writer in (write_oasis1, write_oasis1_slices_kaggle):
        for wrong in ({"size": "huge"}, {"difficulty": "hard"}, {"patients": 0}, {"workers": 0}):
            with pytest.raises(ValueError, match=next(iter(wrong))):
                writer(tmp_path / "a", **{"patients": 1, **wrong})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no broken file"):
        write_oasis1_slices_kaggle(tmp_path / "a", patients=1, known_issues=True)
