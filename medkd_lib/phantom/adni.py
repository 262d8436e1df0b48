"""The synthetic twin of ``adni``: T1 volumes of many scanners in a BIDS tree, with their table."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np

from medkd_lib.phantom.adni_patient import (
    ADNI_STREAM,
    DIAGNOSES,
    AdniPatient,
    sample_patient,
    scan_patient,
)
from medkd_lib.phantom.adni_truth import AdniTruth, truth_of
from medkd_lib.phantom.brain import voxelise_brain
from medkd_lib.phantom.brats_case import stored
from medkd_lib.phantom.dementia_truth import volumes_of
from medkd_lib.phantom.known_issue import Issue, write_issues
from medkd_lib.phantom.oasis_patient import GRIDS, Size
from medkd_lib.phantom.opacities import Difficulty
from medkd_lib.phantom.twin_files import (
    build_folder,
    check_request,
    in_order,
    write_nifti,
    write_table,
)

GENERATOR_VERSION = "1"
"""Raised whenever the same seed gives other bytes."""

SESSION = "ses-M000"

TABLE = "participants.tsv"
TABLE_COLUMNS = ("participant_id", "sex", "age_bl", "site", "diagnosis_sc")
"""Those of the converter's that a phantom can fill."""

FIRST_ISSUE_INDEX, ONE_IN = 9000, 20
"""Participants without an image are numbered apart; there is one for every 20 others (D)."""

NO_IMAGE = "missing_images"


@dataclass(frozen=True)
class _Job:
    """All a worker needs to write one participant; small, so that it travels to another process."""

    index: int
    folder: Path
    seed: int
    size: Size
    difficulty: Difficulty


