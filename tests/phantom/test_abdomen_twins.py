"""The liver and the kidney twin on disk: layouts, labels, CT numbers, lesions, difficulty."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage
from sklearn.metrics import roc_auc_score

from medkd_lib.data.case import Case
from medkd_lib.data.check import check
from medkd_lib.data.index import index, scan
from medkd_lib.data.manifest import load_manifest
from medkd_lib.data.read_case import read_case
from medkd_lib.data.volume import Volume
from medkd_lib.phantom.abdomen import voxelise_abdomen
from medkd_lib.phantom.abdomen_agent import contrast_hu
from medkd_lib.phantom.abdomen_case import SCAN, AbdomenCase, scan_case, stream
from medkd_lib.phantom.abdomen_lesion import NECROSIS_HU, scan_lesions
from medkd_lib.phantom.abdomen_patient import sample_abdomen
from medkd_lib.phantom.abdomen_protocol import Cohort
from medkd_lib.phantom.abdomen_scan import Difficulty
from medkd_lib.phantom.anatomy import Grid
from medkd_lib.phantom.kidney_mass import sample_kidney_masses
from medkd_lib.phantom.kits import case_name, write_kits
from medkd_lib.phantom.kits_patient import CYST, KIDNEY, TUMOUR, kits_case, kits_patient
from medkd_lib.phantom.liver_mass import sample_masses
from medkd_lib.phantom.msd_liver import write_msd_liver
from medkd_lib.phantom.msd_liver_patient import BURDEN, SOUND_SHARE, liver_case, liver_patient

SEED, PATIENTS = 3, 6
SETS: tuple[Cohort, ...] = ("msd_task03_liver", "kits23")
Made = Callable[[Cohort], Path]


def write(dataset: Cohort, out: Path, **options: object) -> Path:
    writer = write_msd_liver if dataset == "msd_task03_liver" else write_kits
    return writer(out, seed=SEED, **options)  # type: ignore[arg-type]


def make(dataset: Cohort, number: int, difficulty: Difficulty = "clear") -> AbdomenCase:
    maker = liver_case if dataset == "msd_task03_liver" else kits_case
    return maker(number, seed=SEED, difficulty=difficulty, size="small")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("twins")

    def of(dataset: Cohort) -> Path:
        out = folder / dataset
        return out if out.exists() else write(dataset, out, patients=PATIENTS, difficulty="clear")

    return of


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def hashes(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*.nii.gz"))
    }


def inner(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Voxels without a neighbour of another kind: no partial volume."""
    return np.asarray(ndimage.binary_erosion(mask, np.ones((3, 3, 3))))


def volumes_of(case: Case) -> dict[str, Volume]:
    return dict(read_case(case, load_manifest(case.dataset)))


def test_the_decathlons_layout(made: Made) -> None:
    root = made("msd_task03_liver")
    folder = root / "Task03_Liver"
    names = [f"liver_{n}" for n in range(PATIENTS)]
    for part in ("imagesTr", "labelsTr"):
        assert sorted(p.name for p in (folder / part).iterdir()) == [f"{n}.nii.gz" for n in names]
    contents = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    assert contents["labels"] == {"0": "background", "1": "liver", "2": "cancer"}
    assert contents["numTraining"] == PATIENTS and contents["modality"] == {"0": "CT"}
    for entry in contents["training"]:
        assert (folder / entry["image"]).is_file() and (folder / entry["label"]).is_file()
    assert [c.id for c in index(load_manifest("msd_task03_liver"), root).cases] == names


def test_the_kidney_sets_layout(made: Made) -> None:
    root = made("kits23")
    names = [f"case_{n:05d}" for n in range(PATIENTS)]
    assert sorted(p.name for p in (root / "dataset").iterdir()) == names
    for folder in (root / "dataset").iterdir():
        files = sorted(p.name for p in folder.iterdir())
        assert files == ["imaging.nii.gz", "segmentation.nii.gz"]
    # the release has 0 to 299 and 400 to 588
    assert [case_name(n) for n in (299, 300, 488)] == ["case_00299", "case_00400", "case_00588"]


