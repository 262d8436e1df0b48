"""The synthetic twin of ``oasis1_slices_kaggle``: JPEG slices of the people of ``oasis1``."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medkd_lib.phantom.anatomy import FloatArray
from medkd_lib.phantom.brain import voxelise_brain
from medkd_lib.phantom.dementia_truth import volumes_of
from medkd_lib.phantom.oasis_patient import GRIDS, Size, draw_person, oasis_stream, scan
from medkd_lib.phantom.oasis_slice_truth import SliceTruth, slice_truth
from medkd_lib.phantom.oasis_truth import truth_of
from medkd_lib.phantom.opacities import Difficulty
from medkd_lib.phantom.twin_files import build_folder, check_request, in_order, write_table

GENERATOR_VERSION = "1"
"""Raised whenever the same seed gives other bytes."""

FOLDERS = ("Non Demented", "Very mild Dementia", "Mild Dementia", "Moderate Dementia")
"""Of CDR 0, 0.5, 1 and 2."""

FIRST_NUMBER, NUMBERS = 100, 61
"""Slices are numbered in millimetres from here; 61 of each acquisition are the release's."""

LOWEST_MM = -27.0
"""Height of the first slice from the grid's middle: from the hippocampus to above the ventricles
(D: which 61 the release took was not read)."""

STEP: Mapping[Size, int] = MappingProxyType({"small": 4, "full": 1})
"""Millimetres between slices; small twins have 16 of them."""

WHITE_MATTER_GREY = (120.0, 165.0)
"""Grey value of white matter, per acquisition (D)."""

JPEG_QUALITY = 90

FIRST_SCAN_PART = 11
"""Random streams of a person's single acquisitions are numbered from here; those below belong to
the volumes."""


@dataclass(frozen=True)
class _Job:
    """All a worker needs to write one person; small, so that it travels to another process."""

    index: int
    folder: Path
    seed: int
    size: Size
    difficulty: Difficulty


def write_oasis1_slices_kaggle(
    out: Path,
    *,
    patients: int,
    size: Size = "small",
    seed: int = 0,
    difficulty: Difficulty = "subtle",
    workers: int = 1,
    known_issues: bool = False,
) -> Path:
    """Write a synthetic set in the layout of ``oasis1_slices_kaggle``.

    ``Data/{Non Demented,Very mild Dementia,Mild Dementia,Moderate Dementia}/
    OAS1_NNNN_MR1_mpr-K_S.jpg``: axial slices (grey, front of the head at the top, the patient's
    left at the right) of each of the three or four acquisitions of a person, plus ``truth.csv``
    (:class:`~medkd_lib.phantom.oasis_slice_truth.SliceTruth`) and ``SOURCE.txt``. They show the
    people of :func:`~medkd_lib.phantom.oasis.write_oasis1` with the same seed and difficulty,
    before the atlas, one acquisition at a time: noisier, shaded, each head in its own pose. The
    acquisitions of a person differ in noise, shading and brightness; the head lies still between
    them. Unlike the release's (D: not read), the heads are skull-stripped.

    A person's slices are nearly equal, so a split by slice asks who this is, not how this person
    is. Accuracy of the nearest neighbour (1-NN) on slices of 16×16 pixels, CDR 0 against above 0:

    ================== ======== =========
    balanced accuracy  by slice by person
    ================== ======== =========
    labels of subtle   0.99     0.57
    labels dealt anew  0.99     0.49
    ================== ======== =========

    (48 people, 11 of them above 0, 2784 slices, five folds; 5 seeds of folds, and 20 deals of the
    same labels to the same people.)

    Args:
        out: folder to create; an existing empty folder is replaced.
        patients: number of people; their bytes do not depend on how many follow.
        size: ``"full"`` has pixels of 1 mm and 61 slices per acquisition, ``"small"`` pixels of
            2 mm and 16 slices (every fourth number).
        seed: seed of the whole set.
        difficulty: ``"clear"``, ``"subtle"`` or ``"none"`` (labels unrelated to the brains).
        workers: processes; 1 works in this one.
        known_issues: refused: what is documented of this set is wrong with its use, not with any
            file.

    Returns:
        ``out``.

    Raises:
        FileExistsError: if ``out`` exists and is not an empty folder.
        ValueError: for an unknown size or difficulty, an impossible number, or ``known_issues``.
    """
    out = Path(out)
    check_request(
        patients,
        workers,
        {"difficulty": (difficulty, get_args(Difficulty)), "size": (size, get_args(Size))},
    )
    if known_issues:
        raise ValueError(
            "known_issues: expected False, since no broken file of oasis1_slices_kaggle is "
            "documented, found True; ask its source, oasis1, for broken cases"
        )
    with build_folder(out) as building:
        data = building / "Data"
        for folder in FOLDERS:
            (data / folder).mkdir(parents=True)
        jobs = [_Job(n, data, seed, size, difficulty) for n in range(patients)]
        truth = [row for rows in in_order(_make, jobs, workers) for row in rows]
        write_table(building / "truth.csv", SliceTruth, truth)
        (building / "SOURCE.txt").write_text(
            _source_text(patients, len(truth), size, seed, difficulty),
            encoding="utf-8",
            newline="\n",
        )
    return out


