"""The written BraTS twins: layout, sides, contrasts, honesty, determinism, broken cases."""

from __future__ import annotations

import csv
import hashlib
import re
import zlib
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path
from typing import get_args

import nibabel as nib
import numpy as np
import pytest
import SimpleITK

from medkd_lib.phantom import brats
from medkd_lib.phantom.brain_frame import FULL_GRID, SMALL_GRID, atlas_affine
from medkd_lib.phantom.brats import make_patient, stored, write_brats
from medkd_lib.phantom.brats_issues import ISSUES, SHIFT_VOXELS, issue_kinds
from medkd_lib.phantom.brats_patient import (
    CONTRASTS,
    Task,
    later,
    sample_patient,
    scan_patient,
    voxelise_patient,
)
from medkd_lib.phantom.brats_plan import BratsPlan, plan_patients
from medkd_lib.phantom.brats_release import RELEASES
from medkd_lib.phantom.mr import PROTOCOLS

PATIENTS = 3
SEED = 4


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> dict[Task, Path]:
    folder = tmp_path_factory.mktemp("brats")
    return {
        task: write_brats(
            folder / task,
            task=task,
            patients=PATIENTS,
            seed=SEED,
            difficulty="clear",
            known_issues=task == "met",
        )
        for task in get_args(Task)
    }


def rows_of(folder: Path, name: str = "truth.csv") -> list[dict[str, str]]:
    with (folder / name).open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def sound(folder: Path) -> list[dict[str, str]]:
    return [row for row in rows_of(folder) if not row["known_issue"]]


def case_folder(folder: Path, case: str) -> Path:
    (found,) = folder.glob(f"*/{case}")
    return found


def read(folder: Path, case: str, which: str) -> tuple[np.ndarray, nib.nifti1.Nifti1Image]:
    path = case_folder(folder, case) / f"{case}-{which}.nii.gz"
    image = nib.nifti1.Nifti1Image.from_filename(path)
    return np.asanyarray(image.dataobj), image


def hashes(folder: Path, pattern: str = "*") -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob(pattern))
        if path.is_file()
    }


@pytest.mark.parametrize("task", get_args(Task))
def test_layout_dtype_and_geometry(twins: dict[Task, Path], task: Task) -> None:
    out = twins[task]
    name = f"ASNR-MICCAI-BraTS2023-{task.upper()}-Challenge-TrainingData"
    extra = {"known_issues.csv"} if task == "met" else set()
    assert {p.name for p in out.iterdir()} == {name, "truth.csv", "SOURCE.txt"} | extra
    rows = rows_of(out)
    assert {p.name for p in (out / name).iterdir()} == {row["case"] for row in rows}
    for row in sound(out):
        case = row["case"]
        match = re.fullmatch(rf"BraTS-{task.upper()}-(\d{{5}})-(\d{{3}})", case)
        assert match is not None
        assert (int(match[1]), int(match[2])) == (int(row["patient_number"]), int(row["timepoint"]))
        assert {p.name for p in case_folder(out, case).iterdir()} == {
            f"{case}-{which}.nii.gz" for which in (*CONTRASTS, "seg")
        }
        for which in (*CONTRASTS, "seg"):
            values, image = read(out, case, which)
            assert values.shape == SMALL_GRID.shape
            assert values.dtype == (np.uint8 if which == "seg" else np.int16)
            assert nib.orientations.aff2axcodes(image.affine) == ("L", "P", "S")
            np.testing.assert_array_equal(image.affine, atlas_affine(SMALL_GRID))
    text = (out / "SOURCE.txt").read_text(encoding="utf-8")
    assert text.startswith("SYNTHETIC IMAGES")
    assert f"seed: {SEED}" in text
    assert "difficulty: clear" in text


