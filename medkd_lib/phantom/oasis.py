"""The synthetic twin of ``oasis1``: T1 volumes in atlas space as Analyze pairs, and their table."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from medkd_lib.data.stated_geometry import STATEMENT, StatedGeometry, write_statement
from medkd_lib.phantom.analyze_files import write_analyze
from medkd_lib.phantom.brain import voxelise_brain
from medkd_lib.phantom.brats_case import stored
from medkd_lib.phantom.dementia_truth import volumes_of
from medkd_lib.phantom.known_issue import Issue, write_issues
from medkd_lib.phantom.oasis_patient import (
    CORRECTED_BIAS,
    GRIDS,
    Size,
    draw_person,
    in_atlas,
    oasis_stream,
    scan,
)
from medkd_lib.phantom.oasis_truth import TABLE_COLUMNS, OasisTruth, table_line, truth_of
from medkd_lib.phantom.opacities import Difficulty
from medkd_lib.phantom.twin_files import build_folder, check_request, in_order, write_table

GENERATOR_VERSION = "1"
"""Raised whenever the same seed gives other bytes."""

FIRST_SESSION_PART = 1
"""Random streams of a person's sessions are numbered from here."""

AXCODES = "LPS"
"""Where the twin's axes point: left, back, head (D: the release's were not read)."""

A_DISC = 35
"""People per disc, so that 416 fill twelve (D)."""

TABLE = "oasis_cross-sectional.csv"

BLANK_BELOW = 60
"""Age below which the CDR is blank among the broken cases (D: "many young subjects")."""

BLANK, NO_STATEMENT = "blank_cdr", "no_statement"


@dataclass(frozen=True)
class _Job:
    """All a worker needs to write one person; small, so that it travels to another process."""

    index: int
    folder: Path
    seed: int
    size: Size
    difficulty: Difficulty


