"""The synthetic twin of ``kits23``: early contrast CT of kidneys, their tumours and cysts."""

from __future__ import annotations

from pathlib import Path

from medkd_lib.phantom.abdomen_protocol import Size
from medkd_lib.phantom.abdomen_scan import Difficulty
from medkd_lib.phantom.abdomen_truth import AbdomenRow, LesionRow, truth_of, write_truth
from medkd_lib.phantom.abdomen_twin import (
    AbdomenJob,
    check_arguments,
    write_pair,
    write_source,
)
from medkd_lib.phantom.kits_patient import kits_case
from medkd_lib.phantom.known_issue import Issue, write_issues
from medkd_lib.phantom.twin_files import build_folder, in_order

FOLDER = "dataset"

AXCODES = "IPL"
"""The first axis of the release runs from head to foot, the last one to the left (R)."""

FIRST_OF_2023 = 300
"""Cases 0 to 299 are those of KiTS19; the new ones begin at 400 (R)."""

INTERRUPTED = 1
"""Index of the patient whose scan never came: documented in kits23 issue 35."""


def case_name(index: int) -> str:
    """Name of case ``index`` (from 0): 0 to 299, then from 400."""
    return f"case_{index if index < FIRST_OF_2023 else index + 100:05d}"


def write_kits(
    out: Path,
    *,
    patients: int = 60,
    size: Size = "small",
    seed: int = 0,
    difficulty: Difficulty = "subtle",
    workers: int = 1,
    known_issues: bool = False,
) -> Path:
    """Write a synthetic set in the layout of ``kits23``.

    ``dataset/case_nnnnn/{imaging,segmentation}.nii.gz`` (int16 HU and uint8, 1 = kidney, 2 =
    tumour, 3 = cyst; axes I, P, L), plus ``truth.csv``, ``lesions.csv`` and ``SOURCE.txt``. The
    annotators' single instances and the clinical ``kits23.json`` are left out. The bytes do not
    depend on ``workers``; more patients leave the earlier ones as they are.

    Args:
        out: folder to create; an existing empty folder is replaced.
        patients: number of patients.
        size: 120² pixels in slices of 4 mm (``small``) or 256² in slices of 3 mm (``full``).
        seed: seed of the set.
        difficulty: see :data:`medkd_lib.phantom.kits_patient.LOOK`.
        workers: processes; 1 works in this one.
        known_issues: the second patient has no ``imaging.nii.gz``, as after an interrupted
            download; listed in ``known_issues.csv``.

    Returns:
        ``out``.

    Raises:
        FileExistsError: if ``out`` exists and is not an empty folder.
        ValueError: for an unknown difficulty or size, or an impossible number.
    """
    out = Path(out)
    check_arguments(
        out, patients, size, difficulty, workers,
        least=INTERRUPTED + 1 if known_issues else 1,
        why="known_issues changes patient 2" if known_issues else "",
    )  # fmt: skip
    with build_folder(out) as building:
        folder = building / FOLDER
        folder.mkdir()
        jobs = [AbdomenJob(index, folder, seed, difficulty, size) for index in range(patients)]
        write_truth(building, in_order(_write, jobs, workers))
        if known_issues:
            name = case_name(INTERRUPTED)
            (folder / name / "imaging.nii.gz").unlink()
            issue = Issue(name, "missing_imaging", "an interrupted download: no imaging.nii.gz")
            write_issues(building, [issue])
        write_source(
            building, "kits23", "medkd_lib.phantom.kits.write_kits",
            patients=patients, size=size, seed=seed, difficulty=difficulty,
            known_issues=known_issues,
        )  # fmt: skip
    return out


def _write(job: AbdomenJob) -> tuple[AbdomenRow, list[LesionRow]]:
    case = kits_case(job.index, seed=job.seed, difficulty=job.difficulty, size=job.size)
    name = case_name(job.index)
    folder = job.folder / name
    folder.mkdir()
    write_pair(case, folder / "imaging.nii.gz", folder / "segmentation.nii.gz", AXCODES)
    return truth_of(case, name, name.removeprefix("case_"), "kidney_cortex")
