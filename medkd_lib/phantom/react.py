"""The synthetic twin of ``react_kd_private_cohort``: CT, FDG and acetate PET of liver cancers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np

from medkd_lib.phantom.dicom_files import write_ct_series, write_pet_series
from medkd_lib.phantom.hcc_grade import GRADES, STRENGTH, Difficulty
from medkd_lib.phantom.hcc_truth import MassRow, TruthRow, truth_of
from medkd_lib.phantom.known_issue import Issue
from medkd_lib.phantom.pet import HALF_LIFE_MIN, decay
from medkd_lib.phantom.react_exam import Exam, Size, make_exam
from medkd_lib.phantom.react_issues import KIND_OF_PATIENT, SMALLEST_SET, WHAT, Kind
from medkd_lib.phantom.tissue_pet import Tracer
from medkd_lib.phantom.twin_files import (
    build_folder,
    check_request,
    in_order,
    write_nifti,
    write_table,
)

GENERATOR_VERSION = "2"
"""Raised whenever the same seed gives other bytes."""

FOLDER = "react_kd"
PET_FOLDER: dict[Tracer, str] = {"fdg": "FDG", "acetate": "ACT"}


@dataclass(frozen=True)
class LabelRow:
    """One line of ``labels.csv``.

    Attributes:
        patient: folder name.
        grade: 0 well, 1 moderate, 2 poor.
    """

    patient: str
    grade: int


@dataclass(frozen=True)
class DoseRow:
    """One line of ``doses.csv``: what the PET headers say.

    Attributes:
        case: the exam.
        tracer: fdg or acetate.
        injected_mbq: at the injection.
        minutes: from injection to scan.
    """

    case: str
    tracer: str
    injected_mbq: float
    minutes: float


@dataclass(frozen=True)
class _Job:
    """All a worker needs to write one exam; small, so that it travels to another process."""

    index: int
    exam: int
    seed: int
    difficulty: Difficulty
    size: Size
    folder: Path
    kind: Kind | None = None

    @property
    def case(self) -> str:
        return f"{patient_name(self.index)}/exam_{self.exam + 1}"


@dataclass(frozen=True)
class _Written:
    truth: TruthRow
    masses: Sequence[MassRow]
    doses: Sequence[DoseRow]


def patient_name(index: int) -> str:
    """Folder of patient ``index``, which counts from 0."""
    return f"RKD-{index + 1:03d}"


def write_react(
    out: Path,
    *,
    patients: int = 97,
    size: Size = "small",
    seed: int = 0,
    difficulty: Difficulty = "subtle",
    workers: int = 1,
    known_issues: bool = False,
) -> Path:
    """Write a synthetic set for ``react_kd_private_cohort``, whose own layout is not known.

    ``react_kd/RKD-nnn/exam_1/{CT,FDG,ACT}/*.dcm``: three DICOM series of one morning in one frame
    of reference, CT in HU, PET in Bq/mL with weight, dose and times for the SUV; the two PETs
    share a grid. ``exam_1/regions.nii.gz``: labels of
    :data:`~medkd_lib.phantom.hcc_anatomy.REGIONS` on the CT's grid. ``react_kd/labels.csv``
    (grade per patient), ``truth.csv`` (:class:`~medkd_lib.phantom.hcc_truth.TruthRow`),
    ``masses.csv`` (:class:`~medkd_lib.phantom.hcc_truth.MassRow`), ``doses.csv``, ``SOURCE.txt``.

    The CT is unenhanced and noisy, as of a PET/CT (whether the real one was enhanced is not known).
    What grade does to the images at which difficulty stands in
    :data:`medkd_lib.phantom.hcc_grade.STRENGTH`; at ``none`` it does nothing. Breathing between the
    scans, the bed and motion are left out.

    The bytes do not depend on ``workers``; more patients leave the earlier ones as they are.

    Args:
        out: folder to create; an existing empty folder is replaced.
        patients: number of patients; each six hold two well, three moderate and one poor.
        size: ``"small"`` (CT 4 × 4 × 5 mm) or ``"full"`` (1.75 × 1.75 × 3.27 mm); PET 4.07 mm.
        seed: seed of the whole set.
        difficulty: see above.
        workers: processes; 1 works in this one.
        known_issues: one patient with a second exam, one PET without dose, one without its acetate
            PET, listed in ``known_issues.csv``.

    Returns:
        ``out``.

    Raises:
        FileExistsError: if ``out`` exists and is not an empty folder.
        ValueError: for an unknown difficulty or size, or an impossible number.
    """
    out = Path(out)
    check_request(
        patients,
        workers,
        {"difficulty": (difficulty, tuple(STRENGTH)), "size": (size, get_args(Size))},
        least=SMALLEST_SET if known_issues else 1,
        why="known_issues changes patients 2 to 4" if known_issues else "",
    )
    with build_folder(out) as building:
        folder = building / FOLDER
        folder.mkdir()
        jobs = []
        listed = []
        for index in range(patients):
            kind = KIND_OF_PATIENT.get(index) if known_issues else None
            jobs.append(_Job(index, 0, seed, difficulty, size, folder, kind))
            if kind == "second_exam":
                jobs.append(_Job(index, 1, seed, difficulty, size, folder))
            if kind is not None:
                listed.append(Issue(jobs[-1].case, kind, WHAT[kind]))
        written = list(in_order(_write_exam, jobs, workers))
        grades = {row.truth.patient: GRADES.index(row.truth.grade) for row in written}
        labels = [LabelRow(name, grade) for name, grade in grades.items()]
        tables: dict[Path, tuple[type, Sequence[object]]] = {
            folder / "labels.csv": (LabelRow, labels),
            building / "truth.csv": (TruthRow, [row.truth for row in written]),
            building / "masses.csv": (MassRow, [m for row in written for m in row.masses]),
            building / "doses.csv": (DoseRow, [d for row in written for d in row.doses]),
        }
        if known_issues:
            tables[building / "known_issues.csv"] = (Issue, listed)
        for path, (kind_of_row, rows) in tables.items():
            write_table(path, kind_of_row, rows)
        text = _source_text(patients, size, seed, difficulty, known_issues)
        (building / "SOURCE.txt").write_text(text, encoding="utf-8", newline="\n")
    return out


def _write_exam(job: _Job) -> _Written:
    exam = make_exam(
        job.index, seed=job.seed, difficulty=job.difficulty, size=job.size, exam=job.exam
    )
    name = patient_name(job.index)
    folder = job.folder / job.case
    folder.mkdir(parents=True)
    start = min(injection.at for injection in exam.injections.values())
    study = {"StudyDate": f"{start:%Y%m%d}", "StudyTime": f"{start:%H%M%S.%f}"}
    write_ct_series(
        folder / "CT", exam.ct, exam.ct_affine, patient=name, seed=exam.study_seed,
        time=exam.injections["acetate"].scan, tags=study,
    )  # fmt: skip
    doses = []
    for tracer, place in PET_FOLDER.items():
        if job.kind != "no_acetate" or tracer != "acetate":
            without = job.kind == "no_dose" and tracer == "acetate"
            _write_pet(folder / place, exam, tracer, name, study, dose=not without)
        injection = exam.injections[tracer]
        minutes = (injection.scan - injection.at).total_seconds() / 60.0
        doses.append(
            DoseRow(job.case, tracer, round(injection.activity_bq / 1e6, 3), round(minutes, 3))
        )
    write_nifti(folder / "regions.nii.gz", exam.anatomy.regions, exam.ct_affine)
    truth, masses = truth_of(
        job.case, name, exam.patient, exam.anatomy, exam.ct_affine, "unenhanced", exam.sigma_hu
    )
    return _Written(truth, masses, doses)


def _write_pet(
    folder: Path, exam: Exam, tracer: Tracer, name: str, study: dict[str, str], *, dose: bool
) -> None:
    injection = exam.injections[tracer]
    minutes = (injection.scan - injection.at).total_seconds() / 60.0
    left_bq = injection.activity_bq * decay(HALF_LIFE_MIN[tracer], minutes)
    # C = SUV · A0 2^(−t/T) / w
    bq_ml = exam.pet[tracer].astype(np.float64) * (left_bq / (1000.0 * exam.patient.weight_kg))
    write_pet_series(
        folder, bq_ml, exam.pet_affine, weight_kg=exam.patient.weight_kg,
        injected_bq=injection.activity_bq if dose else None, injection_time=injection.at,
        series_time=injection.scan, tracer=tracer, patient=name, seed=exam.study_seed, tags=study,
    )  # fmt: skip


def _source_text(
    patients: int, size: Size, seed: int, difficulty: Difficulty, known_issues: bool
) -> str:
    remark = " (images and grade are independent)" if difficulty == "none" else ""
    return f"""\
SYNTHETIC IMAGES. NO PATIENT WAS EVER SCANNED. NOT FOR CLINICAL USE.

These are simulated scans of virtual adults with liver cancer, for "react_kd_private_cohort", whose
real files nobody outside has seen: the layout is ours. A result on them says something about a
method, nothing about a disease.

made by: medkd_lib.phantom.react.write_react, generator version {GENERATOR_VERSION}
seed: {seed}
difficulty: {difficulty}{remark}
patients: {patients}
size: {size}
known_issues: {known_issues}

react_kd/labels.csv         grade per patient: 0 well, 1 moderately, 2 poorly differentiated
truth.csv, masses.csv, doses.csv   what only a phantom knows; never train on them
"""
