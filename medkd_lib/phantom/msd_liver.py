"""The synthetic twin of ``msd_task03_liver``: portal venous CT in the decathlon's layout."""

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
from medkd_lib.phantom.decathlon import PARTS, write_contents
from medkd_lib.phantom.msd_liver_patient import LIVER, TUMOUR, liver_case
from medkd_lib.phantom.twin_files import build_folder, in_order

FOLDER = "Task03_Liver"

AXCODES = "RAS"
"""The decathlon turned all its images to these axes (its description, arXiv 1902.09063; recalled,
not read again)."""


def case_name(index: int) -> str:
    """Name of case ``index`` (from 0); the training part of the release is 0 to 130."""
    return f"liver_{index}"


def write_msd_liver(
    out: Path,
    *,
    patients: int = 60,
    size: Size = "small",
    seed: int = 0,
    difficulty: Difficulty = "subtle",
    workers: int = 1,
    known_issues: bool = False,
) -> Path:
    """Write a synthetic set in the layout of ``msd_task03_liver``.

    ``Task03_Liver/{imagesTr,labelsTr}/liver_n.nii.gz`` (int16 HU and uint8, 1 = liver, 2 =
    cancer; axes R, A, S), ``dataset.json``, plus ``truth.csv``, ``lesions.csv`` and ``SOURCE.txt``.
    One patient in ten has no tumour. The hidden test images are left out. The bytes do not depend
    on ``workers``; more patients leave the earlier ones as they are.

    Args:
        out: folder to create; an existing empty folder is replaced.
        patients: number of patients.
        size: 120² pixels in slices of 5 mm (``small``) or 256² in slices of 2.5 mm (``full``).
        seed: seed of the set.
        difficulty: see :data:`medkd_lib.phantom.msd_liver_patient.LOOK`.
        workers: processes; 1 works in this one.
        known_issues: this set documents none that could be made.

    Returns:
        ``out``.

    Raises:
        FileExistsError: if ``out`` exists and is not an empty folder.
        ValueError: for an unknown difficulty or size, an impossible number, or known issues.
    """
    out = Path(out)
    check_arguments(out, patients, size, difficulty, workers)
    if known_issues:
        raise ValueError(
            "known_issues: msd_task03_liver documents no broken case, found known_issues=True; "
            "the twin of kits23 has one"
        )
    with build_folder(out) as building:
        folder = building / FOLDER
        for part in PARTS:
            (folder / part).mkdir(parents=True)
        jobs = [AbdomenJob(index, folder, seed, difficulty, size) for index in range(patients)]
        rows = write_truth(building, in_order(_write, jobs, workers))
        write_contents(
            folder, "Liver", "synthetic: virtual patients with liver tumours",
            {LIVER: "liver", TUMOUR: "cancer"}, [row.case for row in rows],
        )  # fmt: skip
        write_source(
            building, "msd_task03_liver", "medkd_lib.phantom.msd_liver.write_msd_liver",
            patients=patients, size=size, seed=seed, difficulty=difficulty, known_issues=False,
        )  # fmt: skip
    return out


def _write(job: AbdomenJob) -> tuple[AbdomenRow, list[LesionRow]]:
    case = liver_case(job.index, seed=job.seed, difficulty=job.difficulty, size=job.size)
    name = case_name(job.index)
    image, mask = (job.folder / part / f"{name}.nii.gz" for part in PARTS)
    write_pair(case, image, mask, AXCODES)
    return truth_of(case, name, name.removeprefix("liver_"), "liver")
