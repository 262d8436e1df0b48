"""The written set: layout, frames, tissue values, outcome, determinism, and what is broken."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import astuple
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage
from sklearn.metrics import roc_auc_score

from medkd_lib.data.problems import DataError
from medkd_lib.data.read import read_volume
from medkd_lib.phantom import sts
from medkd_lib.phantom.sts import write_sts
from medkd_lib.phantom.sts_compare import shape_dice, tissue_means
from medkd_lib.phantom.sts_outcome import LOG_UPTAKE, PREVALENCE, driver, intercept, outcome
from medkd_lib.phantom.sts_patient import Pictures, make_patient
from medkd_lib.phantom.sts_scan import Modality, crop_grids, sample_protocol
from medkd_lib.phantom.thigh import ThighAnatomy, sample_thigh, voxelise_thigh
from medkd_lib.phantom.thigh_build import ADIPOSE_HU, MUSCLE_HU
from medkd_lib.phantom.thigh_tumour import LOG_ML, Difficulty

SEED, PATIENTS = 7, 7
MODALITIES: tuple[Modality, ...] = ("CT", "MR_T1", "PET")


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sts(tmp_path_factory.mktemp("twin") / "sts", patients=PATIENTS, seed=SEED)


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("twin") / "broken"
    return write_sts(out, patients=PATIENTS, seed=SEED, known_issues=True)


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle))


def hashes(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def folders(twin: Path) -> list[Path]:
    return sorted(twin.glob("STS_*"))


def truth_of(index: int, modality: Modality) -> tuple[ThighAnatomy, Pictures]:
    """Anatomy on the very grid of a written file, by the same streams."""
    streams = np.random.SeedSequence(SEED, spawn_key=(index,)).spawn(4)
    patient = sample_thigh(np.random.default_rng(streams[0]), "subtle")
    protocol = sample_protocol(np.random.default_rng(streams[1]), patient)
    grid = crop_grids(patient, protocol, "small")[modality]
    _, pictures = make_patient(index, seed=SEED, difficulty="subtle", size="small")
    return voxelise_thigh(patient, grid), pictures[modality]


def test_layout_is_the_real_sets(twin: Path) -> None:
    names = [f"STS_{i + 1:03d}" for i in range(PATIENTS)]
    rows = table(twin / "labels.csv")
    assert list(rows[0]) == ["patient", "lung_metastasis"]
    assert [row["patient"] for row in rows] == names == [f.name for f in folders(twin)]
    assert {row["lung_metastasis"] for row in rows} <= {"0", "1"}
    files = {f"{m}_{kind}.nii.gz" for m in MODALITIES for kind in ("image", "mask")}
    for folder in folders(twin):
        assert {path.name for path in folder.iterdir()} == files
    assert {p.name for p in twin.iterdir() if p.is_file()} == {
        "labels.csv", "truth.csv", "SOURCE.txt",
    }  # fmt: skip
    truth = table(twin / "truth.csv")
    assert [(r["patient"], r["lung_metastasis"]) for r in truth] == [
        tuple(r.values()) for r in rows
    ]
    text = (twin / "SOURCE.txt").read_text()
    assert text.startswith("SYNTHETIC IMAGES")
    for words in (f"seed: {SEED}", "difficulty: subtle", f"version {sts.GENERATOR_VERSION}"):
        assert words in text


def test_files_are_lps_float32_and_masks_lie_on_their_images(twin: Path) -> None:
    shapes = set()
    for folder in folders(twin):
        for modality in MODALITIES:
            image = nib.Nifti1Image.from_filename(folder / f"{modality}_image.nii.gz")
            mask = nib.Nifti1Image.from_filename(folder / f"{modality}_mask.nii.gz")
            assert image.get_data_dtype() == np.float32
            assert mask.get_data_dtype() == np.uint8
            assert nib.aff2axcodes(image.affine) == ("L", "P", "S")
            assert image.shape == mask.shape
            np.testing.assert_array_equal(image.affine, mask.affine)
            assert set(np.unique(np.asarray(mask.dataobj))) == {0, 1}
            itk = sitk.ReadImage(str(folder / f"{modality}_image.nii.gz"))
            # the same by another reader: in ITK's own LPS frame the axes are the identity
            np.testing.assert_allclose(itk.GetDirection(), np.eye(3).ravel(), atol=1e-6)
            np.testing.assert_allclose(itk.GetSpacing(), image.header.get_zooms(), rtol=1e-5)
            np.testing.assert_allclose(
                itk.GetOrigin(), image.affine[:3, 3] * [-1, -1, 1], atol=1e-3
            )
            assert itk.GetSpacing()[2] == pytest.approx(3.27)
            shapes.add((modality, image.shape))
    assert len(shapes) > 2 * PATIENTS  # grids differ between scanners and patients


def test_three_grids_share_the_world_frame(twin: Path) -> None:
    for folder in folders(twin):
        centre, extent = {}, {}
        for modality in MODALITIES:
            mask = read_volume(folder / f"{modality}_mask.nii.gz")
            index = np.argwhere(mask.array > 0)
            centre[modality] = mask.affine[:3, :3] @ index.mean(axis=0) + mask.affine[:3, 3]
            extent[modality] = np.array(mask.array.shape) * mask.spacing_mm
        assert np.abs(centre["MR_T1"] - centre["CT"]).max() < 1.0
        assert np.abs(centre["PET"] - centre["CT"]).max() < 1.5
        # the MR sees less than the CT, on no axis more
        assert np.all(extent["MR_T1"] <= extent["CT"] + 0.1)
        assert np.prod(extent["MR_T1"]) < 0.9 * np.prod(extent["CT"])


def test_the_crop_is_the_tumours_box_and_five_centimetres(twin: Path) -> None:
    cut = {row["patient"]: float(row["cut_mm"]) for row in table(twin / "truth.csv")}
    for folder in folders(twin):
        for modality in ("CT", "PET"):
            mask = read_volume(folder / f"{modality}_mask.nii.gz")
            index = np.argwhere(mask.array > 0)
            low, high = index.min(axis=0), np.array(mask.array.shape) - 1 - index.max(axis=0)
            whole = np.ceil(50.0 / np.array(mask.spacing_mm[:2]))
            np.testing.assert_array_equal(low[:2], whole)
            np.testing.assert_array_equal(high[:2], whole)
            if cut[folder.name] == 0.0 and modality == "CT":
                assert (low[2], high[2]) == (16, 16)
            assert min(low[2], high[2]) >= 0


@pytest.mark.parametrize("index", [0, 3])
def test_ct_numbers_land_on_their_tissues(index: int) -> None:
    anatomy, ct = truth_of(index, "CT")
    hu = ct.image
    assert float(np.min(hu)) == -1000.0
    np.testing.assert_array_equal(hu, np.rint(hu))
    for tissue, low, high in (
        ("air", -1000.0, -970.0),  # noise cut at −1000 leaves it a little above
        ("adipose", -115.0, -83.0),
        ("muscle", 34.0, 66.0),
        ("cortical_bone", 1040.0, 1440.0),
    ):
        pure = anatomy.fraction(tissue) > 0.98
        pure = (
            ndimage.binary_erosion(pure, np.ones((3, 3, 1), bool)) if tissue != "adipose" else pure
        )
        assert pure.sum() > 30, tissue
        assert low < float(hu[pure].mean()) < high, tissue


def test_mr_has_the_order_of_a_t1_image_and_pet_its_levels() -> None:
    with_femur = 0
    for index in range(4):
        anatomy, mr = truth_of(index, "MR_T1")
        value = {
            name: float(np.median(mr.image[anatomy.fraction(name) > 0.97]))
            for name in ("adipose", "muscle", "air")
        }
        solid = anatomy.fraction("sarcoma", "sarcoma_myxoid", "sarcoma_necrosis") > 0.97
        value["tumour"] = float(np.median(mr.image[solid]))
        assert value["adipose"] == pytest.approx(960.0, abs=110.0)
        assert value["adipose"] > 1.8 * value["tumour"]
        assert 0.85 < value["tumour"] / value["muscle"] < 1.35
        bone = anatomy.fraction("cortical_bone") > 0.97
        if bone.sum() > 50:  # some MRs are too small to hold the femur
            with_femur += 1
            assert value["muscle"] > 4.0 * float(np.median(mr.image[bone]))
        assert value["air"] < 60.0

        anatomy, pet = truth_of(index, "PET")
        muscle = pet.image[(anatomy.fraction("muscle") > 0.9) & (anatomy.tumour == 0.0)]
        fat = pet.image[anatomy.fraction("adipose") > 0.9]
        tumour = pet.image[anatomy.tumour > 0.5]
        assert 0.3 < float(np.median(muscle)) < 1.5
        assert 0.15 < float(np.median(fat)) < float(np.median(muscle))
        assert float(np.max(tumour)) > 2.0 * float(np.median(muscle))
        assert float(pet.image[anatomy.fraction("air") > 0.999].mean()) < 0.1
    assert with_femur > 0


def test_same_bytes_with_two_workers_and_others_with_another_seed(
    twin: Path, tmp_path: Path
) -> None:
    pair = write_sts(tmp_path / "pair", patients=3, seed=SEED, workers=2)
    images = {name: h for name, h in hashes(pair).items() if name.endswith(".nii.gz")}
    assert len(images) == 18
    assert images.items() <= hashes(twin).items()  # and more patients keep the earlier ones
    other = write_sts(tmp_path / "other", patients=1, seed=SEED + 1)
    strangers = {h for name, h in hashes(other).items() if name.endswith(".nii.gz")}
    assert not strangers & set(images.values())


def test_none_shows_no_tumour_anywhere() -> None:
    for index in range(2):
        row, hidden = make_patient(index, seed=SEED, difficulty="none", size="small")
        assert (row.visible, row.probability) == (0, round(PREVALENCE, 4))
        uptake = hidden["PET"].image[hidden["PET"].mask > 0]
        assert float(np.max(uptake)) < 3.0  # muscle, fat, vessels and noise
        assert float(uptake.mean()) < 1.2


def test_outcome_has_its_prevalence_and_follows_uptake_as_asked() -> None:
    auc = {}
    rng = np.random.default_rng(3)
    scores = [driver(sample_thigh(rng, "subtle").tumour) for _ in range(800)]
    assert np.mean(scores) == pytest.approx(0.0, abs=0.12), LOG_UPTAKE
    assert np.std(scores) == pytest.approx(1.0, abs=0.1), LOG_UPTAKE
    for difficulty in ("clear", "subtle", "none"):
        kind: Difficulty = difficulty
        drawn = np.array([outcome(score, kind, rng)[0] for score in scores])
        assert drawn.mean() == pytest.approx(PREVALENCE, abs=4 * np.sqrt(0.37 * 0.63 / 800))
        auc[kind] = float(roc_auc_score(drawn, scores))
    assert auc["clear"] > 0.93
    assert 0.72 < auc["subtle"] < 0.88
    assert auc["none"] == pytest.approx(0.5, abs=0.085)
    assert intercept(0.0) == pytest.approx(np.log(0.37 / 0.63), abs=1e-6)


def test_known_issues_are_there_and_listed_and_leave_the_rest_alone(
    twin: Path, broken: Path
) -> None:
    listed = table(broken / "known_issues.csv")
    assert list(listed[0]) == ["case", "kind", "what"]
    kinds = {row["case"]: row["kind"] for row in listed}
    assert set(kinds.values()) == {
        "ct_shift", "mask_grid", "missing_mr", "padding", "missing_outcome", "missing_images",
    }  # fmt: skip
    case = {kind: name for name, kind in kinds.items()}

    def volume(name: str, file: str, root: Path = broken) -> tuple[np.ndarray, np.ndarray]:
        read = read_volume(root / name / f"{file}.nii.gz")
        return read.array, read.affine

    shift = volume(case["ct_shift"], "CT_image")[1] - volume(case["ct_shift"], "CT_image", twin)[1]
    assert np.linalg.norm(shift[:3, 3]) == pytest.approx(7.2, abs=0.05)
    assert shift[2, 3] > 0
    name = case["mask_grid"]
    (mask, mask_affine), (image, _) = volume(name, "CT_mask"), volume(name, "CT_image")
    assert mask.shape == image.shape
    np.testing.assert_array_equal(mask_affine, volume(name, "PET_image")[1])
    assert {p.name[:2] for p in (broken / case["missing_mr"]).iterdir()} == {"CT", "PE"}
    padded, whole = (
        volume(case["padding"], "CT_image")[0],
        volume(case["padding"], "CT_image", twin)[0],
    )
    outside = padded == -3024.0
    assert 0.1 < outside.mean() < 0.4
    np.testing.assert_array_equal(padded[~outside], whole[~outside])
    labels = {row["patient"]: row["lung_metastasis"] for row in table(broken / "labels.csv")}
    assert labels[case["missing_outcome"]] == ""
    assert labels[case["missing_images"]] == "0"
    assert not (broken / case["missing_images"]).exists()
    # everything not listed is byte for byte the sound set
    changed = {n for n, h in hashes(twin).items() if hashes(broken).get(n) != h}
    assert {n.split("/")[0] for n in changed if "/" in n} == {
        case[k] for k in ("ct_shift", "mask_grid", "missing_mr", "padding")
    }


def test_comparison_measures_the_twin_and_the_shape_alone_tells_much(twin: Path) -> None:
    rows = [tissue_means(folder) for folder in folders(twin)[:3]]
    truth = {row["patient"]: row for row in table(twin / "truth.csv")}
    for row in rows:
        assert np.isfinite(astuple(row)[1:]).all()
        assert -118.0 < row.fat_hu < -80.0
        assert 33.0 < row.muscle_hu < 66.0
        assert row.bone_hu > 900.0
        assert 0.25 < row.muscle_mr < 0.5
        assert row.tumour_suv_max == pytest.approx(float(truth[row.patient]["suv_max"]), abs=0.01)
        assert row.volume_ml == pytest.approx(float(truth[row.patient]["mask_ml"]), abs=0.05)
    scores = [
        shape_dice(mask.array > 0, mask.spacing_mm)
        for mask in (read_volume(folder / "CT_mask.nii.gz") for folder in folders(twin))
    ]
    assert 0.6 < np.mean(scores) < 0.92  # the real patients: 0.74
    with pytest.raises(DataError, match="CT_image"):
        tissue_means(twin)


@pytest.mark.real_data
def test_real_patients_measure_as_stated(real_data: Path) -> None:
    real = sorted((real_data / "sts_petctmr").glob("STS_*"))
    masks = [read_volume(folder / "CT_mask.nii.gz") for folder in real]
    scores = [shape_dice(mask.array > 0, mask.spacing_mm) for mask in masks]
    assert np.mean(scores) == pytest.approx(0.74, abs=0.01)
    logs = [np.log(m.array.sum() * np.prod(m.spacing_mm) / 1000.0) for m in masks]
    assert np.mean(logs) == pytest.approx(LOG_ML[0], abs=0.01)
    assert np.std(logs, ddof=1) == pytest.approx(LOG_ML[1], abs=0.01)
    row = tissue_means(real_data / "sts_petctmr" / "STS_048")
    assert row.fat_hu == pytest.approx(ADIPOSE_HU[0], abs=3 * ADIPOSE_HU[1])
    assert row.muscle_hu == pytest.approx(MUSCLE_HU[0], abs=3 * MUSCLE_HU[1])


def test_shape_dice_is_one_for_the_ellipsoid_itself() -> None:
    spacing = np.array([2.0, 2.0, 2.0])
    x, y, z = (np.arange(n) - (n - 1) / 2 for n in (90, 80, 110))
    inside = (
        (x[:, None, None] / 20) ** 2 + (y[None, :, None] / 15) ** 2 + (z[None, None, :] / 30) ** 2
    ) <= 1
    assert shape_dice(inside, tuple(spacing)) == 1.0
    assert shape_dice(np.roll(inside, 45, axis=0), tuple(spacing)) < 0.1


def test_a_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(sts, "write_nifti", full)
    with pytest.raises(OSError, match="disk full"):
        write_sts(tmp_path / "set", patients=1)
    assert list(tmp_path.iterdir()) == []


def test_wrong_arguments_name_themselves(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="difficulty"):
        write_sts(tmp_path / "a", patients=1, difficulty="hard")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="size"):
        write_sts(tmp_path / "a", patients=1, size="huge")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="patients ≥ 1"):
        write_sts(tmp_path / "a", patients=0)
    with pytest.raises(ValueError, match="patients ≥ 6"):
        write_sts(tmp_path / "a", patients=3, known_issues=True)
    assert list(tmp_path.iterdir()) == []
