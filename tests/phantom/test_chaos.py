"""The written set: the release's layout, masks on their slices, determinism, what is unusual."""

from __future__ import annotations

import csv
import hashlib
import pickle
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from PIL import Image

from medkd_lib.data.check import check
from medkd_lib.data.index import Index, index
from medkd_lib.data.manifest import load_manifest
from medkd_lib.data.read_case import read_case
from medkd_lib.phantom import chaos, chaos_grids
from medkd_lib.phantom.abdomen_patient import sample_abdomen
from medkd_lib.phantom.chaos import write_chaos
from medkd_lib.phantom.chaos_issues import GREY_RANGE, grey
from medkd_lib.phantom.chaos_patient import Modality, make_patient
from medkd_lib.phantom.chaos_truth import TRAIN_NUMBERS, patient_number

SEED, MATRIX = 5, 64


@pytest.fixture(scope="module", autouse=True)
def tiny() -> Iterator[None]:
    """A third of the matrix: the same code on a ninth of the voxels."""
    chaos_grids.MATRIX["small"], whole = MATRIX, chaos_grids.MATRIX["small"]
    yield
    chaos_grids.MATRIX["small"] = whole


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory, tiny: None) -> Path:
    return write_chaos(tmp_path_factory.mktemp("twin") / "chaos", patients=5, seed=SEED)


@pytest.fixture(scope="module")
def unusual(tmp_path_factory: pytest.TempPathFactory, tiny: None) -> Path:
    out = tmp_path_factory.mktemp("twin") / "unusual"
    return write_chaos(out, patients=5, seed=SEED, known_issues=True)


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle))


def hashes(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def opened(root: Path) -> Index:
    return index(load_manifest("chaos"), root)


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def colours(folder: Path) -> set[int]:
    """Every grey value of a folder of PNGs."""
    values: set[int] = set()
    for path in folder.iterdir():
        with Image.open(path) as picture:
            values |= {int(v) for v in np.unique(np.asarray(picture))}
    return values


def test_layout_is_the_real_sets(twin: Path) -> None:
    truth = [row["patient"] for row in table(twin / "truth.csv")]
    assert truth == ["CT/1", "CT/2", "MR/1", "MR/2", "MR/3"]
    assert (twin / "SOURCE.txt").read_text().startswith("SYNTHETIC IMAGES")
    ct, mr = twin / "Train_Sets" / "CT" / "2", twin / "Train_Sets" / "MR" / "3"
    slices = len(names(ct / "DICOM_anon"))
    assert names(ct / "DICOM_anon") == [f"i{n:04d},0000b.dcm" for n in range(slices)]
    assert names(ct / "Ground") == [f"liver_GT_{n:03d}.png" for n in range(slices)]
    dual, spir = mr / "T1DUAL" / "DICOM_anon", mr / "T2SPIR" / "DICOM_anon"
    stems = [n.removesuffix(".dcm") for n in names(dual / "InPhase")]
    assert [int(s[-5:]) for s in stems] == [2 * n + 2 for n in range(len(stems))]
    assert all(re.fullmatch(r"IMG-\d{4}-\d{5}", s) for s in stems)
    assert names(mr / "T1DUAL" / "Ground") == [f"{s}.png" for s in stems]
    odd = [int(n.removesuffix(".dcm")[-5:]) for n in names(dual / "OutPhase")]
    assert odd == [2 * n + 1 for n in range(len(stems))]
    t2 = [n.removesuffix(".dcm") for n in names(spir)]
    assert names(mr / "T2SPIR" / "Ground") == [f"{s}.png" for s in t2]
    assert [patient_number("CT", n) for n in (0, 2, 19, 20)] == [1, 5, 30, 41]
    assert len(TRAIN_NUMBERS["CT"]) == len(set(TRAIN_NUMBERS["MR"])) == 20


def test_files_hold_what_scanners_write(twin: Path) -> None:
    mr = twin / "Train_Sets" / "MR" / "1"
    first = {
        role: pydicom.dcmread(sorted((mr / place).glob("*.dcm"))[0])
        for role, place in (
            ("in", "T1DUAL/DICOM_anon/InPhase"), ("out", "T1DUAL/DICOM_anon/OutPhase"),
            ("t2", "T2SPIR/DICOM_anon"),
        )
    }  # fmt: skip
    assert float(first["in"].EchoTime) == 4.6 and float(first["out"].EchoTime) == 2.3
    assert first["t2"].ScanOptions == "FS" and first["t2"].BitsStored == 12
    assert first["in"].PixelRepresentation == 0 and first["in"].MagneticFieldStrength == 1.5
    assert first["in"].StudyInstanceUID == first["t2"].StudyInstanceUID
    assert len({f.SeriesInstanceUID for f in first.values()}) == 3
    last = pydicom.dcmread(sorted((mr / "T1DUAL/DICOM_anon/InPhase").glob("*"))[-1])
    top, bottom = (f.ImagePositionPatient[2] for f in (first["in"], last))
    assert top > bottom, "numbers run from the head down, against z"
    assert colours(mr / "T2SPIR" / "Ground") == {0, 63, 126, 189, 252}
    assert colours(twin / "Train_Sets" / "CT" / "1" / "Ground") == {0, 255}


def test_the_loader_and_simpleitk_see_what_was_made(twin: Path) -> None:
    made = make_patient("MR", 1, seed=SEED, difficulty="subtle", size="small")
    case = next(c for c in opened(twin).cases if c.id == "MR/2")
    volumes = read_case(case, load_manifest("chaos"))
    for role in ("t1_in", "t1_out", "t2"):
        grid = "t2" if role == "t2" else "t1"
        expected = np.clip(np.rint(made.images[role]), 0, 4095)
        np.testing.assert_array_equal(volumes[role].array, expected)
        np.testing.assert_allclose(volumes[role].affine, made.affines[grid], atol=1e-6)
        assert volumes[role].axcodes == "LPS"
    for grid in ("t1", "t2"):
        np.testing.assert_array_equal(volumes[f"{grid}_mask"].array, made.organs[grid])
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(case.files["t2"])))
    image = reader.Execute()
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image).T, volumes["t2"].array)
    np.testing.assert_allclose(
        image.GetOrigin(), volumes["t2"].affine[:3, 3] * [-1, -1, 1], atol=1e-6
    )