@pytest.mark.parametrize("task", get_args(Task))
def test_labels_and_the_stripped_background(twins: dict[Task, Path], task: Task) -> None:
    for row in sound(twins[task]):
        images = {c: read(twins[task], row["case"], c)[0] for c in CONTRASTS}
        labels, _ = read(twins[task], row["case"], "seg")
        assert set(np.unique(labels)) <= {0, 1, 2, 3}
        brain = images["t1n"] > 0
        for image in images.values():
            assert image.min() == 0
            np.testing.assert_array_equal(image > 0, brain)
        assert 0.1 < brain.mean() < 0.3
        assert brain[labels > 0].all()
        for label, column in ((1, "necrosis_ml"), (2, "oedema_ml"), (3, "enhancing_ml")):
            volume = float((labels == label).sum()) * SMALL_GRID.voxel_ml
            assert float(row[column]) == pytest.approx(volume, abs=1e-3)


@pytest.mark.parametrize("task", get_args(Task))
def test_left_really_is_left_in_two_libraries(twins: dict[Task, Path], task: Task) -> None:
    checked = 0
    for row in sound(twins[task]):
        labels, image = read(twins[task], row["case"], "seg")
        core = np.argwhere(np.isin(labels, (1, 3)))
        if row["side"] == "both" or not len(core):
            continue
        world = nib.affines.apply_affine(image.affine, core).mean(axis=0)
        # RAS+: left is negative; −119.5 is the middle of the head
        assert ("left" if world[0] < -119.5 else "right") == row["side"]
        itk = SimpleITK.ReadImage(str(image.get_filename()))
        points = np.array([itk.TransformIndexToPhysicalPoint([int(v) for v in i]) for i in core])
        assert ("left" if points.mean(axis=0)[0] > 119.5 else "right") == row["side"]
        if row["lesions"] == "1" and task != "men":  # the dura cuts a meningioma's ball
            centre = [float(row[f"centre_{axis}_mm"]) for axis in "xyz"]
            assert np.linalg.norm(world - centre) < 0.5 * float(row["largest_mm"])
        checked += 1
    assert checked


@pytest.mark.parametrize("task", get_args(Task))
def test_tissues_are_ordered_as_in_the_clinic(twins: dict[Task, Path], task: Task) -> None:
    plan = plan_patients(task, PATIENTS, SEED)[0]
    person, *_ = np.random.SeedSequence(SEED, spawn_key=plan.key).spawn(3)
    patient = sample_patient(np.random.default_rng(person), task, "clear")
    anatomy = voxelise_patient(patient, SMALL_GRID)
    pure = {t: anatomy.fraction(t) > 0.9 for t in ("csf", "grey_matter", "white_matter")}
    means = {
        c: {t: float(np.median(image[mask])) for t, mask in pure.items()}
        for c in CONTRASTS
        for image in [read(twins[task], plan.case(0), c)[0]]
    }
    for contrast in ("t1n", "t1c"):
        values = means[contrast]
        assert values["csf"] < values["grey_matter"] < values["white_matter"]
    assert means["t2w"]["csf"] > means["t2w"]["grey_matter"] > means["t2w"]["white_matter"]
    flair = means["t2f"]
    assert flair["csf"] < 0.3 * flair["white_matter"] < flair["white_matter"] < flair["grey_matter"]


@pytest.mark.parametrize("task", get_args(Task))
def test_tumours_show_in_clear_sets(twins: dict[Task, Path], task: Task) -> None:
    for row in sound(twins[task]):
        labels, _ = read(twins[task], row["case"], "seg")
        images = {c: read(twins[task], row["case"], c)[0].astype(float) for c in CONTRASTS}
        brain = (images["t1n"] > 0) & (labels == 0)
        if (labels == 3).sum() >= 20:
            scale = {c: np.median(images[c][brain]) for c in ("t1n", "t1c")}
            gain = images["t1c"] / scale["t1c"] - images["t1n"] / scale["t1n"]
            assert gain[labels == 3].mean() > gain[brain].mean() + 0.3
        if (labels == 2).sum() >= 50:
            assert images["t2f"][labels == 2].mean() > 1.1 * np.median(images["t2f"][brain])


