"""The written BrainMetShare twin: PNG stacks, stated axes, contrast agent, two field strengths."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image

from medkd_lib.data.check import check
from medkd_lib.data.index import index
from medkd_lib.data.manifest import load_manifest
from medkd_lib.data.problems import DataError
from medkd_lib.data.read_case import read_case
from medkd_lib.phantom.brain_lesion_layers import label_map
from medkd_lib.phantom.brainmet import CASES, FOLDER_OF, GRIDS, stored, write_brainmet
from medkd_lib.phantom.brainmet_scan import SEQUENCES, sample_metastases, scan_metastases
from medkd_lib.phantom.brats_patient import BratsPatient, voxelise_patient
from medkd_lib.phantom.mr import PROTOCOLS, signal
from medkd_lib.phantom.opacities import Difficulty
from medkd_lib.phantom.tissue_mr import mr_table

SEED, PATIENTS = 2, 2


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("brainmet") / "twin"
    return write_brainmet(out, patients=PATIENTS, seed=SEED, difficulty="clear")


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("brainmet") / "bare"
    return write_brainmet(
        out, patients=1, seed=SEED, difficulty="clear", workers=2, known_issues=True
    )  # fmt: skip


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def hashes(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*.png"))
    }


def test_folders_of_numbered_slices(twin: Path) -> None:
    rows = table(twin / "truth.csv")
    assert [row["case"] for row in rows] == ["Mets_001", "Mets_002"]
    grid = GRIDS["small"]
    names = {f"{k}.png" for k in range(grid.shape[2])}
    for row in rows:
        folder = twin / CASES / row["case"]
        assert {p.name for p in folder.iterdir()} == {"0", "1", "2", "3", "seg"}
        for part in folder.iterdir():
            assert {p.name for p in part.iterdir()} == names
        values: set[int] = set()
        for path in (folder / "seg").iterdir():
            with Image.open(path) as picture:
                assert picture.mode == "L" and picture.size == grid.shape[:2]
                values |= {int(v) for v in np.unique(np.asarray(picture))}
        assert values == {0, 255}
    assert GRIDS["full"].shape[:2] == (256, 256)
    assert (twin / "SOURCE.txt").read_text().startswith("SYNTHETIC IMAGES")


def test_the_loader_reads_every_role_by_the_twins_own_statement(twin: Path) -> None:
    manifest = load_manifest("brainmetshare")
    found = index(manifest, twin)
    truth = {row["case"]: row for row in table(twin / "truth.csv")}
    assert {p.kind for p in check(manifest, twin)} == {"stated_geometry"}
    for case in found.cases:
        row = truth[case.id]
        volumes = read_case(case, found.manifest)
        assert set(volumes) == {*FOLDER_OF, "seg"}
        for volume in volumes.values():
            assert volume.axcodes == "LPS"
            np.testing.assert_allclose(volume.spacing_mm, GRIDS["small"].spacing_mm)
        mask = volumes["seg"].array
        assert set(np.unique(mask)) == {0, 1}
        brain = volumes["t1_se_pre"].array > 0
        assert brain[mask > 0].all() and 0.1 < brain.mean() < 0.4
        for role in FOLDER_OF:
            np.testing.assert_array_equal(volumes[role].array > 0, brain)
        marked_ml = mask.sum() * GRIDS["small"].voxel_ml
        assert marked_ml == pytest.approx(
            float(row["enhancing_ml"]) + float(row["necrosis_ml"]), abs=2e-3
        )
        if row["lesions"] == "1":
            at = np.append(np.argwhere(mask).mean(axis=0), 1.0)
            centre = [float(row[f"centre_{axis}_mm"]) for axis in "xyz"]
            world = (volumes["seg"].affine @ at)[:3]
            assert np.linalg.norm(world - centre) < 0.5 * float(row["largest_mm"]) + 1.0


def test_without_the_statement_nothing_is_read_as_with_the_real_set(bare: Path) -> None:
    manifest = load_manifest("brainmetshare")
    found = index(manifest, bare)
    with pytest.raises(DataError) as caught:
        read_case(found.cases[0], found.manifest)
    assert caught.value.problem.kind == "unread" and "stated_geometry" in str(caught.value)
    assert {p.kind for p in check(manifest, bare)} == {"unread"}
    (issue,) = table(bare / "known_issues.csv")
    assert (issue["case"], issue["kind"]) == ("Mets_001", "no_statement")
    assert not (bare / "stated_geometry.yaml").exists()


def test_bytes_depend_on_seed_and_patient_alone(twin: Path, bare: Path, tmp_path: Path) -> None:
    assert hashes(bare).items() < hashes(twin).items()
    other = write_brainmet(tmp_path / "o", patients=1, seed=SEED + 1, difficulty="clear")
    one = {v for k, v in hashes(other).items() if "/seg/" not in k}
    again = {v for k, v in hashes(twin).items() if "/seg/" not in k}
    # the empty slices above and below the head are alike
    assert len(one & again) <= 2 < len(one)


def patient_at(field_t: float, difficulty: Difficulty = "clear") -> BratsPatient:
    drawn = (sample_metastases(np.random.default_rng(n), difficulty) for n in range(40))
    return next(
        p for p in drawn
        if p.field_t == field_t and max(lesion.enhancing_ml for lesion in p.lesions) > 0.5
    )  # fmt: skip


@pytest.mark.parametrize("field_t", [1.5, 3.0])
def test_metastases_take_up_the_agent_and_the_first_spin_echo_is_before(field_t: float) -> None:
    patient = replace(patient_at(field_t), noise=0.0, bias=0.0)
    anatomy = voxelise_patient(patient, GRIDS["small"])
    images = scan_metastases(patient, anatomy, np.random.default_rng(0))
    assert tuple(images) == tuple(FOLDER_OF) == tuple(SEQUENCES[field_t])
    solid = anatomy.fraction("metastasis") > 0.9
    white = anatomy.fraction("white_matter") > 0.95
    ratio = {r: float(np.median(i[solid]) / np.median(i[white])) for r, i in images.items()}
    assert ratio["t1_se_pre"] < 1.0 < 1.2 < ratio["t1_se_post"]
    assert ratio["t1_gre_post"] > 1.3
    fluid = anatomy.fraction("csf") > 0.99
    assert np.median(images["flair"][fluid]) < 0.1 * np.median(images["flair"][white])
    # white matter before the agent is at its drawn grey value
    assert np.median(images["t1_se_pre"][white]) == pytest.approx(
        patient.gain["t1_se_pre"], rel=0.1
    )


def test_the_domain_differs_from_brats_by_settings_alone() -> None:
    fields = [sample_metastases(np.random.default_rng(n), "clear").field_t for n in range(40)]
    assert set(fields) == {1.5, 3.0}
    for field_t, sequences in SEQUENCES.items():
        table_at = mr_table(field_t)
        assert sequences["t1_se_pre"].sequence == "spin_echo" != PROTOCOLS["t1n"].sequence
        assert sequences["flair"].tr_ms != PROTOCOLS["t2f"].tr_ms
        assert signal(table_at["csf"], sequences["flair"]) < 0.02
    assert SEQUENCES[1.5]["t1_gre_post"] != SEQUENCES[3.0]["t1_gre_post"]


def test_difficulty_is_the_brightness_of_the_rim() -> None:
    bright = {}
    for difficulty in get_args(Difficulty):
        values = []
        for seed in range(60):
            patient = sample_metastases(np.random.default_rng(seed), difficulty)
            values.append(patient.rim_gd_mm)
        bright[difficulty] = float(np.mean(values))
    assert bright["clear"] > 1.5 * bright["subtle"]
    patient = patient_at(3.0, "none")
    rng = np.random.default_rng
    grid = GRIDS["small"]
    anatomy = voxelise_patient(patient, grid)
    free = scan_metastases(patient, voxelise_patient(patient, grid, lesions=False), rng(1))
    there = scan_metastases(patient, anatomy, rng(1))
    marked = np.isin(label_map(anatomy), (1, 3))
    assert there["t1_se_post"][marked].mean() > 1.05 * free["t1_se_post"][marked].mean()


def test_none_writes_the_brain_without_metastases(tmp_path: Path) -> None:
    sets = {
        d: write_brainmet(tmp_path / d, patients=1, seed=SEED, difficulty=d)
        for d in ("subtle", "none")
    }  # type: dict[str, Path]
    told = {d: hashes(folder) for d, folder in sets.items()}
    masks = {d: {k: v for k, v in h.items() if "/seg/" in k} for d, h in told.items()}
    assert masks["subtle"] == masks["none"], "the mask is that of the hidden metastases"
    changed = [k for k in told["none"] if told["none"][k] != told["subtle"][k]]
    assert changed and all("/seg/" not in k for k in changed)


def test_stored_values_fit() -> None:
    image = np.array([0.0, 0.2, 3.6, 999.0], np.float32)
    np.testing.assert_array_equal(stored(image), [0, 1, 4, 255])
    assert stored(image).dtype == np.uint8


def test_wrong_arguments_name_themselves(tmp_path: Path) -> None:
    for wrong in ({"size": "huge"}, {"difficulty": "hard"}, {"patients": 0}, {"workers": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            write_brainmet(tmp_path / "a", **{"patients": 1, **wrong})  # type: ignore[arg-type]
