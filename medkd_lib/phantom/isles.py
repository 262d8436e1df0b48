"""The synthetic twin of ``isles2022``: acute strokes as DWI, ADC and FLAIR in a BIDS tree."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from medkd_lib.phantom.brats_case import stored
from medkd_lib.phantom.isles_centres import Size
from medkd_lib.phantom.isles_patient import sample_stroke, scan_stroke
from medkd_lib.phantom.isles_truth import IslesTruth, truth_of
from medkd_lib.phantom.known_issue import Issue, write_issues
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

TOP = "ISLES-2022"
SESSION = "ses-0001"

PATIENT_STREAM, ISSUE_STREAM = 1, 2

EMPTY_MASKS, OF_CASES = 3, 250
"""So many of the real cases have an empty mask."""

FIRST_ISSUE_NUMBER = 9001
"""Cases with an empty mask are numbered from here, apart from the usual ones."""

ADC_SCALE = 1000.0
"""ADC is stored in whole 10⁻⁶ mm²/s (D: the unit of the real files was not read)."""


@dataclass(frozen=True)
class _Job:
    """All a worker needs to write one patient; small, so that it travels to another process."""

    number: int
    key: tuple[int, int]
    issue: str
    folder: Path
    seed: int
    size: Size
    difficulty: Difficulty


def write_isles(
    out: Path,
    *,
    patients: int,
    size: Size = "small",
    seed: int = 0,
    difficulty: Difficulty = "subtle",
    workers: int = 1,
    known_issues: bool = False,
) -> Path:
    """Write a synthetic set in the layout of ``isles2022``.

    ``ISLES-2022/sub-strokecaseNNNN/ses-0001/dwi/…_{dwi,adc}.nii.gz``, ``…/anat/…_FLAIR.nii.gz``
    and ``ISLES-2022/derivatives/sub-strokecaseNNNN/ses-0001/…_msk.nii.gz``, with the two BIDS
    files of the top, plus ``truth.csv`` (:class:`~medkd_lib.phantom.isles_truth.IslesTruth`) and
    ``SOURCE.txt``. Images are int16, skull-stripped, background exactly 0; the mask is uint8; axes
    are Left, Anterior, Superior. DWI, ADC and mask share a grid; FLAIR has finer pixels, slices of
    its own, and a head that moved by about a millimetre.

    ========== =============================== =============================
    difficulty contrast of the infarct         noise, share of white matter
    ========== =============================== =============================
    clear      0.85–1.0 (1 = as measured)      0.015–0.025
    subtle     0.3–0.7                         0.02–0.04
    none       images without the infarct      0.02–0.04
    ========== =============================== =============================

    Every patient has a random stream of its own: the bytes do not depend on ``workers``, and more
    patients leave the earlier ones as they are.

    Args:
        out: folder to create; an existing empty folder is replaced.
        patients: number of patients, one scan each.
        size: ``"full"`` has pixels from 0.88 mm, ``"small"`` 1.8 to 2 mm (FLAIR 1.3 to 1.5).
        seed: seed of the whole set.
        difficulty: see above.
        workers: processes; 1 works in this one.
        known_issues: add cases without an infarct, whose mask is empty: 3 for 250 patients as in
            the real set, at least one; listed in ``known_issues.csv``.

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
    empty = int(np.ceil(patients * EMPTY_MASKS / OF_CASES)) if known_issues else 0
    with build_folder(out) as building:
        top = building / TOP
        usual = [
            _Job(n + 1, (PATIENT_STREAM, n), "", top, seed, size, difficulty)
            for n in range(patients)
        ]
        odd = [
            _Job(FIRST_ISSUE_NUMBER + n, (ISSUE_STREAM, n), "empty_mask", top, seed, size,
                 difficulty)
            for n in range(empty)
        ]  # fmt: skip
        truth = list(in_order(_make, [*usual, *odd], workers))
        _write_bids(top, [row.case for row in truth])
        if known_issues:
            what = "no infarct is visible, and the mask holds background only"
            issues = [Issue(r.case, r.known_issue, what) for r in truth if r.known_issue]
            write_issues(building, issues)
        write_table(building / "truth.csv", IslesTruth, truth)
        text = _source_text(patients, len(truth), size, seed, difficulty, known_issues)
        (building / "SOURCE.txt").write_text(text, encoding="utf-8", newline="\n")
    return out