@pytest.mark.parametrize(("dataset", "axcodes"), [("msd_task03_liver", "RAS"), ("kits23", "IPL")])
def test_dtypes_axes_and_labels(made: Made, dataset: Cohort, axcodes: str) -> None:
    found = index(load_manifest(dataset), made(dataset))
    seen: set[int] = set()
    for case in found.cases:
        volumes = volumes_of(case)
        assert volumes["ct"].array.dtype == np.int16 and volumes["ct"].unit == "HU"
        assert volumes["seg"].array.dtype == np.uint8 and volumes["seg"].unit == "label"
        assert volumes["seg"].same_grid(volumes["ct"])
        assert volumes["ct"].axcodes == axcodes
        seen |= set(np.unique(volumes["seg"].array).tolist())
    labels = load_manifest(dataset).labels
    assert labels is not None and seen == {v.id for v in labels.values}


def test_the_kidney_sets_affine_is_not_diagonal(made: Made) -> None:
    path = made("kits23") / "dataset" / "case_00000" / "imaging.nii.gz"
    image = nib.nifti1.Nifti1Image.from_filename(path)
    turn = np.sign(image.affine[:3, :3]) * (np.abs(image.affine[:3, :3]) > 1e-6)
    np.testing.assert_array_equal(turn, [[0, 0, -1], [0, -1, 0], [-1, 0, 0]])
    assert image.header.get_zooms()[0] == pytest.approx(4.0), "slices first"
    # the head end comes first: there the lungs are, and no kidney
    hu = np.asanyarray(image.dataobj)
    lung = [(np.abs(part + 800) < 60).mean() for part in (hu[:4], hu[-4:])]
    assert lung[0] > lung[1] + 0.05


@pytest.mark.parametrize("dataset", SETS)
def test_files_and_truth_are_what_was_made(made: Made, dataset: Cohort) -> None:
    root = made(dataset)
    truth = {row["case"]: row for row in table(root / "truth.csv")}
    lesions = table(root / "lesions.csv")
    manifest = load_manifest(dataset)
    assert check(manifest, root) == []
    found = index(manifest, root)
    assert {c.id: c.patient for c in found.cases} == {n: r["patient"] for n, r in truth.items()}
    for number in range(PATIENTS):
        name = f"liver_{number}" if dataset == "msd_task03_liver" else case_name(number)
        case = next(c for c in found.cases if c.id == name)
        volumes, whole = volumes_of(case), make(dataset, number)
        back = {role: volume.oriented("LPS") for role, volume in volumes.items()}
        np.testing.assert_array_equal(back["ct"].array, np.rint(whole.hu))
        np.testing.assert_array_equal(back["seg"].array, whole.label)
        np.testing.assert_allclose(back["ct"].affine, whole.affine, atol=1e-3)
        own = [row for row in lesions if row["case"] == name]
        row, seg = truth[name], volumes["seg"]
        for kind, label in (("tumour", 2), ("cyst", 3)):
            ml = float((seg.array == label).sum() * np.prod(seg.spacing_mm)) / 1000.0
            assert ml == pytest.approx(float(row[f"{kind}_ml"]), abs=0.01)
            assert sum(r["kind"] == kind for r in own) == int(row[f"{kind}s"])
        for lesion in own:
            # found from the file alone: the mask at the place that the truth tells, LPS → RAS
            place = np.array([-1, -1, 1]) * [float(lesion[f"{a}_mm"]) for a in "xyz"]
            at = np.rint(np.linalg.inv(seg.affine) @ [*place, 1.0])[:3].astype(int)
            assert seg.array[tuple(at)] == (2 if lesion["kind"] == "tumour" else 3)


def test_ct_numbers_of_the_liver_and_its_tumours(made: Made) -> None:
    root = made("msd_task03_liver")
    lesions = table(root / "lesions.csv")
    compared = 0
    for number, row in enumerate(table(root / "truth.csv")):
        case = make("msd_task03_liver", number)
        liver = inner(case.label == 1)
        assert np.median(case.hu[liver]) == pytest.approx(float(row["organ_hu"]), abs=4.0)
        # §2.2: 105–110 at 120 kV less fat and 23 % less iodine at 140 kV
        assert 40.0 < float(row["organ_hu"]) < 130.0
        for lesion in (r for r in lesions if r["case"] == row["case"]):
            inside = inner(case.lesion_number == int(lesion["lesion"]))
            if inside.sum() >= 40:
                assert np.mean(case.hu[inside]) == pytest.approx(float(lesion["hu"]), abs=6.0)
                compared += 1
    assert compared >= 3


