"""The synthetic twins of BraTS 2021 and of BraTS 2023 GLI, MEN and MET, each in its layout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal, get_args

from medkd_lib.phantom.anatomy import Grid
from medkd_lib.phantom.brain_frame import FULL_GRID, SMALL_GRID, atlas_affine
from medkd_lib.phantom.brats_case import make_patient, stored
from medkd_lib.phantom.brats_issues import ISSUES, break_case, issue_kinds
from medkd_lib.phantom.brats_patient import Task
from medkd_lib.phantom.brats_plan import BratsPlan, plan_issue, plan_patients
from medkd_lib.phantom.brats_release import RELEASES, Release, Year
from medkd_lib.phantom.brats_truth import BratsTruth
from medkd_lib.phantom.known_issue import Issue, write_issues
from medkd_lib.phantom.opacities import Difficulty
from medkd_lib.phantom.twin_files import (
    build_folder,
    check_free,
    check_request,
    in_order,
    write_nifti,
    write_table,
)

GENERATOR_VERSION = "1"
"""Raised whenever the same seed gives other bytes."""

Size = Literal["small", "full"]
GRIDS: Mapping[Size, Grid] = MappingProxyType({"small": SMALL_GRID, "full": FULL_GRID})


@dataclass(frozen=True)
class _Job:
    """All a worker needs to write one patient; small, so that it travels to a spawned process."""

    plan: BratsPlan
    release: Year
    folder: Path
    seed: int
    size: Size
    difficulty: Difficulty
    field_t: float


def write_brats(
    out: Path,
    *,
    task: Task,
    patients: int,
    size: Size = "small",
    seed: int = 0,
    difficulty: Difficulty = "subtle",
    workers: int = 1,
    known_issues: bool = False,
    field_t: float = 3.0,
    release: Year = "2023",
) -> Path:
    """Write a synthetic set in the layout of one BraTS training set.

    ``ASNR-MICCAI-BraTS2023-{T}-Challenge-TrainingData/BraTS-{T}-{patient}-{visit}/`` with
    ``…-{t1n,t1c,t2w,t2f}.nii.gz`` (int16, skull-stripped, background exactly 0) and
    ``…-seg.nii.gz`` (uint8: 1 necrosis and non-enhancing core, 2 oedema, 3 enhancing), plus
    ``truth.csv`` (:class:`BratsTruth`) and ``SOURCE.txt``.

    Every patient has a random stream of its own: the bytes do not depend on ``workers``, and more
    patients leave the earlier ones as they are. About one glioma patient in eight comes twice;
    both visits carry the same patient number, so a split must group by it.

    ``release="2021"`` writes ``BraTS2021_TrainingSet/BraTS2021_{patient}/`` with
    ``…_{t1,t1ce,t2,flair,seg}.nii.gz``, enhancing tumour 4, first visits alone. As in reality the
    cases are those of BraTS 2023 GLI under other names: of one seed, voxel for voxel.

    Args:
        out: folder to create; an existing empty folder is replaced.
        task: ``"gli"`` glioma, ``"men"`` meningioma, ``"met"`` metastases.
        patients: number of patients.
        size: ``"full"`` is 240×240×155 voxels of 1 mm, ``"small"`` 120×120×78 of 2 mm in the
            same world.
        seed: seed of the whole set.
        difficulty: ``"clear"``, ``"subtle"`` or ``"none"`` (the images hold no tumour at all,
            though labels and truth say so).
        workers: processes; 1 works in this one.
        known_issues: add nine broken cases, listed in ``known_issues.csv``.
        field_t: field strength, 1.5 or 3.0.
        release: whose names and label ids; that of 2021 had gliomas alone.

    Returns:
        ``out``.

    Raises:
        FileExistsError: if ``out`` exists and is not an empty folder.
        ValueError: for an unknown task, release, size, difficulty or field, or an impossible
            number.
    """
    out = Path(out)
    check_free(out)
    _check(task, release, patients, size, difficulty, workers, field_t)
    names = RELEASES[release]
    plans = plan_patients(task, patients, seed)
    broken = [plan_issue(task, place) for place in range(len(ISSUES))] if known_issues else []
    with build_folder(out) as building:
        cases = building / names.top(task)
        cases.mkdir()
        jobs = [_Job(p, release, cases, seed, size, difficulty, field_t) for p in [*plans, *broken]]
        truth = [row for rows in in_order(_make, jobs, workers) for row in rows]
        if known_issues:
            sound = cases / names.case(plans[0], 0)
            issues = [
                break_case(kind, cases / names.case(plan, 0), sound, names)
                for kind, plan in zip(issue_kinds(names), broken, strict=True)
            ]
            truth = _with_issues(truth, issues, sound.name)
            write_issues(building, issues)
        truth.sort(key=lambda row: row.case)
        write_table(building / "truth.csv", BratsTruth, truth)
        (building / "SOURCE.txt").write_text(
            _source_text(
                task, names, patients, len(truth), size, seed, difficulty, field_t, known_issues
            ),
            encoding="utf-8",
            newline="\n",
        )
    return out


def _make(job: _Job) -> list[BratsTruth]:
    grid = GRIDS[job.size]
    affine = atlas_affine(grid)
    names = RELEASES[job.release]
    plan = job.plan if names.visits else replace(job.plan, visits=1)
    rows = []
    for row, images, labels in make_patient(
        plan, seed=job.seed, grid=grid, difficulty=job.difficulty, field_t=job.field_t
    ):
        case = names.case(plan, row.timepoint)
        folder = job.folder / case
        folder.mkdir()
        for name, image in images.items():
            write_nifti(folder / names.file(case, name), stored(image), affine)
        write_nifti(folder / names.file(case, "seg"), names.labels(labels), affine)
        rows.append(replace(row, case=case))
    return rows


def _with_issues(truth: list[BratsTruth], issues: list[Issue], copied: str) -> list[BratsTruth]:
    """Name the issue in each broken case's row; the repeated case has the truth of its source."""
    by_case = {row.case: row for row in truth}
    for issue in issues:
        row = by_case[issue.case]
        if issue.kind == "repeated_case":
            row = replace(by_case[copied], case=row.case, patient_number=row.patient_number)
        by_case[issue.case] = replace(row, known_issue=issue.kind)
    return list(by_case.values())


