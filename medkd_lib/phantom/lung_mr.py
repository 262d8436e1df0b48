"""The synthetic twin of ``cmedl_private_mr_cohort``: T2w MR of lung tumours, some of them weekly.

The cohort is private and its files were seen by nobody here: the layout is ours.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from medkd_lib.phantom.chest_cohort import make_scan, scans_of
from medkd_lib.phantom.chest_settings import Difficulty, Size
from medkd_lib.phantom.chest_truth import ChestTruth
from medkd_lib.phantom.chest_twin import (
    ChestJob,
    check_arguments,
    refuse_issues,
    write_source,
    write_truth,
)
from medkd_lib.phantom.twin_files import build_folder, in_order, write_nifti

REMARK = """\
The real cohort is private: folders and names are this course's own. Patients scanned weekly have
several scans in which the tumour shrinks; a split must keep a patient's scans together.
"""


def patient_name(index: int) -> str:
    """Folder of patient ``index``, which counts from 0."""
    return f"MSK-{index + 1:04d}"


def write_lung_mr(
    out: Path,
    *,
    patients: int = 28,
    size: Size = "small",
    seed: int = 0,
    difficulty: Difficulty = "subtle",
    workers: int = 1,
    known_issues: bool = False,
) -> Path:
    """Write a synthetic MR cohort: by default 82 scans of 28 patients, 9 of them seen weekly.

    ``MR/MSK-nnnn/scan_m.nii.gz`` (int16, arbitrary units) and ``scan_m_seg.nii.gz`` (uint8, 1 =
    tumour), plus ``truth.csv`` (per scan) and ``SOURCE.txt``. The bytes do not depend on
    ``workers``; more patients leave the earlier ones as they are.

    Args:
        out: folder to create; an existing empty folder is replaced.
        patients: number of patients; the first is seen weekly.
        size: voxels of 2 × 2 × 5 mm (``small``) or 1 × 1 × 3 mm (``full``).
        seed: seed of the set.
        difficulty: see :data:`~medkd_lib.phantom.chest_settings.SETTINGS`.
        workers: processes; 1 works in this one.
        known_issues: nobody documented any that could be made.

    Returns:
        ``out``.

    Raises:
        FileExistsError: if ``out`` exists and is not an empty folder.
        ValueError: for an unknown difficulty or size, an impossible number, or known issues.
    """
    out = Path(out)
    check_arguments(out, patients, size, difficulty, workers)
    refuse_issues(known_issues, "cmedl_private_mr_cohort")
    with build_folder(out) as building:
        (building / "MR").mkdir()
        jobs = [
            ChestJob(index, patient_name(index), building / "MR", seed, difficulty, size)
            for index in range(patients)
        ]
        write_truth(building, (row for rows in in_order(_write, jobs, workers) for row in rows))
        write_source(
            building, "cmedl_private_mr_cohort", "medkd_lib.phantom.lung_mr.write_lung_mr",
            patients=patients, size=size, seed=seed, difficulty=difficulty, remark=REMARK,
        )  # fmt: skip
    return out


def _write(job: ChestJob) -> list[ChestTruth]:
    folder = job.folder / job.name
    folder.mkdir()
    rows = []
    for scan in range(scans_of(job.index)):
        name = f"scan_{scan + 1}"
        made = make_scan(
            "cmedl_private_mr_cohort", job.index, f"{job.name}/{name}", job.name,
            seed=job.seed, difficulty=job.difficulty, size=job.size, scan=scan,
        )  # fmt: skip
        stored = np.clip(made.image, 0, 32767).astype(np.int16)
        write_nifti(folder / f"{name}.nii.gz", stored, made.affine)
        write_nifti(folder / f"{name}_seg.nii.gz", made.label, made.affine)
        rows.append(made.truth)
    return rows