def test_tumours_and_cysts_of_the_kidney_are_those_of_the_dossier() -> None:
    early, late, cysts = [], [], []
    for number in range(150):
        for lesion in kits_patient(number, seed=SEED, difficulty="subtle")[1]:
            if lesion.kind == "cyst":
                cysts.append(lesion.hu("nephrographic", 100))
                continue
            early.append(lesion.hu("corticomedullary", 120))
            late.append(lesion.hu("nephrographic", 120))
            assert (lesion.necrosis > 0.0) == (lesion.shape.radius_mm > 20.0)
    # §2.3 R, clear-cell cancer at 120 kV: 173 ± 45 and 149 ± 34, drawn to 1.5 SD
    assert np.mean(early) == pytest.approx(173.0, abs=10.0)
    assert np.mean(late) == pytest.approx(149.0, abs=8.0)
    assert 25.0 < np.std(early) < 45.0 and np.corrcoef(early, late)[0, 1] > 0.9
    assert min(cysts) >= 0.0 and max(cysts) <= 20.0 and np.std(cysts) > 4.0


def test_ct_numbers_of_kidneys_tumours_and_cysts() -> None:
    tumours = cysts = 0
    for number in range(8):
        case = make("kits23", number)
        values = contrast_hu(case.person, case.protocol.phase, case.protocol.kilovolts)
        healthy = np.where(case.label == KIDNEY, case.anatomy.fraction("kidney_cortex"), 0.0)
        # §2.2 † 150–200 at 120 kV, more iodine contrast at 100 kV
        assert 140.0 < values["kidney_cortex"] < 250.0
        cortex = case.hu[healthy > 0.95]
        # the same noise lies over the person alone: taken away, the lesions' own numbers are left
        noise = np.random.default_rng(_noise_seed("kits23", number))
        alone = scan_lesions(case.anatomy, case.person, (), (), case.protocol, noise)
        silent = case.hu - (alone - case.anatomy.paint(values))
        assert np.median(cortex) == pytest.approx(values["kidney_cortex"], abs=12.0)
        for n, lesion in enumerate(case.lesions, start=1):
            box, member = lesion.shape.draw(case.anatomy.grid)
            inside = np.zeros(case.hu.shape, bool)
            inside[box] = (member > 0.999) & (case.lesion_number[box] == n)
            if inside.sum() < 6:
                continue
            solid = lesion.hu(case.protocol.phase, case.protocol.kilovolts)
            mean = float(np.mean(silent[inside]))
            if lesion.kind == "cyst":
                assert mean == pytest.approx(solid, abs=2.0)
            else:
                # fluid pulls the mean down towards 15 HU; waves of 8 mm leave some of their own
                expected = (1.0 - lesion.necrosis) * solid + lesion.necrosis * NECROSIS_HU
                assert mean == pytest.approx(expected, abs=15.0)
            tumours, cysts = tumours + (lesion.kind == "tumour"), cysts + (lesion.kind == "cyst")
    assert tumours >= 4 and cysts >= 1


@pytest.mark.parametrize("dataset", SETS)
def test_noise_is_what_the_protocol_says(dataset: Cohort) -> None:
    for number in range(3):
        case = make(dataset, number)
        spleen = inner(case.anatomy.organs == 4)
        sigma = np.hypot(case.protocol.sigma_hu, 3.0)
        assert np.std(case.hu[spleen]) == pytest.approx(sigma, rel=0.2)


def test_masks_are_organs_with_what_grows_on_them() -> None:
    bulging = 0
    for number in range(8):
        liver = make("msd_task03_liver", number)
        np.testing.assert_array_equal(liver.label > 0, liver.anatomy.organs == 1)
        kidney = make("kits23", number)
        organ = np.isin(kidney.anatomy.organs, (2, 3))
        assert not (organ & (kidney.label == 0)).any(), "a mass takes kidney, it never frees any"
        assert not np.isin(kidney.anatomy.organs[kidney.label > 0], (1, 4)).any()
        masses = np.isin(kidney.label, (TUMOUR, CYST))
        bulging += int((masses & ~organ).sum() > 0.2 * masses.sum())
        bone = kidney.anatomy.fraction("cortical_bone", "red_marrow")
        assert bone[masses].max() < 0.5
        for n in range(1, 1 + len(kidney.lesions)):
            own = kidney.lesion_number == n
            assert ndimage.label(own, np.ones((3, 3, 3)))[1] == 1, "a mass is one piece"
            assert (own & organ).any(), "it grows on a kidney"
    assert bulging >= 3