def test_none_shows_the_brain_without_its_tumour() -> None:
    for task in get_args(Task):
        plan = plan_patients(task, 1, 3)[0]
        ((row, images, labels),) = make_patient(
            replace(plan, visits=1), seed=3, grid=SMALL_GRID, difficulty="none"
        )
        assert (labels > 0).any()
        assert float(row.enhancing_ml) > 0
        person, visit, _ = np.random.SeedSequence(3, spawn_key=plan.key).spawn(3)
        patient = sample_patient(np.random.default_rng(person), task, "none")
        free = scan_patient(patient, SMALL_GRID, np.random.default_rng(visit), lesions=False)
        for name, image in images.items():
            np.testing.assert_array_equal(image, free[name])
        # the same patient in "subtle" shows them, and has the same labels
        ((_, shown, same),) = make_patient(
            replace(plan, visits=1), seed=3, grid=SMALL_GRID, difficulty="subtle"
        )
        np.testing.assert_array_equal(labels, same)
        assert any(not np.array_equal(shown[name], images[name]) for name in images)


def test_same_bytes_with_two_workers_and_earlier_patients_stay(tmp_path: Path) -> None:
    two = write_brats(tmp_path / "two", task="men", patients=2, seed=9)
    three = write_brats(tmp_path / "three", task="men", patients=3, seed=9, workers=2)
    assert hashes(two, "*.nii.gz").items() < hashes(three, "*.nii.gz").items()
    assert {tuple(r.items()) for r in rows_of(two)} < {tuple(r.items()) for r in rows_of(three)}
    other = write_brats(tmp_path / "other", task="men", patients=1, seed=10)
    assert not set(hashes(other, "*.nii.gz").values()) & set(hashes(three).values())


def test_numbers_have_gaps_and_one_glioma_patient_in_eight_comes_twice() -> None:
    for task in get_args(Task):
        plans = plan_patients(task, 64, 0)
        numbers = [plan.number for plan in plans]
        assert numbers == sorted(set(numbers))
        assert numbers[-1] > 64
        assert plans[:10] == plan_patients(task, 10, 0)
        assert sum(plan.visits == 2 for plan in plans) == (8 if task == "gli" else 0)
    assert plan_patients("gli", 5, 0)[0].key != plan_patients("met", 5, 0)[0].key


def test_second_visits_share_the_patient_and_not_the_tumours_size() -> None:
    plan = BratsPlan("gli", 7, 2, (0, 3, 5))
    visits = make_patient(plan, seed=1, grid=SMALL_GRID, difficulty="clear")
    (first, images, labels), (second, images_later, labels_later) = visits
    assert first.case == "BraTS-GLI-00007-000"
    assert second.case == "BraTS-GLI-00007-001"
    assert first.patient_number == second.patient_number == 7
    assert (first.side, first.brain_ml, first.gd_mm) == (second.side, second.brain_ml, second.gd_mm)
    assert first.enhancing_ml != second.enhancing_ml
    assert not np.array_equal(labels, labels_later)
    assert (labels[labels_later > 0] > 0).any()  # the same place
    brain = (images["t1n"] > 0) & (labels == 0) & (labels_later == 0)
    likeness = np.corrcoef(images["t1n"][brain], images_later["t1n"][brain])[0, 1]
    assert 0.8 < likeness < 0.9999
    # one visit of the same patient is the first of two
    ((alone, same, _),) = make_patient(
        replace(plan, visits=1), seed=1, grid=SMALL_GRID, difficulty="clear"
    )
    assert alone == first
    np.testing.assert_array_equal(same["t2w"], images["t2w"])


def test_tumours_grow_and_shrink() -> None:
    patient = sample_patient(np.random.default_rng(0), "met")
    ratios = [
        later(patient, np.random.default_rng(i)).lesions[0].mass_ml / patient.lesions[0].mass_ml
        for i in range(40)
    ]
    assert min(ratios) < 0.9
    assert max(ratios) > 1.2