def test_masks_lie_on_their_organs(twin: Path) -> None:
    for case in opened(twin).cases:
        volumes = read_case(case, load_manifest("chaos"))
        if "ct" not in case.files:
            spleen, liver = (volumes["t2"].array[volumes["t2_mask"].array == n] for n in (4, 1))
            assert np.median(spleen) > 1.1 * np.median(liver)
            continue
        mask, hu = volumes["ct_mask"].array, volumes["ct"].array
        assert set(np.unique(mask)) == {0, 1}
        assert 80.0 < float(np.median(hu[mask == 1])) < 135.0
        wrong = hu[np.flip(mask, axis=2) == 1]
        assert np.std(hu[mask == 1]) < 45.0 < np.std(wrong), "upside down it would not fit"


def test_check_finds_nothing_in_either(twin: Path, unusual: Path) -> None:
    for root in (twin, unusual):
        assert check(load_manifest("chaos"), root) == []


def test_what_is_unusual_is_listed_and_read_alike(twin: Path, unusual: Path) -> None:
    kinds = {row["case"]: row["kind"] for row in table(unusual / "known_issues.csv")}
    assert kinds == {"MR/2": "grey_spread", "MR/3": "numbers_with_z", "CT/2": "one_bit"}
    found = colours(unusual / "Train_Sets" / "MR" / "2" / "T1DUAL" / "Ground")
    assert len(found) > 50
    assert all(any(low <= c <= high for low, high in GREY_RANGE) for c in found)
    up = sorted((unusual / "Train_Sets" / "MR" / "3" / "T2SPIR" / "DICOM_anon").iterdir())
    z = [float(pydicom.dcmread(p).ImagePositionPatient[2]) for p in up]
    assert z == sorted(z)
    one = unusual / "Train_Sets" / "CT" / "2" / "Ground" / "liver_GT_020.png"
    with Image.open(one) as picture:
        assert picture.mode == "1"
    for sound, odd in zip(opened(twin).cases, opened(unusual).cases, strict=True):
        left, right = (read_case(c, load_manifest("chaos")) for c in (sound, odd))
        for role in left:
            np.testing.assert_array_equal(left[role].array, right[role].array)
    before, after = hashes(twin), hashes(unusual)
    changed = {n for n, h in before.items() if after.get(n) != h and "/" in n}
    assert {"/".join(n.split("/")[1:3]) for n in changed} == set(kinds)


