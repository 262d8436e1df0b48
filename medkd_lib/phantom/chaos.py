"""The synthetic twin of ``chaos``: CT of some abdomens, T1 dual and T2-SPIR of others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np

from medkd_lib.phantom.abdomen_scan import (
    IN_PHASE_MS,
    OUT_PHASE_MS,
    STRENGTH,
    T1_DUAL,
    T2_SPIR,
    Difficulty,
)
from medkd_lib.phantom.chaos_files import write_masks, write_series
from medkd_lib.phantom.chaos_grids import Size
from medkd_lib.phantom.chaos_issues import (
    KIND_OF_PATIENT,
    SMALLEST_SET,
    Kind,
    grey,
    issues,
)
from medkd_lib.phantom.chaos_patient import ChaosPatient, Image, Modality, make_patient
from medkd_lib.phantom.chaos_truth import TruthRow, patient_name, truth_row
from medkd_lib.phantom.known_issue import write_issues
from medkd_lib.phantom.twin_files import build_folder, check_request, in_order, write_table

GENERATOR_VERSION = "3"
"""Raised whenever the same seed gives other bytes."""

CT_LIVER_GREY = 255

_T1_TAGS: Mapping[str, object] = {
    "ScanningSequence": "GR", "SequenceVariant": "SP", "ScanOptions": "", "MRAcquisitionType": "2D",
    "MagneticFieldStrength": "1.5", "RepetitionTime": f"{T1_DUAL.tr_ms:g}",
    "FlipAngle": f"{T1_DUAL.flip_deg:g}", "EchoTrainLength": "1",
}  # fmt: skip
_T2_TAGS: Mapping[str, object] = {
    "ScanningSequence": "SE", "SequenceVariant": "SK", "ScanOptions": "FS",
    "MRAcquisitionType": "2D", "MagneticFieldStrength": "1.5",
    "RepetitionTime": f"{T2_SPIR.tr_ms:g}", "FlipAngle": "90", "EchoTime": f"{T2_SPIR.te_ms:g}",
    "EchoTrainLength": "20",
}  # fmt: skip


@dataclass(frozen=True)
class _Job:
    """All a worker needs to write one patient; small, so that it travels to another process."""

    modality: Modality
    index: int
    seed: int
    difficulty: Difficulty
    size: Size
    folder: Path
    kind: Kind | None


def write_chaos(
    out: Path,
    *,
    patients: int = 40,
    size: Size = "small",
    seed: int = 0,
    difficulty: Difficulty = "subtle",
    workers: int = 1,
    known_issues: bool = False,
) -> Path:
    """Write a synthetic set in the layout of ``chaos``.

    ``Train_Sets/CT/n/{DICOM_anon,Ground}`` and ``Train_Sets/MR/n/{T1DUAL,T2SPIR}/{DICOM_anon,
    Ground}`` (T1DUAL's images in ``InPhase`` and ``OutPhase``), plus ``truth.csv``
    (:class:`~medkd_lib.phantom.chaos_truth.TruthRow`) and a ``SOURCE.txt`` that says what this is.
    CT and MR of one number are different people. Masks: grey 63, 126, 189, 252 for liver, right
    and left kidney, spleen in MR; 255 for the liver, nothing else, in CT. Their numbers run from
    the head down, against z, like those of their DICOM files: in MR a mask is named as the slice
    it belongs to (in phase for T1), in CT both count from 0.

    ========== ============================ ============================== ====================
    difficulty contrast of organs on T2     noise, share of the liver's    contrast-to-noise of
               (exponent; 1 = as measured)  signal: T1, T2                 soft borders: T1, T2
    ========== ============================ ============================== ====================
    clear      0.25                         0.04, 0.20                     3.7, 0.8
    subtle     0.4                          0.04, 0.15                     3.7, 1.9
    none       0.4 (the T2 of ``subtle``)   0.18, 0.15                     0.8, 1.9
    ========== ============================ ============================== ====================

    At ``none`` T1 shows no border better than T2 does: a teacher on T1 has nothing to teach but
    more patients. As tissues and usual noise are (1.0; 0.04, 0.12), T2 with fat suppression tells
    these organs apart better than T1; the difficulties turn that around on purpose (D).

    Each patient is drawn from ``SeedSequence(seed, spawn_key=(modality, patient))``: the bytes do
    not depend on ``workers``, and more patients leave the earlier ones as they are.

    Args:
        out: folder to create; an existing empty folder is replaced.
        patients: number of patients; half of them MR (the odd one too), half CT.
        size: ``"full"`` has the real MR voxels (256²; CT 256² instead of 512²), ``"small"`` 192²
            over the same field of view and half as many CT slices.
        seed: seed of the whole set.
        difficulty: see above; it changes MR alone.
        workers: processes; 1 works in this one.
        known_issues: make three patients as unusual as real ones are, listed in
            ``known_issues.csv`` (:mod:`medkd_lib.phantom.chaos_issues`).

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
        modalities: tuple[tuple[Modality, int], ...] = (
            ("CT", patients // 2), ("MR", patients - patients // 2),
        )  # fmt: skip
        jobs = [
            _Job(kind, index, seed, difficulty, size, folder, kinds.get((kind, index)))
            for kind, number in modalities
            for index in range(number)
        ]
        truth = list(in_order(_write_patient, jobs, workers))
        if known_issues:
            write_issues(folder, issues())
        write_table(folder / "truth.csv", TruthRow, truth)
        text = _source_text(patients, size, seed, difficulty, known_issues)
        (folder / "SOURCE.txt").write_text(text, encoding="utf-8", newline="\n")
    return out


def _write_patient(job: _Job) -> TruthRow:
    patient = make_patient(
        job.modality, job.index, seed=job.seed, difficulty=job.difficulty, size=job.size
    )
    folder = job.folder / "Train_Sets" / patient_name(job.modality, job.index)
    (_write_ct if job.modality == "CT" else _write_mr)(patient, folder, job)
    return truth_row(job.modality, job.index, patient, job.difficulty)


def _numbers(slices: int, kind: Kind | None) -> list[int]:
    """Return the number of each slice in the order of z, counted from 0."""
    down = list(range(slices))[::-1]
    return down[::-1] if kind == "numbers_with_z" else down


def _write_ct(patient: ChaosPatient, folder: Path, job: _Job) -> None:
    image, organs = patient.images["ct"], patient.organs["ct"]
    numbers = _numbers(image.shape[2], job.kind)
    write_series(
        folder / "DICOM_anon", image, patient.affines["ct"],
        [f"i{n:04d},0000b.dcm" for n in numbers],
        modality="CT", patient=_identity(job), seed=job.seed, series="CT portal venous",
        tags={"KVP": "120"},
    )  # fmt: skip
    liver = np.where(organs == 1, CT_LIVER_GREY, 0).astype(np.uint8)
    names = [f"liver_GT_{n:03d}.png" for n in numbers]
    write_masks(folder / "Ground", liver, names, one_bit=job.kind == "one_bit")


def _write_mr(patient: ChaosPatient, folder: Path, job: _Job) -> None:
    rng = np.random.default_rng([job.seed, job.index]) if job.kind == "grey_spread" else None
    # the real files carry the number of their export
    export = 4 + 2 * job.index
    t1_numbers, t2_numbers = (
        _numbers(patient.organs[grid].shape[2], job.kind) for grid in ("t1", "t2")
    )
    in_phase = [f"IMG-{export:04d}-{2 * n + 2:05d}" for n in t1_numbers]
    opposed = [f"IMG-{export:04d}-{2 * n + 1:05d}" for n in t1_numbers]
    spir = [f"IMG-{export + 1:04d}-{n + 1:05d}" for n in t2_numbers]
    t1, t2 = folder / "T1DUAL", folder / "T2SPIR"
    series: tuple[tuple[Image, Path, str, list[str], Mapping[str, object]], ...] = (
        ("t1_in", t1 / "DICOM_anon" / "InPhase", "t1", in_phase,
         {**_T1_TAGS, "EchoTime": f"{IN_PHASE_MS:g}"}),
        ("t1_out", t1 / "DICOM_anon" / "OutPhase", "t1", opposed,
         {**_T1_TAGS, "EchoTime": f"{OUT_PHASE_MS:g}"}),
        ("t2", t2 / "DICOM_anon", "t2", spir, _T2_TAGS),
    )  # fmt: skip
    for role, place, grid, stems, tags in series:
        write_series(
            place, patient.images[role], patient.affines[grid], [f"{s}.dcm" for s in stems],
            modality="MR", patient=_identity(job), seed=job.seed, series=role, tags=tags,
        )  # fmt: skip
    for place, grid, stems in ((t1, "t1", in_phase), (t2, "t2", spir)):
        names = [f"{s}.png" for s in stems]
        write_masks(place / "Ground", grey(patient.organs[grid], rng), names)


def _identity(job: _Job) -> str:
    return f"PHANTOM-{patient_name(job.modality, job.index).replace('/', '-')}"


def _check(patients: int, size: str, difficulty: str, workers: int, known_issues: bool) -> None:
    check_request(
        patients,
        workers,
        {"difficulty": (difficulty, tuple(STRENGTH)), "size": (size, get_args(Size))},
        least=SMALLEST_SET if known_issues else 1,
        why="known_issues needs three MR and two CT" if known_issues else "",
    )


def _source_text(
    patients: int, size: Size, seed: int, difficulty: Difficulty, known_issues: bool
) -> str:
    remark = " (T1 shows the organs no better than T2)" if difficulty == "none" else ""
    return f"""\
SYNTHETIC IMAGES. NO PATIENT WAS EVER SCANNED. NOT FOR CLINICAL USE.

These are simulated scans of virtual adults in the folder layout of the real set "chaos". A result
on them says something about a method, nothing about a disease.

made by: medkd_lib.phantom.chaos.write_chaos, generator version {GENERATOR_VERSION}
seed: {seed}
difficulty: {difficulty}{remark}
patients: {patients} ({patients - patients // 2} MR, {patients // 2} CT)
size: {size}
known_issues: {known_issues}

truth.csv   what only a phantom knows, per patient; never train on it

CT and MR of one number are different people, as in the real set. Masks of CT mark the liver alone.
"""
