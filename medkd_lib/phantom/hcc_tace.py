"""The synthetic twin of ``hcc_tace_seg``: contrast CT of liver cancers on another scanner."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread

from medkd_lib.phantom.abdomen_grid import fitted_grid, world_affine
from medkd_lib.phantom.anatomy import FloatArray
from medkd_lib.phantom.ct import CTSettings
from medkd_lib.phantom.dicom_files import write_ct_series
from medkd_lib.phantom.hcc_anatomy import TUMOUR, HccAnatomy, voxelise_hcc
from medkd_lib.phantom.hcc_grade import GRADES, STRENGTH, Difficulty
from medkd_lib.phantom.hcc_patient import SCANS, HccPatient, hcc_patient, stream
from medkd_lib.phantom.hcc_scan import hcc_ct
from medkd_lib.phantom.hcc_truth import MassRow, TruthRow, truth_of
from medkd_lib.phantom.known_issue import Issue, write_issues
from medkd_lib.phantom.seg_files import write_seg
from medkd_lib.phantom.twin_files import build_folder, check_request, in_order, write_table

GENERATOR_VERSION = "2"
"""Raised whenever the same seed gives other bytes."""

FOLDER = "hcc_tace_seg"
COHORT: Literal["hcc_tace_seg"] = "hcc_tace_seg"
Size = Literal["small", "full"]
Kind = Literal["second_series", "no_grade"]

MATRIX: Mapping[Size, int] = MappingProxyType({"small": 120, "full": 256})
SLICE_MM: Mapping[Size, float] = MappingProxyType({"small": 5.0, "full": 2.5})
"""The real CTs have 512² pixels, which would show nothing more of smooth virtual organs."""

KIND_OF_PATIENT: Mapping[int, Kind] = MappingProxyType({1: "second_series", 2: "no_grade"})
WHAT: Mapping[Kind, str] = MappingProxyType(
    {
        "second_series": "a later CT without a mask: one patient, two cases",
        "no_grade": "the clinical sheet has an empty grade",
    }
)
SMALLEST_SET = max(KIND_OF_PATIENT) + 1


@dataclass(frozen=True)
class HccScan:
    """One CT before it becomes files.

    Attributes:
        patient: who.
        ct: (I, J, K) portal venous CT in HU.
        anatomy: on its grid.
        affine: voxel → RAS+ millimetres.
        sigma_hu: its noise.
        study_seed: of its DICOM identifiers.
    """

    patient: HccPatient
    ct: FloatArray
    anatomy: HccAnatomy
    affine: NDArray[np.float64]
    sigma_hu: float
    study_seed: int

    @property
    def segments(self) -> dict[str, NDArray[np.bool_]]:
        """Masks by the names of the release, without overlap; the liver holds its hepatic veins."""
        regions = self.anatomy.regions
        return {
            "Liver": ((regions > 0) & (regions < TUMOUR)) | (regions == 10),
            "Mass": regions == TUMOUR,
            "Portal vein": regions == 11,
            "Abdominal aorta": regions == 12,
        }


@dataclass(frozen=True)
class ClinicalRow:
    """One line of ``clinical.csv``: the sheet's key, and the grade.

    Attributes:
        TCIA_ID: folder of the patient.
        grade: 0 well, 1 moderate, 2 poor; empty where it is missing on purpose.
    """

    TCIA_ID: str
    grade: int | str


@dataclass(frozen=True)
class _Job:
    """All a worker needs to write one CT; small, so that it travels to another process."""

    index: int
    exam: int
    seed: int
    difficulty: Difficulty
    size: Size
    folder: Path


def patient_name(index: int) -> str:
    """Folder of patient ``index``, which counts from 0."""
    return f"HCC_{index + 1:03d}"


def make_ct(index: int, *, seed: int, difficulty: Difficulty, size: Size, exam: int = 0) -> HccScan:
    """Draw and scan patient ``index`` (from 0): portal venous, standard kernel, little noise.

    Args:
        index: of the patient.
        seed: of the whole set.
        difficulty: see :data:`medkd_lib.phantom.hcc_grade.STRENGTH`.
        size: ``"small"`` or ``"full"``.
        exam: from 0; the second one is half a year later.
    """
    patient = hcc_patient(COHORT, index, seed=seed, difficulty=difficulty, exam=exam)
    sequence = stream(COHORT, index, seed, SCANS + exam)
    protocol, noise, identity = (np.random.default_rng(s) for s in sequence.spawn(3))
    slice_mm = SLICE_MM[size]
    grid = fitted_grid(patient.person, MATRIX[size], slice_mm, protocol)
    # §2.5 R: 12.3 ± 1.1 HU in the liver at 5 mm
    sigma = float(np.clip(protocol.normal(12.3, 1.5), 8.0, 17.0)) * (5.0 / slice_mm) ** 0.5
    anatomy = voxelise_hcc(patient, grid)
    settings = CTSettings(sigma_hu=sigma, kernel="standard", texture_hu=3.0)
    ct = hcc_ct(patient, anatomy, "portal", settings, noise)
    affine = world_affine(grid, protocol, (-300.0, 300.0))
    return HccScan(patient, ct, anatomy, affine, sigma, int(identity.integers(2**31)))


def write_hcc_tace(
    out: Path,
    *,
    patients: int = 105,
    size: Size = "small",
    seed: int = 0,
    difficulty: Difficulty = "subtle",
    workers: int = 1,
    known_issues: bool = False,
) -> Path:
    """Write a synthetic set in the layout of ``hcc_tace_seg``, an external test of the grade.

    ``hcc_tace_seg/HCC_nnn/{CT,SEG}/{SeriesInstanceUID}/*.dcm``: one CT of the portal venous phase
    and the SEG that refers to it, with ``Liver``, ``Mass``, ``Portal vein`` and ``Abdominal
    aorta``; ``hcc_tace_seg/clinical.csv`` (``TCIA_ID``, ``grade``), ``truth.csv``
    (:class:`~medkd_lib.phantom.hcc_truth.TruthRow`), ``masses.csv``, ``SOURCE.txt``.

    Against the twin of the private cohort: other people of the same kind and with the same rule
    from grade to looks (:data:`medkd_lib.phantom.hcc_grade.STRENGTH`), contrast agent, standard
    instead of soft kernel, less noise, pixels of 2.8–3.7 mm by the patient's width instead of 4 mm.

    The bytes do not depend on ``workers``; more patients leave the earlier ones as they are.

    Args:
        out: folder to create; an existing empty folder is replaced.
        patients: number of patients; each six hold two well, three moderate and one poor.
        size: ``"small"`` (120² pixels, slices of 5 mm) or ``"full"`` (256², 2.5 mm).
        seed: seed of the whole set.
        difficulty: see above.
        workers: processes; 1 works in this one.
        known_issues: one patient with a later CT without a mask, one without a grade, listed in
            ``known_issues.csv``.

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
        why="known_issues changes patients 2 and 3" if known_issues else "",
    )
    kinds = KIND_OF_PATIENT if known_issues else {}
    with build_folder(out) as building:
        folder = building / FOLDER
        folder.mkdir()
        jobs = []
        for index in range(patients):
            jobs.append(_Job(index, 0, seed, difficulty, size, folder))
            if kinds.get(index) == "second_series":
                jobs.append(_Job(index, 1, seed, difficulty, size, folder))
        written = list(in_order(_write_ct, jobs, workers))
        grade_of = {truth.patient: GRADES.index(truth.grade) for truth, _ in written}
        silent = {patient_name(i) for i, kind in kinds.items() if kind == "no_grade"}
        sheet = [ClinicalRow(n, "" if n in silent else g) for n, g in grade_of.items()]
        write_table(folder / "clinical.csv", ClinicalRow, sheet)
        write_table(building / "truth.csv", TruthRow, [truth for truth, _ in written])
        write_table(building / "masses.csv", MassRow, [m for _, masses in written for m in masses])
        if known_issues:
            series = {job.index: row.case for job, (row, _) in zip(jobs, written, strict=True)}
            listed = [
                Issue(series[i] if kind == "second_series" else patient_name(i), kind, WHAT[kind])
                for i, kind in kinds.items()
            ]
            write_issues(building, listed)
        text = _source_text(patients, size, seed, difficulty, known_issues)
        (building / "SOURCE.txt").write_text(text, encoding="utf-8", newline="\n")
    return out


def _write_ct(job: _Job) -> tuple[TruthRow, list[MassRow]]:
    scan = make_ct(
        job.index, seed=job.seed, difficulty=job.difficulty, size=job.size, exam=job.exam
    )
    name = patient_name(job.index)
    start = datetime(2004, 2, 2, 10, 0) + timedelta(days=11 * job.index + 180 * job.exam)
    series = write_ct_series(
        job.folder / name / "CT" / "series", scan.ct, scan.affine, patient=name,
        seed=scan.study_seed, time=start,
        tags={"ContrastBolusAgent": "iodine, virtual", "ConvolutionKernel": "STANDARD"},
    )  # fmt: skip
    header = dcmread(next(iter(sorted(series.iterdir()))), stop_before_pixels=True)
    case = str(header.SeriesInstanceUID)
    series = series.rename(series.with_name(case))
    if job.exam == 0:
        folder = job.folder / name / "SEG" / "series"
        folder.mkdir(parents=True)
        uid = write_seg(
            folder / "1-1.dcm", scan.segments, scan.affine, series, seed=scan.study_seed,
            refers=True,
        )  # fmt: skip
        folder.rename(folder.with_name(str(uid)))
    return truth_of(case, name, scan.patient, scan.anatomy, scan.affine, "portal", scan.sigma_hu)


def _source_text(
    patients: int, size: Size, seed: int, difficulty: Difficulty, known_issues: bool
) -> str:
    remark = " (images and grade are independent)" if difficulty == "none" else ""
    return f"""\
SYNTHETIC IMAGES. NO PATIENT WAS EVER SCANNED. NOT FOR CLINICAL USE.

These are simulated scans of virtual adults with liver cancer in the folder layout of the real set
"hcc_tace_seg". A result on them says something about a method, nothing about a disease.

made by: medkd_lib.phantom.hcc_tace.write_hcc_tace, generator version {GENERATOR_VERSION}
seed: {seed}
difficulty: {difficulty}{remark}
patients: {patients}
size: {size}
known_issues: {known_issues}

hcc_tace_seg/clinical.csv   grade per patient: 0 well, 1 moderately, 2 poorly differentiated
truth.csv, masses.csv       what only a phantom knows; never train on them
"""
