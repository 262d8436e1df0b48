"""The three chest twins on disk: layouts, weekly scans, contours, broken patients, oracle pairs."""

from __future__ import annotations

import csv
import hashlib
import json
from itertools import pairwise
from pathlib import Path
from typing import get_args

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray

from medkd_lib.data.dicom import read_series
from medkd_lib.data.index import index
from medkd_lib.data.manifest import load_manifest
from medkd_lib.data.read_case import read_case
from medkd_lib.data.rtstruct import read_rtstruct, structure_mask
from medkd_lib.phantom import nsclc as nsclc_module
from medkd_lib.phantom.chest_cohort import Cohort, chest_patient, pair_of, scans_of
from medkd_lib.phantom.lung_mr import write_lung_mr
from medkd_lib.phantom.msd_lung import case_name, write_msd_lung
from medkd_lib.phantom.nsclc import CUT_ROWS, ISSUES, sound_numbers, write_nsclc

SEED = 3
ONE_OF_EACH = {21: "other_shape", 128: "no_seg", 412: "no_tumour"}
REGIONS = ("GTV-1", "Lung-Left", "Lung-Right", "Heart")


@pytest.fixture(scope="module")
def msd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_msd_lung(tmp_path_factory.mktemp("twin") / "msd", patients=3, seed=SEED)


