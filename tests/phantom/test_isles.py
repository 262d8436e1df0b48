"""The written stroke twin: BIDS tree, LAS axes, two grids, physics, difficulty, empty masks."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import get_args

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from numpy.typing import NDArray

from medkd_lib.data.check import check
from medkd_lib.data.index import index
from medkd_lib.data.manifest import load_manifest
from medkd_lib.data.read_case import read_case
from medkd_lib.phantom import isles
from medkd_lib.phantom.anatomy import Grid
from medkd_lib.phantom.infarct_tissue import DEAD, with_infarct_tissues
from medkd_lib.phantom.isles import las, write_isles
from medkd_lib.phantom.isles_centres import (
    CENTRES,
    SUB_SLICE_MM,
    SliceGrid,
    draw_centre,
    draw_grids,
)
from medkd_lib.phantom.isles_patient import (
    B_S_MM2,
    LOOKS,
    StrokePatient,
    StrokeScan,
    fractions_on,
    sample_stroke,
    scan_stroke,
)
from medkd_lib.phantom.mr import reference_signal
from medkd_lib.phantom.opacities import Difficulty

SEED, PATIENTS = 3, 2


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("isles") / "twin"
    return write_isles(out, patients=PATIENTS, seed=SEED, difficulty="clear")


@pytest.fixture(scope="module")
def unusual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("isles") / "unusual"
    return write_isles(
        out, patients=1, seed=SEED, difficulty="clear", known_issues=True, workers=2
    )  # fmt: skip


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def hashes(folder: Path, pattern: str = "*") -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob(pattern))
        if path.is_file()
    }


COARSE = {
    "dwi": SliceGrid(Grid((80, 80, 36), (2.8, 2.8, 4.2)), 2),
    "flair": SliceGrid(Grid((88, 88, 34), (2.55, 2.55, 4.4)), 2),
}
"""Half as many pixels per edge as in a small twin, for what is tested in memory."""


def stroke(seed: int, difficulty: Difficulty, noise: float | None = None) -> StrokePatient:
    patient = replace(sample_stroke(np.random.default_rng(seed), difficulty), grids=COARSE)
    return patient if noise is None else replace(patient, noise=noise, bias=0.0)


def scanned(patient: StrokePatient, *, lesion: bool = True) -> StrokeScan:
    return scan_stroke(patient, np.random.default_rng(9), lesion=lesion)


def test_tree_names_and_dtypes_are_the_releases(twin: Path) -> None:
    rows = table(twin / "truth.csv")
    cases = [row["case"] for row in rows]
    assert cases == ["sub-strokecase0001", "sub-strokecase0002"]
    top = twin / "ISLES-2022"
    assert {p.name for p in twin.iterdir()} == {"ISLES-2022", "truth.csv", "SOURCE.txt"}
    beside = {"derivatives", "dataset_description.json", "participants.tsv"}
    assert {p.name for p in top.iterdir()} == beside | set(cases)
    assert json.loads((top / "dataset_description.json").read_text())["BIDSVersion"]
    assert (top / "participants.tsv").read_text().split() == ["participant_id", *cases]
    for case in cases:
        stem = f"{case}_ses-0001"
        found = {p.relative_to(top).as_posix() for p in top.rglob(f"{stem}*")}
        assert found == {
            f"{case}/ses-0001/dwi/{stem}_dwi.nii.gz", f"{case}/ses-0001/dwi/{stem}_adc.nii.gz",
            f"{case}/ses-0001/anat/{stem}_FLAIR.nii.gz",
            f"derivatives/{case}/ses-0001/{stem}_msk.nii.gz",
        }  # fmt: skip
        for name in found:
            image = nib.nifti1.Nifti1Image.from_filename(top / name)
            assert image.get_data_dtype() == (np.uint8 if "msk" in name else np.int16)
            assert nib.orientations.aff2axcodes(image.affine) == ("L", "A", "S")
    assert (twin / "SOURCE.txt").read_text().startswith("SYNTHETIC IMAGES")


def test_the_loader_reads_every_role_on_its_grid(twin: Path) -> None:
    manifest = load_manifest("isles2022")
    found = index(manifest, twin)
    truth = {row["case"]: row for row in table(twin / "truth.csv")}
    assert [c.patient for c in found.cases] == ["strokecase0001", "strokecase0002"]
    assert check(manifest, twin) == []
    for case in found.cases:
        row = truth[case.id]
        volumes = read_case(case, manifest)
        assert set(volumes) == {"dwi", "adc", "flair", "seg"}
        assert volumes["adc"].same_grid(volumes["dwi"]) and volumes["seg"].same_grid(volumes["dwi"])
        assert not volumes["flair"].same_grid(volumes["dwi"])
        assert volumes["flair"].shape[:2] > volumes["dwi"].shape[:2], "FLAIR has finer pixels"
        for role, name in (("dwi", "dwi"), ("flair", "flair")):
            pixel, apart = (float(row[f"{name}_{what}_mm"]) for what in ("pixel", "slice"))
            np.testing.assert_allclose(volumes[role].spacing_mm, (pixel, pixel, apart), rtol=1e-6)
        mask = volumes["seg"].array
        assert set(np.unique(mask)) == {0, 1}
        voxel_ml = float(np.prod(volumes["seg"].spacing_mm)) / 1000.0
        assert float(row["mask_ml"]) == pytest.approx(mask.sum() * voxel_ml, abs=2e-3)
        brain = volumes["dwi"].array > 0
        assert brain[mask > 0].all() and 0.15 < brain.mean() < 0.5
        assert volumes["dwi"].array.min() == volumes["flair"].array.min() == 0


def test_left_is_left_and_front_is_front_in_two_libraries(twin: Path) -> None:
    for row in table(twin / "truth.csv"):
        (path,) = twin.rglob(f"{row['case']}*_msk.nii.gz")
        image = nib.nifti1.Nifti1Image.from_filename(path)
        places = np.argwhere(np.asanyarray(image.dataobj) > 0)
        world = nib.affines.apply_affine(image.affine, places).mean(axis=0)
        assert ("left" if world[0] < 0 else "right") == row["side"]
        itk = SimpleITK.ReadImage(str(path))
        points = [itk.TransformIndexToPhysicalPoint([int(v) for v in p]) for p in places]
        np.testing.assert_allclose(np.mean(points, axis=0) * [-1, -1, 1], world, atol=1e-3)
    array: NDArray[np.int64] = np.arange(24).reshape(2, 3, 4)
    affine = np.diag([-1.0, -2.0, 3.0, 1.0])
    turned, moved = las(array, affine)
    assert nib.orientations.aff2axcodes(moved) == ("L", "A", "S")
    for place in ((0, 0, 0), (1, 2, 3), (0, 1, 2)):
        there = np.linalg.inv(moved) @ affine @ [*place, 1]
        assert turned[tuple(np.rint(there[:3]).astype(int))] == array[place]


def test_voxels_span_what_was_read_of_the_real_set() -> None:
    spans = {0: (0.88, 2.0), 2: (2.0, 5.0)}
    drawn = {name: [] for name in CENTRES}  # type: dict[str, list[tuple[float, ...]]]
    rng = np.random.default_rng(0)
    for _ in range(300):
        centre = draw_centre(rng)
        grids = draw_grids(rng, centre, "full")
        drawn[centre.name].append(grids["dwi"].grid.spacing_mm)
        for both in grids.values():
            assert both.fine.spacing_mm[2] <= SUB_SLICE_MM
            assert both.fine.shape[2] == both.grid.shape[2] * both.thinner
            assert 210 < both.grid.shape[0] * both.grid.spacing_mm[0] < 240
        assert 112 <= grids["dwi"].grid.shape[0] <= 256
        assert 25 <= grids["dwi"].grid.shape[2] <= 76
    for axis, (low, high) in spans.items():
        values = [s[axis] for spacings in drawn.values() for s in spacings]
        assert low <= min(values) < low + 0.1 and high - 0.1 < max(values) <= high
    assert all(len(spacings) > 30 for spacings in drawn.values())
    small = draw_grids(rng, CENTRES["A"], "small")["dwi"].grid
    assert small.shape[0] <= 126


def test_every_voxel_has_the_signal_of_the_equation() -> None:
    patient = stroke(3, "clear", noise=0.0)
    scan = scanned(patient)
    fractions = fractions_on(patient, "dwi")
    dwi = replace(patient.centre.dwi, b_s_mm2=B_S_MM2)
    unit = patient.gain["dwi"] / reference_signal(patient.tissues, dwi)

    def mixed(b: float) -> NDArray[np.floating]:
        # S = g Σ f PD (1 − e^(−TR/T1)) e^(−TE/T2) e^(−b ADC), written out
        values = {
            name: t.pd * (1.0 - np.exp(-dwi.tr_ms / t.t1_ms)) * np.exp(-dwi.te_ms / t.t2_ms)
            * np.exp(-b * t.adc_um2_ms / 1000.0)
            for name, t in patient.tissues.items()
        }  # fmt: skip
        return np.asarray(unit * sum(f * values[name] for name, f in fractions.items()))

    np.testing.assert_allclose(scan.images["dwi"], mixed(B_S_MM2), rtol=1e-3, atol=1e-2)
    seen = scan.images["dwi"] > 1.0
    adc = np.log(mixed(0.0)[seen] / mixed(B_S_MM2)[seen])
    np.testing.assert_allclose(scan.images["adc"][seen], adc, rtol=2e-3, atol=1e-3)
    core = np.sum([fractions[n] for n in DEAD.values()], axis=0) > 0.95
    alive = np.mean([patient.tissues[n].adc_um2_ms for n in DEAD])
    assert core.sum() > 20 and scan.images["adc"][core].max() < alive


@pytest.mark.parametrize("seed", [1, 3, 5])
def test_infarcts_are_dark_on_adc_and_bright_on_dwi(seed: int) -> None:
    patient = stroke(seed, "clear")
    assert patient.infarct is not None
    scan = scanned(patient)
    fractions = fractions_on(patient, "dwi")
    for alive, dead in DEAD.items():
        core, normal = fractions[dead] > 0.9, fractions[alive] > 0.9
        if core.sum() < 15:
            continue
        adc, dwi = scan.images["adc"], scan.images["dwi"]
        assert np.median(adc[core]) < 0.93 * np.median(adc[normal])
        assert np.median(dwi[core]) > 1.1 * np.median(dwi[normal])
    true_ml = patient.infarct.volume_ml
    # pieces may overlap
    assert 0.75 * true_ml < scan.infarct_ml < 1.15 * true_ml
    assert scan.mask.any()


def test_csf_reads_low_on_adc_because_of_the_noise_floor() -> None:
    quiet, noisy = (scanned(replace(stroke(1, "clear"), noise=n, bias=0.0)) for n in (0.0, 0.2))
    fluid = fractions_on(stroke(1, "clear"), "dwi")["csf"] > 1.0 - 1e-6
    assert np.median(quiet.images["adc"][fluid]) == pytest.approx(3.0, rel=1e-3)
    assert np.median(noisy.images["adc"][fluid]) < 2.9


def test_flair_brightens_with_age_and_its_head_has_moved() -> None:
    def ratio(age_h: float) -> float:
        patient = stroke(3, "clear", noise=0.0)
        assert patient.infarct is not None
        aged = replace(patient.infarct, age_h=age_h)
        base = {n: t for n, t in patient.tissues.items() if n not in DEAD.values()}
        patient = replace(patient, infarct=aged, tissues=with_infarct_tissues(base, aged, 1.0))
        fractions = fractions_on(patient, "flair")
        image = scanned(patient).images["flair"]
        core = fractions["infarct_white_matter"] > 0.9
        return float(np.median(image[core]) / np.median(image[fractions["white_matter"] > 0.9]))

    young, old = ratio(2.0), ratio(22.0)
    assert 1.0 < young < 1.15 and old > young + 0.3
    patient = stroke(3, "clear")
    assert 0.0 < patient.moved_mm < 6.0
    assert patient.brain.rotation_deg != patient.brain_later.rotation_deg


def test_difficulty_is_the_contrast_of_the_infarct() -> None:
    contrast = {}
    for difficulty in get_args(Difficulty):
        values = []
        for seed in (3, 5):
            patient = stroke(seed, difficulty)
            scan = scanned(patient, lesion=difficulty != "none")
            fractions = fractions_on(patient, "dwi")
            dead = np.sum([fractions[n] for n in DEAD.values()], axis=0) > 0.9
            grey = np.isclose(fractions["grey_matter"] + fractions["white_matter"], 1.0, atol=0.1)
            adc = scan.images["adc"]
            values.append(float(np.median(adc[grey]) / np.median(adc[dead])))
        contrast[difficulty] = float(np.mean(values))
    assert contrast["clear"] > contrast["subtle"] + 0.08 > contrast["none"] + 0.16
    assert contrast["none"] == pytest.approx(1.0, abs=0.05)
    assert LOOKS["none"] == LOOKS["subtle"]


def test_none_shows_the_brain_before_the_stroke(tmp_path: Path) -> None:
    patient = stroke(5, "none")
    shown = scanned(patient, lesion=False)
    healthy = scanned(replace(patient, infarct=None))
    for role, image in shown.images.items():
        np.testing.assert_array_equal(image, healthy.images[role])
    assert shown.mask.any() and not healthy.mask.any()
    np.testing.assert_array_equal(shown.mask, scanned(patient).mask)
    out = write_isles(tmp_path / "n", patients=1, seed=SEED, difficulty="none")
    (row,) = table(out / "truth.csv")
    assert row["difficulty"] == "none" and float(row["mask_ml"]) > 0


def test_bytes_depend_on_seed_and_patient_alone(twin: Path, unusual: Path, tmp_path: Path) -> None:
    # other number of patients, other workers, broken cases beside: the first patient is the same
    images = hashes(twin, "*.nii.gz")
    first = {name: value for name, value in images.items() if "strokecase0001" in name}
    assert len(first) == 4 and first.items() <= hashes(unusual, "*.nii.gz").items()
    other = write_isles(tmp_path / "o", patients=1, seed=SEED + 1, difficulty="clear")
    assert not set(hashes(other, "*.nii.gz").values()) & set(images.values())
    assert len({value for value in images.values()}) == len(images)


def test_some_cases_have_an_empty_mask(unusual: Path) -> None:
    rows = {row["case"]: row for row in table(unusual / "truth.csv")}
    (issue,) = table(unusual / "known_issues.csv")
    assert issue["kind"] == "empty_mask" == rows[issue["case"]]["known_issue"]
    assert re.fullmatch(r"sub-strokecase9\d{3}", issue["case"])
    row = rows[issue["case"]]
    assert (row["territory"], row["pieces"], row["mask_ml"]) == ("", "0", "0.0")
    problems = check(load_manifest("isles2022"), unusual)
    assert [(p.kind, p.severity) for p in problems] == [("empty_mask", "warning")]
    assert issue["case"] in problems[0].where


def test_one_in_eighty_has_an_empty_mask(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[str] = []

    def stop(make: object, jobs: list[isles._Job], workers: int) -> list[object]:
        asked.extend(job.issue for job in jobs)
        raise InterruptedError

    monkeypatch.setattr(isles, "in_order", stop)
    for patients, empty in ((250, 3), (83, 1), (84, 2)):
        asked.clear()
        with pytest.raises(InterruptedError):
            write_isles(tmp_path / "x", patients=patients, known_issues=True)
        assert asked == [""] * patients + ["empty_mask"] * empty


def test_wrong_arguments_name_themselves(tmp_path: Path) -> None:
    for wrong in ({"size": "huge"}, {"difficulty": "hard"}, {"patients": 0}, {"workers": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            write_isles(tmp_path / "a", **{"patients": 1, **wrong})  # type: ignore[arg-type]