def test_any_protocol_can_be_scanned() -> None:
    patient = sample_patient(np.random.default_rng(1), "gli")
    rng = np.random.default_rng(2)
    wanted = {name: replace(PROTOCOLS[name], noise=0.0) for name in ("dwi_b0", "dwi_b1000", "t1c")}
    images = scan_patient(patient, SMALL_GRID, rng, protocols=wanted)
    assert list(images) == list(wanted)
    assert np.max(images["dwi_b1000"]) < np.max(images["dwi_b0"])
    assert {image.dtype for image in images.values()} == {np.dtype(np.float32)}


def test_every_known_issue_is_there(twins: dict[Task, Path]) -> None:
    out = twins["met"]
    issues = {row["kind"]: row for row in rows_of(out, "known_issues.csv")}
    assert list(issues) == list(ISSUES)
    truth = {row["case"]: row for row in rows_of(out)}
    assert all(truth[row["case"]]["known_issue"] == kind for kind, row in issues.items())
    assert Counter(row["known_issue"] for row in truth.values())[""] == PATIENTS
    case = {kind: row["case"] for kind, row in issues.items()}

    def names(kind: str) -> set[str]:
        return {path.name for path in case_folder(out, case[kind]).iterdir()}

    assert f"{case['missing_t2w']}-t2w.nii.gz" not in names("missing_t2w")
    assert len(names("missing_t2w")) == 4
    old, _ = read(out, case["old_label_4"], "seg")
    assert 4 in old
    assert 3 not in old
    assert "W39_1998.09.19_Segm.nii.gz" in names("odd_seg_name")
    assert f"{case['odd_seg_name']}-seg.nii.gz" not in names("odd_seg_name")

    groups: dict[str, set[str]] = defaultdict(set)
    for path in out.rglob("*-t1n.nii.gz"):
        groups[hashlib.sha256(path.read_bytes()).hexdigest()].add(path.parent.name)
    (twice,) = [group for group in groups.values() if len(group) > 1]
    assert case["repeated_case"] in twice
    assert len({name.split("-")[2] for name in twice}) == 2

    with pytest.raises((EOFError, zlib.error, OSError)):
        read(out, case["truncated_file"], "t1c")
    values, _ = read(out, case["nan_voxels"], "t2f")
    assert values.dtype == np.float32
    assert np.isnan(values).sum() == 9
    assert not read(out, case["empty_seg"], "seg")[0].any()
    axes = {c: nib.orientations.aff2axcodes(read(out, case["flipped_affine"], c)[1].affine)
            for c in CONTRASTS}  # fmt: skip
    assert axes == {"t1n": ("L", "P", "S"), "t1c": ("L", "P", "S"), "t2w": ("L", "P", "S"),
                    "t2f": ("R", "P", "S")}  # fmt: skip


def test_misregistered_seg_is_the_right_one_moved(twins: dict[Task, Path]) -> None:
    out = twins["met"]
    kinds = [row["kind"] for row in rows_of(out, "known_issues.csv")]
    place = kinds.index("misregistered_seg")
    case = rows_of(out, "known_issues.csv")[place]["case"]
    plan = brats.plan_issue("met", place)
    ((_, _, labels),) = make_patient(plan, seed=SEED, grid=SMALL_GRID, difficulty="clear")
    moved, _ = read(out, case, "seg")
    assert not np.array_equal(moved, labels)
    np.testing.assert_array_equal(moved, np.roll(labels, SHIFT_VOXELS, axis=(0, 1, 2)))


def test_known_issues_leave_the_sound_cases_alone(twins: dict[Task, Path], tmp_path: Path) -> None:
    plain = write_brats(tmp_path / "p", task="met", patients=1, seed=SEED, difficulty="clear")
    assert hashes(plain, "*.nii.gz").items() < hashes(twins["met"], "*.nii.gz").items()