def test_numbers_and_sizes_follow_the_dossier() -> None:
    liver_mm, liver_number, kidney_mm, cyst_mm, single, with_cyst = [], [], [], [], 0, 0
    for n in range(120):
        rng = np.random.default_rng([n, 1])
        person = sample_abdomen(rng)
        masses = sample_kidney_masses(person, rng)
        tumours = [2.0 * m.radius_mm for kind, m in masses if kind == "tumour"]
        cysts = [2.0 * m.radius_mm for kind, m in masses if kind == "cyst"]
        single, with_cyst = single + (len(tumours) == 1), with_cyst + bool(cysts)
        kidney_mm += tumours
        cyst_mm += cysts
        if n < 40:
            found = [2.0 * m.radius_mm for m in sample_masses(person, rng, BURDEN)]
            liver_mm += found
            liver_number.append(len(found))
    # §5 C of the real kidney set: 4.0 cm (2.5–6.1), 90 % with one tumour, 51 % with a cyst of 20 mm
    low, middle, high = np.quantile(kidney_mm, (0.25, 0.5, 0.75))
    assert 21 < low < 29 and 34 < middle < 46 and 52 < high < 70
    assert single / 120 == pytest.approx(0.90, abs=0.08)
    assert with_cyst / 120 == pytest.approx(0.51, abs=0.12)
    assert np.median(cyst_mm) == pytest.approx(20.0, abs=4.0)
    # larger and fewer than the dossier's metastases, so that lesson 06's teachers can learn them
    assert min(liver_number) == 1 and 4 <= max(liver_number) <= 5
    assert 33.0 < np.median(liver_mm) < 46.0


def test_one_liver_in_ten_has_no_tumour() -> None:
    assert pytest.approx(118 / 131) == 1.0 - SOUND_SHARE
    sound = [n for n in range(80) if not liver_patient(n, seed=SEED, difficulty="clear")[1]]
    assert 3 <= len(sound) <= 15
    case = make("msd_task03_liver", sound[0])
    assert set(np.unique(case.label)) == {0, 1} and not case.lesion_number.any()


@pytest.mark.parametrize("dataset", SETS)
def test_difficulties_share_bodies_lesions_protocol_and_noise(dataset: Cohort) -> None:
    clear, subtle, none = (make(dataset, 0, d) for d in ("clear", "subtle", "none"))
    assert clear.person == subtle.person == none.person
    assert clear.protocol == subtle.protocol == none.protocol
    assert [x.shape for x in clear.lesions] == [x.shape for x in none.lesions]
    np.testing.assert_array_equal(clear.label, subtle.label)
    away = ~ndimage.binary_dilation(clear.label > 0, np.ones((3, 3, 3)), iterations=2)
    for other in (subtle, none):
        np.testing.assert_allclose(clear.hu[away], other.hu[away], atol=1e-3)
    changed = [np.abs(clear.hu - x.hu)[clear.label == 2].mean() for x in (subtle, none)]
    assert min(changed) > 5.0


@pytest.mark.parametrize("dataset", SETS)
def test_at_none_the_image_is_that_of_the_person_without_lesions(dataset: Cohort) -> None:
    for number in range(3):
        case = make(dataset, number, "none")
        noise = np.random.default_rng(_noise_seed(dataset, number))
        alone = scan_lesions(case.anatomy, case.person, (), (), case.protocol, noise)
        np.testing.assert_array_equal(case.hu, alone)
        # and the outline betrays nothing either
        organs = (1,) if dataset == "msd_task03_liver" else (2, 3)
        inside = np.isin(case.anatomy.organs, organs)
        assert not ((case.label > 0) & ~inside).any()
        assert all((case.lesion_number == n).any() for n in range(1, 1 + len(case.lesions)))


def _noise_seed(dataset: Cohort, number: int) -> np.random.SeedSequence:
    return stream(dataset, number, SEED, SCAN).spawn(3)[1]


