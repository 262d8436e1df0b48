"""The private cohort's twin on disk: layout, SUV by the one loader, determinism, what is broken."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from scipy import ndimage

from medkd_lib.data.check import check
from medkd_lib.data.index import index, scan
from medkd_lib.data.manifest import load_manifest
from medkd_lib.data.read_case import read_case
from medkd_lib.data.split import LeakageError, Split, check_disjoint
from medkd_lib.data.volume import Volume
from medkd_lib.phantom import react_exam
from medkd_lib.phantom.hcc_anatomy import REGIONS, TUMOUR
from medkd_lib.phantom.react import write_react
from medkd_lib.phantom.react_exam import make_exam
from medkd_lib.phantom.react_issues import KIND_OF_PATIENT

SEED, PATIENTS, SLICE = 6, 4, 8.0
ID = "react_kd_private_cohort"


@pytest.fixture(scope="module", autouse=True)
def thick() -> Iterator[None]:
    """Fewer slices: the same code on fewer files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(react_exam, "SLICE_MM", {"small": SLICE, "full": 3.27})
        yield


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory, thick: None) -> Path:
    out = tmp_path_factory.mktemp("twin") / "react"
    return write_react(out, patients=PATIENTS, seed=SEED, known_issues=True)


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def hashes(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def values_in(image: Volume, mask: np.ndarray, of: Volume) -> np.ndarray:
    """Values of an image where a mask on another grid lies, linear."""
    to_image = np.linalg.inv(image.affine) @ of.affine
    places = to_image[:3, :3] @ np.argwhere(mask).T + to_image[:3, 3:]
    return np.asarray(ndimage.map_coordinates(image.array, places, order=1))


def test_layout_and_headers(broken: Path) -> None:
    exam = broken / "react_kd" / "RKD-001" / "exam_1"
    assert {p.name for p in exam.iterdir()} == {"CT", "FDG", "ACT", "regions.nii.gz"}
    first = {
        name: pydicom.dcmread(sorted((exam / name).glob("*.dcm"))[0], stop_before_pixels=True)
        for name in ("CT", "FDG", "ACT")
    }
    assert len({f.SeriesInstanceUID for f in first.values()}) == 3
    assert len({f.SOPInstanceUID for f in first.values()}) == 3
    for shared in ("StudyInstanceUID", "FrameOfReferenceUID", "StudyTime", "PatientID"):
        assert len({f[shared].value for f in first.values()}) == 1, shared
    doses = {(r["case"], r["tracer"]): r for r in table(broken / "doses.csv")}
    for name, tracer, half_life in (("FDG", "fdg", 6586.2), ("ACT", "acetate", 1221.6)):
        told = first[name].RadiopharmaceuticalInformationSequence[0]
        assert float(told.RadionuclideHalfLife) == pytest.approx(half_life)
        row = doses["RKD-001/exam_1", tracer]
        mbq = float(told.RadionuclideTotalDose) / 1e6
        assert mbq == pytest.approx(float(row["injected_mbq"]), abs=0.001)
        low, high = {"fdg": (45.0, 90.0), "acetate": (12.0, 28.0)}[tracer]
        assert low <= float(row["minutes"]) <= high
    text = (broken / "SOURCE.txt").read_text()
    assert text.startswith("SYNTHETIC IMAGES") and f"seed: {SEED}" in text


def test_the_loader_reads_hounsfield_and_suv_as_they_were_made(broken: Path) -> None:
    manifest = load_manifest(ID)
    case = next(c for c in scan(manifest, broken).cases if c.id == "RKD-001/exam_1")
    volumes = read_case(case, manifest)
    made = make_exam(0, seed=SEED, difficulty="subtle", size="small")
    np.testing.assert_array_equal(volumes["ct"].array, np.rint(made.ct))
    np.testing.assert_allclose(volumes["ct"].affine, made.ct_affine, atol=1e-5)
    np.testing.assert_array_equal(volumes["regions"].array, made.anatomy.regions)
    for role, tracer in (("fdg", "fdg"), ("acetate", "acetate")):
        assert volumes[role].unit == "SUV"
        suv = made.pet[tracer]  # type: ignore[index]
        # each slice has int16 steps of its own
        step = suv.max(axis=(0, 1)) / 32767.0
        assert (np.abs(volumes[role].array - suv) <= 0.6 * step + 1e-5 * suv).all()
        np.testing.assert_allclose(volumes[role].affine, made.pet_affine, atol=1e-5)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(case.files["ct"])))
    image = sitk.GetArrayFromImage(reader.Execute()).T
    np.testing.assert_array_equal(image, volumes["ct"].array)