def _check(
    task: str, release: str, patients: int, size: str, difficulty: str, workers: int, field_t: float
) -> None:
    check_request(
        patients,
        workers,
        {
            "release": (release, get_args(Year)),
            "task": (task, get_args(Task) if release == "2023" else ("gli",)),
            "size": (size, get_args(Size)),
            "difficulty": (difficulty, get_args(Difficulty)),
            "field_t": (f"{field_t:g}", ("1.5", "3")),
        },
    )


def _source_text(
    task: str,
    release: Release,
    patients: int,
    cases: int,
    size: str,
    seed: int,
    difficulty: str,
    field_t: float,
    known_issues: bool,
) -> str:
    release_name = f"BraTS {release.year} {task.upper()}"
    remark = " (the images were taken without the tumours)" if difficulty == "none" else ""
    broken = "known_issues.csv  broken cases, made on purpose\n" if known_issues else ""
    return f"""\
SYNTHETIC IMAGES. NO PATIENT WAS EVER SCANNED. NOT FOR CLINICAL USE.

These are simulated MR images of virtual adults in the folder layout of the training data of
{release_name}. A result on them says something about a method, nothing about a disease.

made by: medkd_lib.phantom.brats.write_brats, generator version {GENERATOR_VERSION}
task: {task}
seed: {seed}
difficulty: {difficulty}{remark}
patients: {patients}
cases: {cases}
size: {size}
field_t: {field_t}

truth.csv   what only a phantom knows, per case; never train on it
{broken}"""