def test_spread_greys_stay_in_their_ranges() -> None:
    organs = np.arange(5, dtype=np.uint8).repeat(400)
    np.testing.assert_array_equal(np.unique(grey(organs, None)), [0, 63, 126, 189, 252])
    spread = grey(organs, np.random.default_rng(0))
    for label, (low, high) in enumerate(GREY_RANGE):
        own = spread[organs == label]
        assert own.min() == low and own.max() == high


def test_none_changes_the_teachers_images_alone(twin: Path) -> None:
    subtle, none, clear = (
        make_patient("MR", 0, seed=SEED, difficulty=d, size="small")
        for d in ("subtle", "none", "clear")
    )
    np.testing.assert_array_equal(subtle.images["t2"], none.images["t2"])
    assert not np.array_equal(subtle.images["t1_in"], none.images["t1_in"])
    assert not np.array_equal(subtle.images["t2"], clear.images["t2"])
    for grid in ("t1", "t2"):
        np.testing.assert_array_equal(subtle.organs[grid], none.organs[grid])
    # the body may move between the sequences, by less than a slice
    assert max(map(abs, subtle.moved_mm)) <= max(chaos_grids.BREATH_MM)


def test_grids_keep_the_scanners_ranges() -> None:
    rng = np.random.default_rng(4)
    for _ in range(30):
        person = sample_abdomen(rng)
        for grid in chaos_grids.mr_grids(person, "full", rng):
            assert grid.shape[:2] == (256, 256) and 24 <= grid.shape[2] <= 52
            assert 1.35 < grid.spacing_mm[0] < 1.9 and 5.5 <= grid.spacing_mm[2] <= 9.0
        ct = chaos_grids.ct_grid(person, "full", rng)
        assert 1.39 < ct.spacing_mm[0] < 1.61 and 3.0 <= ct.spacing_mm[2] <= 3.2
        assert 70 <= ct.shape[2] <= 110


def test_a_patient_is_drawn_from_its_own_seed_alone(twin: Path, tmp_path: Path) -> None:
    alone = write_chaos(tmp_path / "alone", patients=1, seed=SEED)
    images = {n: h for n, h in hashes(alone).items() if n.endswith((".dcm", ".png"))}
    assert images and images.items() <= hashes(twin).items()
    # what travels to a worker is the job, and nothing else decides over the bytes
    job = chaos._Job("MR", 0, SEED, "subtle", "small", tmp_path / "job", None)
    chaos._write_patient(pickle.loads(pickle.dumps(job)))
    assert {n: h for n, h in hashes(tmp_path / "job").items()} == images
    other = write_chaos(tmp_path / "other", patients=1, seed=SEED + 1)
    assert not set(hashes(other).values()) & {h for n, h in images.items() if n.endswith(".dcm")}


def test_ct_and_mr_of_one_number_are_different_people() -> None:
    modalities: tuple[Modality, ...] = ("CT", "MR")
    ct, mr = (
        make_patient(m, 0, seed=SEED, difficulty="subtle", size="small").person for m in modalities
    )
    assert ct.cavity_mm != mr.cavity_mm and ct.liver_fat <= 0.05, "CT: donors of a liver"


def test_wrong_arguments_name_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="difficulty"):
        write_chaos(tmp_path / "a", patients=1, difficulty="hard")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="size"):
        write_chaos(tmp_path / "a", patients=1, size="huge")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="patients ≥ 5"):
        write_chaos(tmp_path / "a", patients=4, known_issues=True)

    def full(*args: object, **kwargs: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(chaos, "write_series", full)
    with pytest.raises(OSError, match="disk full"):
        write_chaos(tmp_path / "set", patients=1)
    assert list(tmp_path.iterdir()) == []
