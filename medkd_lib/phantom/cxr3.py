"""The synthetic twin of ``cxr3``: chest films in the layout of the real set, and their truth."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
from PIL import Image

from medkd_lib.phantom.cxr3_patient import make_patient
from medkd_lib.phantom.cxr3_plan import CLASSES, PatientPlan, Split, plan_patient
from medkd_lib.phantom.cxr3_truth import TruthRow
from medkd_lib.phantom.opacities import Difficulty
from medkd_lib.phantom.twin_files import build_folder, check_free, in_order, write_table
from medkd_lib.phantom.xray_settings import HOSPITALS

GENERATOR_VERSION = "1"
"""Raised whenever the same seed gives other bytes."""

LABEL_COLUMNS = ("file", "label", "split", "patient_number")
JPEG_QUALITY = 75  # the quantisation table of the real files


@dataclass(frozen=True)
class _Job:
    """All a worker needs to make one patient; small, so that it travels to a spawned process."""

    plan: PatientPlan
    seed: int
    difficulty: Difficulty
    image_size: int
    scanners: tuple[str, ...]


def write_cxr3(
    out: Path,
    *,
    patients: int = 948,
    seed: int = 0,
    difficulty: Difficulty = "subtle",
    workers: int = 1,
    image_size: int = 224,
    test_fraction: float = 1 / 6,
    scanners: Sequence[str] = ("hospital_a",),
) -> Path:
    """Write a synthetic set in the layout of ``cxr3``.

    ``labels.csv``, ``{train,test}/{normal,bacterial,viral}/*.jpeg`` (RGB, three equal channels),
    plus ``truth.csv`` (:class:`TruthRow`) and a ``SOURCE.txt`` that says what this is. The
    default 948 patients give about 1080 films, like the real subset (900 + 180).

    Difficulty was fixed on a student trained alone and on the oracle, before any distillation
    (accuracy, chance 0.333; a four-layer CNN of widths 8-16-32-64 on 64×64 pixels, mean of 3
    seeds, 306 test films; oracle: :func:`medkd_lib.phantom.cxr3_oracle.oracle_accuracy`, 700
    patients):

    ========== =============== ================ ======
    difficulty 90 train images 399 train images oracle
    ========== =============== ================ ======
    clear      0.77            0.86             0.98
    subtle     0.63            0.78             0.98
    none       0.33            0.33             0.36
    ========== =============== ================ ======

    Each patient is drawn from ``SeedSequence(seed, spawn_key=(patient,))``: the bytes do not
    depend on ``workers``, and more patients leave the earlier ones as they are, label and split
    included (see :func:`medkd_lib.phantom.cxr3_plan.plan_patient`).

    Args:
        out: folder to create; an existing empty folder is replaced.
        patients: number of patients.
        seed: seed of the whole set.
        difficulty: ``"clear"``, ``"subtle"`` or ``"none"`` (labels unrelated to the films).
        workers: processes; 1 works in this one.
        image_size: edge of the films in pixels.
        test_fraction: share of the patients in the test split.
        scanners: X-ray rooms, drawn per patient; two rooms are a mixed set, another room is a
            shifted domain.

    Returns:
        ``out``.

    Raises:
        FileExistsError: if ``out`` exists and is not an empty folder.
        ValueError: for an unknown difficulty or scanner, or an impossible number.
    """
    out = Path(out)
    _check(out, patients, difficulty, workers, image_size, test_fraction, scanners)
    jobs = [
        _Job(
            plan_patient(i, seed=seed, difficulty=difficulty, test_fraction=test_fraction),
            seed, difficulty, image_size, tuple(scanners),
        )
        for i in range(patients)
    ]  # fmt: skip
    with build_folder(out) as building:
        for split in get_args(Split):
            for label in CLASSES:
                (building / split / label).mkdir(parents=True)
        truth: list[TruthRow] = []
        for rows, images in in_order(_make, jobs, workers, chunk=4):
            for row, image in zip(rows, images, strict=True):
                (building / row.file).write_bytes(image)
            truth += rows
        truth.sort(key=lambda row: row.file)
        write_table(building / "labels.csv", TruthRow, truth, only=LABEL_COLUMNS)
        write_table(building / "truth.csv", TruthRow, truth)
        (building / "SOURCE.txt").write_text(
            _source_text(
                patients, len(truth), seed, difficulty, image_size, test_fraction, scanners
            ),
            encoding="utf-8",
            newline="\n",
        )
    return out


def _make(job: _Job) -> tuple[list[TruthRow], list[bytes]]:
    rows, films = make_patient(
        job.plan,
        seed=job.seed,
        difficulty=job.difficulty,
        image_size=job.image_size,
        scanners=job.scanners,
    )
    return rows, [_jpeg(film) for film in films]


def _jpeg(film: np.ndarray) -> bytes:
    """RGB JPEG with three equal channels."""
    buffer = io.BytesIO()
    Image.fromarray(film).convert("RGB").save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


def _check(
    out: Path,
    patients: int,
    difficulty: str,
    workers: int,
    image_size: int,
    test_fraction: float,
    scanners: Sequence[str],
) -> None:
    check_free(out)
    if difficulty not in get_args(Difficulty):
        raise ValueError(
            f"difficulty: expected one of {get_args(Difficulty)}, found {difficulty!r}; "
            "check spelling"
        )
    unknown = [name for name in scanners if name not in HOSPITALS]
    if unknown or not scanners:
        raise ValueError(f"scanners: expected names from {sorted(HOSPITALS)}, found {scanners!r}")
    if patients < 1 or workers < 1 or image_size < 32 or not 0.0 <= test_fraction < 1.0:
        raise ValueError(
            "expected patients ≥ 1, workers ≥ 1, image_size ≥ 32 and 0 ≤ test_fraction < 1, found "
            f"{patients}, {workers}, {image_size} and {test_fraction}"
        )


def _source_text(
    patients: int,
    films: int,
    seed: int,
    difficulty: str,
    image_size: int,
    test_fraction: float,
    scanners: Sequence[str],
) -> str:
    remark = " (labels drawn independently of the films)" if difficulty == "none" else ""
    return f"""\
SYNTHETIC IMAGES. NO PATIENT WAS EVER FILMED. NOT FOR CLINICAL USE.

These are simulated chest films of virtual adults in the folder layout of the real set "cxr3"
(children). A result on them says something about a method, nothing about a disease.

made by: medkd_lib.phantom.cxr3.write_cxr3, generator version {GENERATOR_VERSION}
seed: {seed}
difficulty: {difficulty}{remark}
patients: {patients}
films: {films}
image_size: {image_size}
test_fraction: {test_fraction!r}
scanners: {", ".join(scanners)}

labels.csv  file, label, split, patient_number: as in the real set
truth.csv   what only a phantom knows, per film; never train on it
"""