def las(
    array: NDArray[np.generic], affine: NDArray[np.float64]
) -> tuple[NDArray[np.generic], NDArray[np.float64]]:
    r"""Turn the second axis from back to front, :math:`A' = A\,F` with :math:`F: j \to J-1-j`.

    Args:
        array: (I, J, K), axes Left, Posterior, Superior.
        affine: of ``array``, voxel → RAS+ millimetres.

    Returns:
        the same voxels at the same places, axes Left, Anterior, Superior.
    """
    turn = np.eye(4)
    turn[1, 1], turn[1, 3] = -1.0, array.shape[1] - 1
    return array[:, ::-1, :], affine @ turn


def _make(job: _Job) -> IslesTruth:
    case = f"sub-strokecase{job.number:04d}"
    person, scanner = np.random.SeedSequence(job.seed, spawn_key=job.key).spawn(2)
    patient = sample_stroke(
        np.random.default_rng(person), job.difficulty, job.size, lesion=not job.issue
    )
    shown = job.difficulty != "none"
    scan = scan_stroke(patient, np.random.default_rng(scanner), lesion=shown)
    session = job.folder / case / SESSION
    drawn = job.folder / "derivatives" / case / SESSION
    for folder in (session / "dwi", session / "anat", drawn):
        folder.mkdir(parents=True)
    stem = f"{case}_{SESSION}"
    adc = np.clip(np.rint(scan.images["adc"] * ADC_SCALE), 0.0, 32767.0).astype(np.int16)
    for path, array, grid in (
        (session / "dwi" / f"{stem}_dwi.nii.gz", stored(scan.images["dwi"]), "dwi"),
        (session / "dwi" / f"{stem}_adc.nii.gz", adc, "dwi"),
        (session / "anat" / f"{stem}_FLAIR.nii.gz", stored(scan.images["flair"]), "flair"),
        (drawn / f"{stem}_msk.nii.gz", scan.mask, "dwi"),
    ):
        write_nifti(path, *las(array, patient.grids[grid].grid.affine))
    return truth_of(case, job.number, job.issue, job.difficulty, patient, scan)


def _write_bids(top: Path, cases: list[str]) -> None:
    """Write the two files that make a folder BIDS."""
    about = {"Name": "synthetic twin of ISLES 2022", "BIDSVersion": "1.4.0", "DatasetType": "raw"}
    (top / "dataset_description.json").write_text(
        json.dumps(about, indent=1) + "\n", encoding="utf-8", newline="\n"
    )
    lines = ["participant_id", *cases]
    (top / "participants.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def _source_text(
    patients: int, cases: int, size: Size, seed: int, difficulty: Difficulty, known_issues: bool
) -> str:
    remark = " (the images were taken without the infarcts)" if difficulty == "none" else ""
    odd = "known_issues.csv  cases without an infarct\n" if known_issues else ""
    return f"""\
SYNTHETIC IMAGES. NO PATIENT WAS EVER SCANNED. NOT FOR CLINICAL USE.

These are simulated MR images of virtual adults in the folder layout of the real set "isles2022". A
result on them says something about a method, nothing about a disease.

made by: medkd_lib.phantom.isles.write_isles, generator version {GENERATOR_VERSION}
seed: {seed}
difficulty: {difficulty}{remark}
patients: {patients}
cases: {cases}
size: {size}

truth.csv   what only a phantom knows, per case; never train on it
{odd}"""
