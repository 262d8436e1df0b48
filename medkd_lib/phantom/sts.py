"""The synthetic twin of ``sts_petctmr``: CT, FDG-PET and T1 MR of sarcomas, and their truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from medkd_lib.phantom.known_issue import write_issues
from medkd_lib.phantom.sts_issues import (
    KIND_OF_PATIENT,
    PADDING_HU,
    SHIFT_MM,
    SMALLEST_SET,
    Kind,
    issues,
)
from medkd_lib.phantom.sts_patient import Pictures, make_patient
from medkd_lib.phantom.sts_scan import Modality, Size
from medkd_lib.phantom.sts_truth import TruthRow, patient_name
from medkd_lib.phantom.thigh_tumour import Difficulty
from medkd_lib.phantom.twin_files import (
    build_folder,
    check_request,
    in_order,
    write_nifti,
    write_table,
)

GENERATOR_VERSION = "1"
"""Raised whenever the same seed gives other bytes."""


@dataclass(frozen=True)
class LabelRow:
    """One line of ``labels.csv``.

    Attributes:
        patient: folder name.
        lung_metastasis: 0 or 1; empty where the outcome is missing on purpose.
    """

    patient: str
    lung_metastasis: int | str


@dataclass(frozen=True)
class _Job:
    """All a worker needs to write one patient; small, so that it travels to another process."""

    index: int
    seed: int
    difficulty: Difficulty
    size: Size
    folder: Path
    kind: Kind | None


def write_sts(
    out: Path,
    *,
    patients: int = 51,
    size: Size = "small",
    seed: int = 0,
    difficulty: Difficulty = "subtle",
    workers: int = 1,
    known_issues: bool = False,
) -> Path:
    """Write a synthetic set in the layout of ``sts_petctmr``.

    ``STS_nnn/{CT,MR_T1,PET}_{image,mask}.nii.gz`` (float32 and uint8, axes LPS, one world frame,
    three grids, cropped to the tumour's box plus 5 cm) and ``labels.csv``, plus ``truth.csv``
    (:class:`~medkd_lib.phantom.sts_truth.TruthRow`) and a ``SOURCE.txt`` that says what this is.

    ========== =========================== ======================== ==================
    difficulty tumour minus muscle on CT   uptake drives metastasis segmentation
    ========== =========================== ======================== ==================
    clear      −33 ± 15 HU                 strongly (slope 4)       possible
    subtle     −15 ± 7 HU, as measured     as real (slope 1.4)      possible
    none       nothing there               not at all               of nothing
    ========== =========================== ======================== ==================

    At ``none`` the mask marks a place where a tumour *would* be: no modality shows anything there,
    nothing is pushed aside, and the outcome is a coin of weight 0.37. Two things remain that have
    nothing to do with a tumour: the mask fills the middle of the crop, as in the real set, and it
    ends at skin and bone.

    Each patient is drawn from ``SeedSequence(seed, spawn_key=(patient,))``: the bytes do not
    depend on ``workers``, and more patients leave the earlier ones as they are. All difficulties
    of a seed show the same bodies.

    Args:
        out: folder to create; an existing empty folder is replaced.
        patients: number of patients.
        size: ``"full"`` has the real voxels (CT and MR 0.98 mm), ``"small"`` twice the edge in
            the plane of CT and MR; slices (3.27 mm) and PET (3.9–5.5 mm) stay.
        seed: seed of the whole set.
        difficulty: see above.
        workers: processes; 1 works in this one.
        known_issues: break five patients and one label on purpose, listed in
            ``known_issues.csv`` (:mod:`medkd_lib.phantom.sts_issues`).

    Returns:
        ``out``.

    Raises:
        FileExistsError: if ``out`` exists and is not an empty folder.
        ValueError: for an unknown difficulty or size, or an impossible number.
    """
    out = Path(out)
    _check(patients, size, difficulty, workers, known_issues)
    with build_folder(out) as folder:
        kinds = KIND_OF_PATIENT if known_issues else {}
        jobs = [
            _Job(index, seed, difficulty, size, folder, kinds.get(index))
            for index in range(patients)
        ]
        truth = list(in_order(_write_patient, jobs, workers))
        labels = [LabelRow(row.patient, row.lung_metastasis) for row in truth]
        if known_issues:
            for index, kind in kinds.items():
                if kind == "missing_outcome":
                    labels[index] = LabelRow(patient_name(index), "")
            labels.append(LabelRow(patient_name(patients), 0))
            write_issues(folder, issues(patients))
        write_table(folder / "labels.csv", LabelRow, labels)
        write_table(folder / "truth.csv", TruthRow, truth)
        text = _source_text(patients, size, seed, difficulty, known_issues)
        (folder / "SOURCE.txt").write_text(text, encoding="utf-8", newline="\n")
    return out


def _write_patient(job: _Job) -> TruthRow:
    row, pictures = make_patient(job.index, seed=job.seed, difficulty=job.difficulty, size=job.size)
    if job.kind == "ct_shift":
        affine = pictures["CT"].affine.copy()
        # LPS → RAS turns the signs of x and y
        affine[:3, 3] += np.array([-1.0, -1.0, 1.0]) * SHIFT_MM
        pictures["CT"] = replace(pictures["CT"], affine=affine)
    if job.kind == "padding":
        pictures["CT"] = replace(pictures["CT"], image=_outside_circle(pictures["CT"].image))
    if job.kind == "missing_mr":
        del pictures["MR_T1"]
    folder = job.folder / row.patient
    folder.mkdir()
    for modality, picture in pictures.items():
        write_nifti(folder / f"{modality}_image.nii.gz", picture.image, picture.affine)
        affine = _mask_affine(pictures, modality, job.kind)
        write_nifti(folder / f"{modality}_mask.nii.gz", picture.mask, affine)
    return row


def _mask_affine(
    pictures: Mapping[Modality, Pictures], modality: Modality, kind: Kind | None
) -> NDArray[np.float64]:
    wrong = kind == "mask_grid" and modality == "CT"
    return pictures["PET" if wrong else modality].affine


def _outside_circle(image: NDArray[np.floating]) -> NDArray[np.floating]:
    """Pad the corners of every slice: the field of view is a circle as wide as the crop."""
    x, y = (np.arange(n) - (n - 1) / 2 for n in image.shape[:2])
    outside = x[:, None] ** 2 + y[None, :] ** 2 > (max(image.shape[:2]) / 2) ** 2
    padded = image.copy()
    padded[outside] = PADDING_HU
    return padded


def _check(patients: int, size: str, difficulty: str, workers: int, known_issues: bool) -> None:
    check_request(
        patients,
        workers,
        {"difficulty": (difficulty, get_args(Difficulty)), "size": (size, get_args(Size))},
        least=SMALLEST_SET if known_issues else 1,
        why="known_issues breaks patients 2 to 6" if known_issues else "",
    )


def _source_text(
    patients: int, size: Size, seed: int, difficulty: Difficulty, known_issues: bool
) -> str:
    remark = " (the images show no tumour; outcome by coin)" if difficulty == "none" else ""
    return f"""\
SYNTHETIC IMAGES. NO PATIENT WAS EVER SCANNED. NOT FOR CLINICAL USE.

These are simulated scans of virtual adults in the folder layout of the real set "sts_petctmr".
All tumours lie in the thigh; the real ones also lie in calf, knee, buttock, arm and hand. A
result on them says something about a method, nothing about a disease.

made by: medkd_lib.phantom.sts.write_sts, generator version {GENERATOR_VERSION}
seed: {seed}
difficulty: {difficulty}{remark}
patients: {patients}
size: {size}
known_issues: {known_issues}

labels.csv  patient, lung_metastasis: as in the real set
truth.csv   what only a phantom knows, per patient; never train on it

Every image is the tumour's box plus about 5 cm, as in the real set: the shape of the array alone
tells where the tumour lies and how large it is.
"""