def test_2021_is_the_glioma_of_2023_under_other_names(
    twins: dict[Task, Path], tmp_path: Path
) -> None:
    out = write_brats(
        tmp_path / "old", task="gli", patients=2, seed=SEED, difficulty="clear", release="2021",
        known_issues=True, workers=2,
    )  # fmt: skip
    top = out / "BraTS2021_TrainingSet"
    names = {"t1": "t1n", "t1ce": "t1c", "t2": "t2w", "flair": "t2f"}
    first = [row for row in sound(twins["gli"]) if row["timepoint"] == "0"]
    for row, newer in zip(sound(out), first, strict=False):
        case = row["case"]
        assert re.fullmatch(r"BraTS2021_\d{5}", case) is not None
        assert {p.name for p in (top / case).iterdir()} == {
            f"{case}_{name}.nii.gz" for name in (*names, "seg")
        }
        assert {k: v for k, v in row.items() if k != "case"} == {
            k: v for k, v in newer.items() if k != "case"
        }
        twin = case_folder(twins["gli"], newer["case"])
        for name, new_name in names.items():
            here = (top / case / f"{case}_{name}.nii.gz").read_bytes()
            assert here == (twin / f"{newer['case']}-{new_name}.nii.gz").read_bytes()
        old = np.asanyarray(
            nib.nifti1.Nifti1Image.from_filename(top / case / f"{case}_seg.nii.gz").dataobj
        )
        new, _ = read(twins["gli"], newer["case"], "seg")
        assert old.dtype == np.uint8 and set(np.unique(old)) <= {0, 1, 2, 4} and (old == 4).any()
        np.testing.assert_array_equal(np.where(old == 4, 3, old), new)
    assert {row["timepoint"] for row in rows_of(out)} == {"0"}, "2021 knows no second visits"
    assert "BraTS 2021 GLI" in (out / "SOURCE.txt").read_text()

    issues = {row["kind"]: row["case"] for row in rows_of(out, "known_issues.csv")}
    assert tuple(issues) == issue_kinds(RELEASES["2021"])
    assert set(issues) ^ set(ISSUES) == {"new_label_3", "old_label_4"}
    wrong = top / issues["new_label_3"] / f"{issues['new_label_3']}_seg.nii.gz"
    ids = set(np.unique(np.asanyarray(nib.nifti1.Nifti1Image.from_filename(wrong).dataobj)))
    assert 3 in ids and 4 not in ids
    assert not (top / issues["missing_t2w"] / f"{issues['missing_t2w']}_t2.nii.gz").exists()


def test_full_size_has_the_releases_grid(tmp_path: Path) -> None:
    out = write_brats(tmp_path / "full", task="met", patients=1, size="full", seed=1)
    (row,) = rows_of(out)
    values, image = read(out, row["case"], "t2f")
    assert values.shape == FULL_GRID.shape == (240, 240, 155)
    expected = np.diag([-1.0, -1.0, 1.0, 1.0])
    expected[1, 3] = 239.0
    np.testing.assert_array_equal(image.affine, expected)


def test_stored_values_fit() -> None:
    image = np.array([0.0, 0.2, 3.6, 9e9], np.float32)
    np.testing.assert_array_equal(stored(image), [0, 1, 4, 32767])
    assert stored(image).dtype == np.int16


def test_wrong_arguments_name_themselves(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"task: expected one of \('gli',\), found 'men'"):
        write_brats(tmp_path / "a", task="men", patients=1, release="2021")
    for wrong in ({"task": "ped"}, {"release": "2020"}, {"size": "huge"},
                  {"difficulty": "hard"}, {"field_t": 7.0}, {"patients": 0},
                  {"workers": 0}):  # fmt: skip
        arguments = {"task": "gli", "patients": 1, **wrong}
        with pytest.raises(ValueError, match=next(iter(wrong))):
            write_brats(tmp_path / "a", **arguments)  # type: ignore[arg-type]
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(FileExistsError, match="empty folder"):
        write_brats(tmp_path, task="gli", patients=1)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]