@pytest.fixture(scope="module")
def mr(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lung_mr(tmp_path_factory.mktemp("twin") / "mr", patients=2, seed=SEED)


@pytest.fixture(scope="module")
def nsclc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("twin") / "nsclc"
    with pytest.MonkeyPatch.context() as patch:
        # one patient of each kind is enough
        patch.setattr(nsclc_module, "ISSUES", ONE_OF_EACH)
        return write_nsclc(out, patients=1, seed=SEED, known_issues=True)


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def hashes(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def segments(path: Path, shape: tuple[int, int, int], affine: NDArray[np.float64]) -> dict:
    """Masks of a SEG by name, placed by its own positions."""
    file = pydicom.dcmread(path)
    to_voxel = np.linalg.inv(np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine)
    names = [str(s.SegmentLabel) for s in file.SegmentSequence]
    masks = {name: np.zeros((file.Columns, file.Rows, shape[2]), bool) for name in names}
    for frame, groups in zip(file.pixel_array, file.PerFrameFunctionalGroupsSequence, strict=True):
        number = groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        place = [float(v) for v in groups.PlanePositionSequence[0].ImagePositionPatient]
        masks[names[number - 1]][:, :, round(float((to_voxel @ [*place, 1.0])[2]))] = frame.T > 0
    return masks


def test_the_decathlons_layout(msd: Path) -> None:
    found = index(load_manifest("msd_task06_lung"), msd)
    assert [c.id for c in found.cases] == ["lung_001", "lung_002", "lung_004"]
    assert case_name(62) == "lung_094" and len({case_name(i) for i in range(63)}) == 63
    contents = json.loads((msd / "Task06_Lung" / "dataset.json").read_text())
    assert contents["numTraining"] == len(contents["training"]) == 3
    assert contents["labels"] == {"0": "background", "1": "cancer"}
    truth = {row["case"]: row for row in table(msd / "truth.csv")}
    for case in found.cases:
        volumes = read_case(case, found.manifest)
        assert volumes["ct"].unit == "HU" and volumes["ct"].array.dtype == np.int16
        ml = float(volumes["seg"].array.sum()) * float(np.prod(volumes["seg"].spacing_mm)) / 1000.0
        assert ml == pytest.approx(float(truth[case.id]["mask_ml"]), abs=0.01)
        where = np.append(np.argwhere(volumes["seg"].array > 0).mean(axis=0), 1.0)
        lps = (volumes["seg"].affine @ where)[:3] * [-1, -1, 1]
        stated = [float(truth[case.id][f"{a}_mm"]) for a in "xyz"]
        np.testing.assert_allclose(lps, stated, atol=0.02)
        assert volumes["ct"].axcodes == "LPS"


def test_the_file_is_half_of_the_oracles_pair(msd: Path, mr: Path) -> None:
    found = index(load_manifest("msd_task06_lung"), msd)
    pair = pair_of("msd_task06_lung", 1, seed=SEED, difficulty="subtle")
    volumes = read_case(found.cases[1], found.manifest)
    np.testing.assert_array_equal(volumes["ct"].array, pair.ct.hu)
    np.testing.assert_array_equal(volumes["seg"].array, pair.label)
    scans = index(load_manifest("cmedl_private_mr_cohort"), mr)
    third = next(c for c in scans.cases if c.id == "MSK-0001/scan_3")
    volumes = read_case(third, scans.manifest)
    pair = pair_of("cmedl_private_mr_cohort", 0, seed=SEED, difficulty="subtle", scan=2)
    np.testing.assert_array_equal(volumes["mr"].array, pair.t2w)
    np.testing.assert_array_equal(volumes["seg"].array, pair.label)


def test_weekly_scans_belong_to_one_patient_and_shrink(mr: Path) -> None:
    found = index(load_manifest("cmedl_private_mr_cohort"), mr)
    assert [c.id for c in found.cases] == [
        *(f"MSK-0001/scan_{n}" for n in range(1, 8)), "MSK-0002/scan_1",
    ]  # fmt: skip
    assert [c.patient for c in found.cases] == ["MSK-0001"] * 7 + ["MSK-0002"]
    rows = [r for r in table(mr / "truth.csv") if r["patient"] == "MSK-0001"]
    volumes = [float(r["mask_ml"]) for r in rows]
    assert all(a > b for a, b in pairwise(volumes))
    assert len({r["t2_ratio"] for r in rows}) == 1
    assert {r["ct_noise_hu"] for r in rows} == {""} and len({r["mr_noise"] for r in rows}) == 7
    # the cohort's numbers: 82 scans of 28 patients, 9 of them weekly
    assert sum(scans_of(i) for i in range(28)) == 82
    assert sum(scans_of(i) > 1 for i in range(28)) == 9


def test_no_two_sets_share_a_patient() -> None:
    names: tuple[Cohort, ...] = get_args(Cohort)
    bodies = {
        chest_patient(name, i, seed=0, difficulty="subtle").body.lung_ml
        for name in names
        for i in range(3)
    }
    assert len(bodies) == 9


def test_contours_and_segments_are_one_drawing(nsclc: Path) -> None:
    folder = nsclc / "nsclc_radiomics" / "LUNG1-001"
    (ct,) = (folder / "CT").iterdir()
    series = read_series(ct)
    assert series.volume.unit == "HU" and series.volume.problems == ()
    assert ct.name == series.slices[0].text("SeriesInstanceUID")
    (contours,) = (folder / "RTSTRUCT").rglob("*.dcm")
    structures = read_rtstruct(contours)
    assert set(structures.names) <= set(REGIONS) and structures.names[0] == "GTV-1"
    (seg,) = (folder / "SEG").rglob("*.dcm")
    assert seg.parent.name == pydicom.dcmread(seg, stop_before_pixels=True).SeriesInstanceUID
    told = segments(seg, series.volume.shape, series.volume.affine)
    assert list(told) == structures.names
    for name in structures.names:
        mask = structure_mask(structures, name, series)
        assert mask.array.any()
        np.testing.assert_array_equal(mask.array, told[name])
    pair = pair_of("nsclc_radiomics", 0, seed=SEED, difficulty="subtle")
    np.testing.assert_array_equal(series.volume.array, pair.ct.hu)
    np.testing.assert_array_equal(told["GTV-1"], pair.label > 0)
    np.testing.assert_array_equal(told["Lung-Left"] | told["Lung-Right"], pair.lung)


def test_documented_defects_are_there_and_excluded(nsclc: Path) -> None:
    listed = {row["case"]: row["kind"] for row in table(nsclc / "known_issues.csv")}
    assert listed == {f"LUNG1-{n:03d}": kind for n, kind in ONE_OF_EACH.items()}
    assert ONE_OF_EACH.items() <= ISSUES.items()
    root = nsclc / "nsclc_radiomics"
    assert {p.name for p in (root / "LUNG1-128").iterdir()} == {"CT", "RTSTRUCT"}
    (seg,) = (root / "LUNG1-412" / "SEG").rglob("*.dcm")
    assert "GTV-1" not in [s.SegmentLabel for s in pydicom.dcmread(seg).SegmentSequence]
    (seg,) = (root / "LUNG1-021" / "SEG").rglob("*.dcm")
    (ct,) = (root / "LUNG1-021" / "CT").iterdir()
    rows = pydicom.dcmread(next(ct.iterdir()), stop_before_pixels=True).Rows
    assert pydicom.dcmread(seg, stop_before_pixels=True).Rows == rows - CUT_ROWS
    manifest = load_manifest("nsclc_radiomics")
    excluded = [case for i in manifest.known_issues if i.action == "exclude" for case in i.cases]
    assert sorted(excluded) == [f"LUNG1-{n:03d}" for n in sorted(ISSUES)]
    found = index(manifest, nsclc)
    assert [c.patient for c in found.cases] == ["LUNG1-001"]
    assert not set(sound_numbers(422)) & set(ISSUES) and len(sound_numbers(422)) == 422


def test_same_bytes_with_two_workers_and_more_patients(msd: Path, tmp_path: Path) -> None:
    pair = write_msd_lung(tmp_path / "pair", patients=2, seed=SEED, workers=2)
    images = {name: h for name, h in hashes(pair).items() if name.endswith(".nii.gz")}
    assert len(images) == 4
    assert images.items() <= hashes(msd).items()
    other = write_msd_lung(tmp_path / "other", patients=1, seed=SEED + 1)
    strangers = {h for name, h in hashes(other).items() if name.endswith(".nii.gz")}
    assert not strangers & set(images.values())


def test_what_cannot_be_made_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="documents no broken case"):
        write_msd_lung(tmp_path / "a", patients=1, known_issues=True)
    with pytest.raises(ValueError, match="'hard'"):
        write_lung_mr(tmp_path / "a", patients=1, difficulty="hard")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="patients ≥ 1"):
        write_nsclc(tmp_path / "a", patients=0)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").write_text("a")
    with pytest.raises(FileExistsError, match="empty folder"):
        write_nsclc(tmp_path / "full", patients=1)
    assert [p.name for p in tmp_path.iterdir()] == ["full"]
