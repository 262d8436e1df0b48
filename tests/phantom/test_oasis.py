"""The written twins of OASIS-1: Analyze pairs, sheet, sessions, slices, and their leak."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

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
    draw_person,
    in_atlas,
    oasis_stream,
)
from medkd_lib.phantom.oasis_patient import scan as take
from medkd_lib.phantom.oasis_plan import plan_person

SEED, PATIENTS = 0, 3


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("oasis") / "volumes"
    return write_oasis1(out, patients=PATIENTS, seed=SEED, difficulty="subtle")


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
    first, second = (names.index(f"{twice}_MR{n}") for n in (1, 2))
    strangers = np.array(
        [alike[i, j] for i in range(len(names)) for j in range(i) if names[i][:9] != names[j][:9]]
    )
    assert len(strangers) == 5 and alike[first, second] > strangers.max() + 0.03, "one brain"
    one, two = (row for row in table(volumes / "truth.csv") if row["patient"] == twice)
    same = ("label", "age", "severity", "ventricle_factor", "cortex_mm", "etiv_ml", "noise")
    assert [one[n] for n in same] == [two[n] for n in same]
    assert int(one["delay_days"]) == 0 < int(two["delay_days"]) <= 90


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


def test_wrong_arguments_name_themselves(tmp_path: Path) -> None:
    for wrong in ({"size": "huge"}, {"difficulty": "hard"}, {"patients": 0}, {"workers": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            write_oasis1(tmp_path / "a", **{"patients": 1, **wrong})  # type: ignore[arg-type]
