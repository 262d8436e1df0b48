"""The synthetic twin of ``msd_task06_lung``: CT of lung tumours in the decathlon's layout."""

from __future__ import annotations

from pathlib import Path

from medkd_lib.phantom.chest_cohort import make_scan
from medkd_lib.phantom.chest_settings import Difficulty, Size
from medkd_lib.phantom.chest_truth import ChestTruth
from medkd_lib.phantom.chest_twin import (
    ChestJob,
    check_arguments,
    refuse_issues,
    write_source,
    write_truth,
)
from medkd_lib.phantom.ct import CTScan
from medkd_lib.phantom.decathlon import PARTS, write_contents
from medkd_lib.phantom.twin_files import build_folder, in_order, write_nifti

FOLDER = "Task06_Lung"


def case_name(index: int) -> str:
    """Name of case ``index`` (from 0); every third number is left out, as for hidden test cases."""
    return f"lung_{index + 1 + index // 2:03d}"


def write_msd_lung(
    out: Path,
    *,
    patients: int = 63,
    size: Size = "small",
    seed: int = 0,
    difficulty: Difficulty = "subtle",
    workers: int = 1,
    known_issues: bool = False,
) -> Path:
    """Write a synthetic set in the layout of ``msd_task06_lung``.

    ``Task06_Lung/{imagesTr,labelsTr}/lung_nnn.nii.gz`` (int16 HU and uint8, 1 = cancer),
    ``dataset.json``, plus ``truth.csv`` and ``SOURCE.txt``. The hidden test images are left out.
    The bytes do not depend on ``workers``; more patients leave the earlier ones as they are.

    Args:
        out: folder to create; an existing empty folder is replaced.
        patients: number of patients.
        size: voxels of 2 × 2 × 5 mm (``small``) or 1 × 1 × 3 mm (``full``).
        seed: seed of the set.
        difficulty: see :data:`~medkd_lib.phantom.chest_settings.SETTINGS`.
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
    refuse_issues(known_issues, "msd_task06_lung")
    with build_folder(out) as building:
        folder = building / FOLDER
        for part in PARTS:
            (folder / part).mkdir(parents=True)
        jobs = [
            ChestJob(index, case_name(index), folder, seed, difficulty, size)
            for index in range(patients)
        ]
        write_truth(building, in_order(_write, jobs, workers))
        write_contents(
            folder, "Lung", "synthetic: virtual lung cancer patients", {1: "cancer"},
            [job.name for job in jobs],
        )  # fmt: skip
        write_source(
            building, "msd_task06_lung", "medkd_lib.phantom.msd_lung.write_msd_lung",
            patients=patients, size=size, seed=seed, difficulty=difficulty, remark="",
        )  # fmt: skip
    return out


def _write(job: ChestJob) -> ChestTruth:
    scan = make_scan(
        "msd_task06_lung", job.index, job.name, job.name.removeprefix("lung_"),
        seed=job.seed, difficulty=job.difficulty, size=job.size,
    )  # fmt: skip
    stored = CTScan(scan.image, (1.0, 1.0, 1.0), scan.affine).stored()
    write_nifti(job.folder / "imagesTr" / f"{job.name}.nii.gz", stored, scan.affine)
    write_nifti(job.folder / "labelsTr" / f"{job.name}.nii.gz", scan.label, scan.affine)
    return scan.truth