def heights(size: Size) -> list[tuple[int, int]]:
    """Return (number in the file name, index of the grid's slice) of each slice."""
    grid = GRIDS[size]
    lowest = (grid.shape[2] - 1) / 2 + LOWEST_MM / grid.spacing_mm[2]
    return [
        # the nearest slice, upwards from a tie: rounding to even would take every other one twice
        (FIRST_NUMBER + mm, int(np.floor(lowest + mm / grid.spacing_mm[2] + 0.5)))
        for mm in range(0, NUMBERS, STEP[size])
    ]


def as_picture(image: FloatArray, index: int) -> NDArray[np.uint8]:
    """Take one axial slice as rows from front to back and columns from right to left side."""
    return np.clip(np.rint(image[:, :, index].T), 0.0, 255.0).astype(np.uint8)


def _make(job: _Job) -> list[SliceTruth]:
    person = draw_person(job.index, seed=job.seed, difficulty=job.difficulty)
    anatomy = voxelise_brain(person.brain, GRIDS[job.size])
    row = truth_of(person, 0, volumes_of(anatomy), job.difficulty)
    label = FOLDERS[person.plan.grade]
    rows = []
    for number in range(person.plan.scans):
        rng = oasis_stream(job.index, job.seed, FIRST_SCAN_PART + number)
        lit = replace(person, gain=float(rng.uniform(*WHITE_MATTER_GREY)))
        image = scan(lit, anatomy, rng, averages=1, bias=person.bias)
        for height, index in heights(job.size):
            case = f"{row.case}_mpr-{number + 1}_{height}"
            content = io.BytesIO()
            Image.fromarray(as_picture(image, index)).save(
                content, format="JPEG", quality=JPEG_QUALITY
            )
            (job.folder / label / f"{case}.jpg").write_bytes(content.getvalue())
            rows.append(slice_truth(case, label, number + 1, height, lit.gain, row))
    return rows


def _source_text(patients: int, slices: int, size: Size, seed: int, difficulty: Difficulty) -> str:
    remark = " (the labels have nothing to do with the brains)" if difficulty == "none" else ""
    return f"""\
SYNTHETIC IMAGES. NO PATIENT WAS EVER SCANNED. NOT FOR CLINICAL USE.

These are simulated MR slices of virtual adults in the folder layout of the real set
"oasis1_slices_kaggle". A result on them says something about a method, nothing about a disease.

made by: medkd_lib.phantom.oasis_slices.write_oasis1_slices_kaggle
generator version: {GENERATOR_VERSION}
seed: {seed}
difficulty: {difficulty}{remark}
patients: {patients}
slices: {slices}
size: {size}

truth.csv   what only a phantom knows, per slice; never train on it
"""