def write_adni(
    out: Path,
    *,
    patients: int,
    size: Size = "small",
    seed: int = 0,
    difficulty: Difficulty = "subtle",
    workers: int = 1,
    known_issues: bool = False,
) -> Path:
    """Write a synthetic set in the layout of ``adni`` after Clinica's adni-to-bids.

    ``sub-ADNI951S0001/ses-M000/anat/sub-ADNI951S0001_ses-M000_T1w.nii.gz``, ``participants.tsv``
    and ``dataset_description.json``, plus ``truth.csv``
    (:class:`~medkd_lib.phantom.adni_truth.AdniTruth`) and ``SOURCE.txt``. Images are int16, axes
    Left, Posterior, Superior, the middle of the box at the origin, as that converter leaves it;
    other than the release's they are skull-stripped. PET, later sessions and raw DICOM are not
    made. Hospitals have numbers from 951, so that no virtual participant bears a real one's name.

    Every four participants are one CN, two MCI, one AD; their ages are alike. A hospital has one
    of four scanners (:data:`~medkd_lib.phantom.adni_scanners.SCANNERS`), which differ in field
    strength, T1 protocol, noise, shading and gain, and in nothing that knows the diagnosis.

    Difficulty is that of :data:`medkd_lib.phantom.dementia.LOOKS`, fixed on the twin of OASIS-1
    and looked at here at subtle, before any distillation (seed 0, small):

    ================= =========================== =============================
    balanced accuracy network                     oracle
    ================= =========================== =============================
    CN against AD     0.68 ± 0.05 (60 train, 20)  0.98 (48 people; age 0.59)
    CN against others 0.54 ± 0.07 (60 train, 36)  0.93 (96 people; age 0.43)
    CN, MCI, AD       not measured                0.83 (96 people)
    ================= =========================== =============================

    Network, splits and oracle as in :func:`medkd_lib.phantom.oasis.write_oasis1`, 5 splits. Only
    CN against AD lies where a lesson can use it: heads are in their own pose here, scanners differ,
    and a quarter of the participants is CN.

    Args:
        out: folder to create; an existing empty folder is replaced.
        patients: number of participants; their bytes do not depend on how many follow.
        size: ``"full"`` is 176×208×176 voxels of 1 mm, ``"small"`` 88×104×88 of 2 mm.
        seed: seed of the whole set.
        difficulty: ``"clear"``, ``"subtle"`` or ``"none"`` (labels unrelated to the brains).
        workers: processes; 1 works in this one.
        known_issues: add participants of the table whose image could not be converted, one for
            every 20 others and at least one; listed in ``known_issues.csv``.

    Returns:
        ``out``.

    Raises:
        FileExistsError: if ``out`` exists and is not an empty folder.
        ValueError: for an unknown size or difficulty, or an impossible number.
    """
    out = Path(out)
    check_request(
        patients,
        workers,
        {"difficulty": (difficulty, get_args(Difficulty)), "size": (size, get_args(Size))},
    )
    with build_folder(out) as building:
        jobs = [_Job(n, building, seed, size, difficulty) for n in range(patients)]
        truth = list(in_order(_make, jobs, workers))
        absent = -(-patients // ONE_IN) if known_issues else 0
        listed = [*range(patients), *(FIRST_ISSUE_INDEX + n for n in range(absent))]
        people = [_person(n, seed, difficulty) for n in listed]
        _write_bids(building, [_line(person) for person in people])
        if known_issues:
            what = "listed in participants.tsv, and no image could be converted"
            issues = [Issue(p.participant, NO_IMAGE, what) for p in people[patients:]]
            write_issues(building, issues)
        write_table(building / "truth.csv", AdniTruth, truth)
        (building / "SOURCE.txt").write_text(
            _source_text(patients, size, seed, difficulty, known_issues),
            encoding="utf-8",
            newline="\n",
        )
    return out


def _stream(index: int, seed: int, part: int) -> np.random.Generator:
    key = (ADNI_STREAM, index, part)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def _make(job: _Job) -> AdniTruth:
    patient = _person(job.index, job.seed, job.difficulty)
    grid = GRIDS[job.size]
    anatomy = voxelise_brain(patient.brain, grid)
    image = scan_patient(patient, anatomy, _stream(job.index, job.seed, 1))
    case = f"{patient.participant}_{SESSION}"
    folder = job.folder / patient.participant / SESSION / "anat"
    folder.mkdir(parents=True)
    write_nifti(folder / f"{case}_T1w.nii.gz", stored(image), grid.affine)
    return truth_of(patient, case, volumes_of(anatomy), job.difficulty)


def _line(patient: AdniPatient) -> tuple[object, ...]:
    """Line of the table, :data:`TABLE_COLUMNS`."""
    sex = "M" if patient.male else "F"
    label = DIAGNOSES[patient.diagnosis]
    return patient.participant, sex, patient.age, patient.site, label


def _person(index: int, seed: int, difficulty: Difficulty) -> AdniPatient:
    return sample_patient(index, _stream(index, seed, 0), seed=seed, difficulty=difficulty)


def _write_bids(top: Path, lines: Sequence[Sequence[object]]) -> None:
    """Write the table and the file that makes a folder BIDS."""
    about = {"Name": "synthetic twin of ADNI", "BIDSVersion": "1.7.0", "DatasetType": "raw"}
    (top / "dataset_description.json").write_text(
        json.dumps(about, indent=1) + "\n", encoding="utf-8", newline="\n"
    )
    with (top / TABLE).open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, delimiter="\t", lineterminator="\n")
        writer.writerow(TABLE_COLUMNS)
        writer.writerows(lines)


def _source_text(
    patients: int, size: Size, seed: int, difficulty: Difficulty, known_issues: bool
) -> str:
    remark = " (the labels have nothing to do with the brains)" if difficulty == "none" else ""
    odd = "known_issues.csv  participants without an image\n" if known_issues else ""
    return f"""\
SYNTHETIC IMAGES. NO PATIENT WAS EVER SCANNED. NOT FOR CLINICAL USE.

These are simulated MR images of virtual adults in the folder layout of the real set "adni". A
result on them says something about a method, nothing about a disease.

made by: medkd_lib.phantom.adni.write_adni, generator version {GENERATOR_VERSION}
seed: {seed}
difficulty: {difficulty}{remark}
patients: {patients}
size: {size}

truth.csv   what only a phantom knows, per participant; never train on it
{odd}"""
