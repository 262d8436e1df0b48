"""The synthetic twin of ``nsclc_radiomics``: DICOM CT, RTSTRUCT and SEG of lung cancer patients."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.uid import UID

from medkd_lib.phantom.chest_cohort import ChestScan, make_scan
from medkd_lib.phantom.chest_settings import Difficulty, Size
from medkd_lib.phantom.chest_truth import ChestTruth
from medkd_lib.phantom.chest_twin import ChestJob, check_arguments, write_source, write_truth
from medkd_lib.phantom.dicom_files import write_ct_series
from medkd_lib.phantom.known_issue import Issue, write_issues
from medkd_lib.phantom.rtstruct_files import write_rtstruct
from medkd_lib.phantom.seg_files import write_seg
from medkd_lib.phantom.twin_files import build_folder, in_order

FOLDER = "nsclc_radiomics"

ISSUES: Mapping[int, str] = MappingProxyType(
    {
        14: "other_shape", 21: "other_shape", 85: "other_shape", 95: "other_shape",
        128: "no_seg", 194: "other_shape", 412: "no_tumour",
    }
)  # fmt: skip
"""Numbers of the patients whose real files are broken, and how; sound patients skip them."""

WHAT: Mapping[str, str] = MappingProxyType(
    {
        "no_seg": "there is no SEG",
        "no_tumour": "SEG and RTSTRUCT hold no tumour",
        "other_shape": "the SEG has fewer rows than the CT",
    }
)

CUT_ROWS = 8
"""Rows missing at the back of a SEG of another shape."""

FIRST_ISSUE = 100_000
"""Streams of broken patients lie apart from those of sound ones."""


def patient_name(number: int) -> str:
    """Folder of the patient with that number."""
    return f"LUNG1-{number:03d}"


def sound_numbers(patients: int) -> list[int]:
    """Numbers of that many sound patients: from 1, those with documented defects left out."""
    numbers = (n for n in range(1, patients + len(ISSUES) + 1) if n not in ISSUES)
    return [n for n, _ in zip(numbers, range(patients), strict=False)]


def write_nsclc(
    out: Path,
    *,
    patients: int = 60,
    size: Size = "small",
    seed: int = 0,
    difficulty: Difficulty = "subtle",
    workers: int = 1,
    known_issues: bool = False,
) -> Path:
    """Write a synthetic set in the layout of ``nsclc_radiomics``.

    ``nsclc_radiomics/LUNG1-nnn/{CT,RTSTRUCT,SEG}/{SeriesInstanceUID}/*.dcm``: the CT one slice a
    file, names shuffled; contours and segments ``GTV-1``, ``Lung-Left``, ``Lung-Right``, ``Heart``
    (those that the scan reaches); plus ``truth.csv`` and ``SOURCE.txt``. The bytes do not depend on
    ``workers``; more patients leave the earlier ones as they are.

    Args:
        out: folder to create; an existing empty folder is replaced.
        patients: number of sound patients.
        size: voxels of 2 × 2 × 5 mm (``small``) or 1 × 1 × 3 mm (``full``).
        seed: seed of the set.
        difficulty: see :data:`~medkd_lib.phantom.chest_settings.SETTINGS`.
        workers: processes; 1 works in this one.
        known_issues: add the seven documented broken patients under their numbers, listed in
            ``known_issues.csv``.

    Returns:
        ``out``.

    Raises:
        FileExistsError: if ``out`` exists and is not an empty folder.
        ValueError: for an unknown difficulty or size, or an impossible number.
    """
    out = Path(out)
    check_arguments(out, patients, size, difficulty, workers)
    with build_folder(out) as building:
        folder = building / FOLDER
        folder.mkdir()
        jobs = [
            ChestJob(index, patient_name(number), folder, seed, difficulty, size)
            for index, number in enumerate(sound_numbers(patients))
        ]
        if known_issues:
            jobs += [
                ChestJob(FIRST_ISSUE + n, patient_name(n), folder, seed, difficulty, size, kind)
                for n, kind in ISSUES.items()
            ]
            rows = [Issue(patient_name(n), kind, WHAT[kind]) for n, kind in ISSUES.items()]
            write_issues(building, rows)
        write_truth(building, in_order(_write, jobs, workers))
        write_source(
            building, "nsclc_radiomics", "medkd_lib.phantom.nsclc.write_nsclc",
            patients=patients, size=size, seed=seed, difficulty=difficulty,
            remark=f"known_issues: {known_issues}\n",
        )  # fmt: skip
    return out


def _write(job: ChestJob) -> ChestTruth:
    scan = make_scan(
        "nsclc_radiomics", job.index, job.name, job.name,
        seed=job.seed, difficulty=job.difficulty, size=job.size,
    )  # fmt: skip
    patient = job.folder / job.name
    series = write_ct_series(
        patient / "CT" / "series", scan.image, scan.affine, patient=job.name, seed=job.seed
    )
    header = dcmread(next(iter(sorted(series.iterdir()))), stop_before_pixels=True)
    series = series.rename(series.with_name(str(header.SeriesInstanceUID)))
    masks = drawn(scan, tumour=job.issue != "no_tumour")
    _file(patient / "RTSTRUCT", lambda p: write_rtstruct(p, masks, scan.affine, series,
                                                         seed=job.seed))  # fmt: skip
    if job.issue != "no_seg":
        rows = scan.label.shape[1] - (CUT_ROWS if job.issue == "other_shape" else 0)
        cut = {name: mask[:, :rows] for name, mask in masks.items()}
        _file(patient / "SEG", lambda p: write_seg(p, cut, scan.affine, series, seed=job.seed))
    return scan.truth


def drawn(scan: ChestScan, *, tumour: bool) -> dict[str, NDArray[np.bool_]]:
    """Masks by the names of the release; organs that the scan does not reach are left out."""
    masks = {"GTV-1": scan.label > 0} if tumour else {}
    return masks | {name: mask for name, mask in scan.anatomy.organs().items() if mask.any()}


def _file(folder: Path, write: Callable[[Path], UID]) -> None:
    """Write one file into a folder called as its series."""
    series = folder / "series"
    series.mkdir(parents=True)
    series.rename(series.with_name(str(write(series / "1-1.dcm"))))