def test_darkness_finds_tumours_of_the_liver_in_the_order_of_the_difficulties() -> None:
    # ROC area of the smoothed CT number, tumour against liver
    found: dict[Difficulty, list[float]] = {"clear": [], "subtle": [], "none": []}
    for number in range(8):
        for difficulty, areas in found.items():
            case = make("msd_task03_liver", number, difficulty)
            inside = inner(case.label > 0)
            tumour = case.label[inside] == 2
            if tumour.sum() >= 20:
                smooth = ndimage.gaussian_filter(case.hu, (1.2, 1.2, 0.8))
                areas.append(float(roc_auc_score(tumour, -smooth[inside])))
    assert len(found["clear"]) >= 5
    clear, subtle, none = (float(np.mean(areas)) for areas in found.values())
    assert clear > subtle + 0.005 and subtle > 0.9
    assert none == pytest.approx(0.5, abs=0.12)


def test_tumours_of_the_kidney_stand_out_in_the_order_of_the_difficulties() -> None:
    # how far a tumour's CT number lies from the cortex it grew from
    apart: dict[Difficulty, list[float]] = {"clear": [], "subtle": []}
    for difficulty, differences in apart.items():
        for number in range(60):
            person, lesions = kits_patient(number, seed=SEED, difficulty=difficulty)
            cortex = contrast_hu(person, "corticomedullary", 120)["kidney_cortex"]
            differences.append(abs(lesions[0].hu("corticomedullary", 120) - cortex))
    assert np.mean(apart["clear"]) > 2.0 * np.mean(apart["subtle"]) > 40.0


def test_the_same_bytes_from_two_processes_and_with_more_patients(tmp_path: Path) -> None:
    for dataset in SETS:
        alone = hashes(write(dataset, tmp_path / f"{dataset}-1", patients=2))
        pair = hashes(write(dataset, tmp_path / f"{dataset}-2", patients=3, workers=2))
        assert len(alone) == 4 and alone.items() <= pair.items() and len(pair) == 6
    first, other = (make(d, 0).person for d in SETS)
    assert first != other, "the sets share nobody"


def test_full_size_is_the_same_patient_in_finer_voxels(tmp_path: Path) -> None:
    for dataset, slice_mm in zip(SETS, (2.5, 3.0), strict=True):
        out = write(dataset, tmp_path / dataset, patients=1, size="full", difficulty="clear")
        (case,) = index(load_manifest(dataset), out).cases
        ct = volumes_of(case)["ct"].oriented("LPS")
        assert ct.shape[:2] == (256, 256) and ct.spacing_mm[2] == pytest.approx(slice_mm)
        small, truth = make(dataset, 0), table(out / "truth.csv")[0]
        ml = float((small.label == 2).sum()) * small.voxel_ml
        assert float(truth["tumour_ml"]) == pytest.approx(ml, rel=0.15)


def test_an_interrupted_download_is_told(tmp_path: Path) -> None:
    root = write_kits(tmp_path / "kits", patients=2, seed=SEED, known_issues=True)
    (row,) = table(root / "known_issues.csv")
    assert row["case"] == "case_00001" and row["kind"] == "missing_imaging"
    found = scan(load_manifest("kits23"), root)
    (problem,) = found.problems
    assert problem.kind == "missing_modality" and "case_00001" in problem.where
    assert [c.id for c in found.cases] == ["case_00000"]


@pytest.mark.parametrize("dataset", SETS)
def test_wrong_arguments_name_themselves(dataset: Cohort, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"difficulty.*'hard'"):
        write(dataset, tmp_path / "a", patients=1, difficulty="hard")
    with pytest.raises(ValueError, match=r"size.*'huge'"):
        write(dataset, tmp_path / "a", patients=1, size="huge")
    with pytest.raises(ValueError, match="patients ≥ 1"):
        write(dataset, tmp_path / "a", patients=0)
    expected = "no broken case" if dataset == "msd_task03_liver" else "patients ≥ 2"
    with pytest.raises(ValueError, match=expected):
        write(dataset, tmp_path / "a", patients=1, known_issues=True)
    assert list(tmp_path.iterdir()) == []


def test_lesions_need_a_grid_with_a_place() -> None:
    case = make("kits23", 0)
    grid = Grid((24, 24, 12), (14.0, 14.0, 20.0))
    with pytest.raises(TypeError, match="PlacedGrid"):
        scan_case(
            voxelise_abdomen(case.person, grid), case.person, (), case.protocol, "clear",
            organs=(2, 3), room=np.ones(grid.shape, np.float32), ids={},
            noise=np.random.default_rng(0), place=np.random.default_rng(0),
        )  # fmt: skip