def write_oasis1(
    out: Path,
    *,
    patients: int,
    size: Size = "small",
    seed: int = 0,
    difficulty: Difficulty = "subtle",
    workers: int = 1,
    known_issues: bool = False,
) -> Path:
    """Write a synthetic set in the layout of ``oasis1``.

    ``disc{1…12}/OAS1_NNNN_MR{1,2}/PROCESSED/MPRAGE/T88_111/…_t88_masked_gfc.{hdr,img}`` and
    ``oasis_cross-sectional.csv``, plus ``truth.csv``
    (:class:`~medkd_lib.phantom.oasis_truth.OasisTruth`), ``stated_geometry.yaml`` and
    ``SOURCE.txt``. Images are big-endian int16, skull-stripped, background exactly 0, in an atlas
    (every head has one size), the mean of a session's three or four acquisitions. The raw
    acquisitions, the images before the atlas and the segmentations of the release are not made.

    Grades come as in the release, 316 / 70 / 28 / 2 in every 416 people; both people with CDR 2
    are among the first 80. One of sixteen people with CDR 0 came twice (``_MR2``). Half of
    those with CDR 0 are below 60 and nobody with dementia is, so age alone tells much.

    Difficulty was fixed on a small network and on the oracle, before any distillation. Balanced
    accuracy, CDR 0 against above 0, 104 people of which 25 are above (seed 0, small):

    ========== ============== ====== =========
    difficulty network        oracle age alone
    ========== ============== ====== =========
    clear      0.86 ± 0.04    0.97   0.76
    subtle     0.71 ± 0.06    0.91   0.76
    none       0.46 ± 0.06
    ========== ============== ====== =========

    Network: four layers of 8-16-32-64 channels on eleven axial slices of 64×64 pixels, their
    probabilities averaged per person; 60 people to train, 44 to test; mean and spread of 5 splits
    (clear: 3). For ``none`` the labels of subtle were dealt anew to the same brains (one deal).
    Oracle: :func:`medkd_lib.phantom.dementia_oracle.oracle_balanced_accuracy`, mean of 5 seeds.
    The age alone beats the network at subtle.

    Args:
        out: folder to create; an existing empty folder is replaced.
        patients: number of people; their bytes do not depend on how many follow.
        size: ``"full"`` is 176×208×176 voxels of 1 mm, ``"small"`` 88×104×88 of 2 mm.
        seed: seed of the whole set; the twin of ``oasis1_slices_kaggle`` with the same seed shows
            slices of the same people.
        difficulty: ``"clear"``, ``"subtle"`` or ``"none"`` (labels unrelated to the brains).
        workers: processes; 1 works in this one.
        known_issues: leave the CDR of the young blank, and leave ``stated_geometry.yaml`` out, as
            in the real release: nothing can be read until somebody states the axes.

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
        truth = [row for rows in in_order(_make, jobs, workers) for row in rows]
        if known_issues:
            truth = [replace(r, known_issue=BLANK) if r.age < BLANK_BELOW else r for r in truth]
            write_issues(building, _issues(truth))
        else:
            spacing = [float(s) for s in GRIDS[size].spacing_mm]
            source = "medkd_lib.phantom.oasis wrote these volumes; not a fact about the real set"
            write_statement(
                building,
                StatedGeometry(
                    dataset="oasis1", axcodes=AXCODES, spacing_mm=spacing, source=source
                ),
            )
        _write_sheet(building / TABLE, truth)
        write_table(building / "truth.csv", OasisTruth, truth)
        (building / "SOURCE.txt").write_text(
            _source_text(patients, len(truth), size, seed, difficulty, known_issues),
            encoding="utf-8",
            newline="\n",
        )
    return out


def _make(job: _Job) -> list[OasisTruth]:
    person = draw_person(job.index, seed=job.seed, difficulty=job.difficulty)
    plan, grid = person.plan, GRIDS[job.size]
    rows = []
    for number, session in enumerate(plan.sessions):
        rng = oasis_stream(job.index, job.seed, FIRST_SESSION_PART + number)
        anatomy = voxelise_brain(in_atlas(person.brain, rng), grid)
        image = scan(person, anatomy, rng, averages=plan.scans, bias=CORRECTED_BIAS)
        disc = job.folder / f"disc{job.index // A_DISC + 1}"
        folder = disc / session / "PROCESSED" / "MPRAGE" / "T88_111"
        folder.mkdir(parents=True)
        name = f"{session}_mpr_n{plan.scans}_anon_111_t88_masked_gfc.hdr"
        write_analyze(folder / name, stored(image), grid.spacing_mm)
        rows.append(truth_of(person, number, volumes_of(anatomy), job.difficulty))
    return rows


def _issues(truth: Iterable[OasisTruth]) -> Iterable[Issue]:
    for row in truth:
        yield Issue(row.case, NO_STATEMENT, "nothing states where the axes of the voxels point")
        if row.known_issue:
            yield Issue(row.case, row.known_issue, "the table's CDR is empty")


def _write_sheet(path: Path, truth: Iterable[OasisTruth]) -> None:
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(TABLE_COLUMNS)
        writer.writerows(table_line(row, blank=row.known_issue == BLANK) for row in truth)


def _source_text(
    patients: int, sessions: int, size: Size, seed: int, difficulty: Difficulty, known_issues: bool
) -> str:
    beside = (
        "known_issues.csv      what is missing, on purpose"
        if known_issues
        else f"{STATEMENT}  where the axes of these volumes point; not a fact about the real set"
    )
    remark = " (the labels have nothing to do with the brains)" if difficulty == "none" else ""
    return f"""\
SYNTHETIC IMAGES. NO PATIENT WAS EVER SCANNED. NOT FOR CLINICAL USE.

These are simulated MR images of virtual adults in the folder layout of the real set "oasis1". A
result on them says something about a method, nothing about a disease.

made by: medkd_lib.phantom.oasis.write_oasis1, generator version {GENERATOR_VERSION}
seed: {seed}
difficulty: {difficulty}{remark}
patients: {patients}
sessions: {sessions}
size: {size}

truth.csv             what only a phantom knows, per session; never train on it
{beside}
"""