def test_organs_and_masses_measure_near_the_truth(broken: Path) -> None:
    manifest = load_manifest(ID)
    truth = {row["case"]: row for row in table(broken / "truth.csv")}
    masses = table(broken / "masses.csv")
    whole = [c for c in scan(manifest, broken).cases if c.patient in ("RKD-001", "RKD-002")]
    assert len(whole) == 3, "one of them came twice"
    for case in whole:
        row, volumes = truth[case.id], read_case(case, manifest)
        regions = volumes["regions"]
        assert set(np.unique(regions.array)) <= {0, *REGIONS}
        liver = ndimage.binary_erosion(np.isin(regions.array, range(1, 9)), iterations=2)
        liver_hu = np.mean(volumes["ct"].array[liver])
        assert liver_hu == pytest.approx(float(row["liver_hu"]), abs=2.5)
        for tracer in ("fdg", "acetate"):
            seen = np.mean(values_in(volumes[tracer], liver, regions))
            assert seen == pytest.approx(float(row[f"{tracer}_liver_suv"]), rel=0.05)
            # blur mixes a mass with its surroundings: its mean moves towards the liver's
            tumour = values_in(volumes[tracer], regions.array == TUMOUR, regions)
            true, around = (float(row[f"{tracer}{part}_suv"]) for part in ("", "_liver"))
            moved = (float(np.mean(tumour)) - around) / (true - around)
            assert 0.3 < moved < 1.15 or abs(true - around) < 0.25 * around
        own = [m for m in masses if m["case"] == case.id]
        assert len(own) == int(row["masses"])
        millilitres = float((regions.array == TUMOUR).sum()) * np.prod(regions.spacing_mm) / 1000.0
        assert sum(float(m["volume_ml"]) for m in own) == pytest.approx(millilitres, abs=0.01)
        for mass in own:
            lps = np.array([float(mass[f"{a}_mm"]) for a in "xyz"])
            place = np.linalg.inv(regions.affine) @ [-lps[0], -lps[1], lps[2], 1.0]
            assert regions.array[tuple(np.rint(place[:3]).astype(int))] == TUMOUR


def test_what_is_broken_is_listed_and_told(broken: Path) -> None:
    listed = {row["case"]: row["kind"] for row in table(broken / "known_issues.csv")}
    assert listed == {
        "RKD-002/exam_2": "second_exam", "RKD-003/exam_1": "no_dose",
        "RKD-004/exam_1": "no_acetate",
    }  # fmt: skip
    assert set(listed.values()) == set(KIND_OF_PATIENT.values())
    manifest = load_manifest(ID)
    told = {p.kind: p.where for p in check(manifest, broken)}
    assert set(told) == {"no_dose", "missing_modality"}
    assert "RKD-003" in told["no_dose"] and "RKD-004" in told["missing_modality"]
    cases = index(manifest, broken, drop_broken=True).cases
    exams = [c for c in cases if c.patient == "RKD-002"]
    assert [c.id for c in exams] == ["RKD-002/exam_1", "RKD-002/exam_2"]
    assert len({c.label for c in exams}) == 1
    careless = Split(ID, 0, {"train": (exams[0].id,), "test": (exams[1].id,)})
    with pytest.raises(LeakageError, match="RKD-002"):
        check_disjoint(careless, cases)


def test_same_bytes_with_two_workers_and_more_patients(broken: Path, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        # processes of their own do not see the patched slices: the first exam alone, twice
        patch.setattr(react_exam, "SLICE_MM", {"small": 5.0, "full": 3.27})
        alone = hashes(write_react(tmp_path / "alone", patients=1, seed=SEED))
        pair = hashes(write_react(tmp_path / "pair", patients=2, seed=SEED, workers=2))
    images = {n: h for n, h in alone.items() if "exam_1" in n}
    assert len(images) > 100 and images.items() <= pair.items()
    other = hashes(write_react(tmp_path / "other", patients=1, seed=SEED + 1))
    assert not set(images.values()) & {h for n, h in other.items() if "exam_1" in n}


def test_wrong_arguments_name_themselves(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="difficulty"):
        write_react(tmp_path / "a", patients=1, difficulty="hard")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="size"):
        write_react(tmp_path / "a", patients=1, size="huge")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="patients ≥ 4"):
        write_react(tmp_path / "a", patients=3, known_issues=True)
    assert list(tmp_path.iterdir()) == []
