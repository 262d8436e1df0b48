"""The synthetic twin of ``brainmetshare``: metastases as folders of PNG slices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from medkd_lib.data.stated_geometry import STATEMENT, StatedGeometry, write_statement
from medkd_lib.phantom.anatomy import FloatArray, Grid
from medkd_lib.phantom.brain_frame import ATLAS_CENTRE_MM
from medkd_lib.phantom.brain_lesion_layers import label_map
from medkd_lib.phantom.brainmet_scan import sample_metastases, scan_metastases
from medkd_lib.phantom.brats_patient import voxelise_patient
from medkd_lib.phantom.brats_truth import BratsTruth, truth_of
from medkd_lib.phantom.chaos_files import write_masks
from medkd_lib.phantom.known_issue import Issue, write_issues
from medkd_lib.phantom.opacities import Difficulty
from medkd_lib.phantom.twin_files import build_folder, check_request, in_order, write_table

GENERATOR_VERSION = "1"
"""Raised whenever the same seed gives other bytes."""

Size = Literal["small", "full"]

GRIDS: Mapping[Size, Grid] = MappingProxyType(
    {
        "small": Grid((128, 128, 78), (1.88, 1.88, 2.0)),
        "full": Grid((256, 256, 156), (0.94, 0.94, 1.0)),
    }
)
"""256² of 0.94 mm and 1 mm slices is what public converters assume; the number of slices is D."""

AXCODES = "LPS"
"""What the twin writes: columns to the left, rows to the back, slices to the head."""

CASES = Path("stanford_release_brainmask") / "mets_stanford_releaseMask_train"

FOLDER_OF: Mapping[str, str] = MappingProxyType(
    {"t1_gre_post": "0", "t1_se_pre": "1", "t1_se_post": "2", "flair": "3"}
)
"""Role → folder of its slices."""

METASTASIS = (1, 3)
"""BraTS ids that a mask marks: the solid part and what it encloses, without oedema."""

MASK_GREY = 255

PATIENT_STREAM = 7
"""Keeps these people apart from those of the BraTS twins, whose keys begin with 0, 1 and 2."""

NO_STATEMENT = "no_statement"


@dataclass(frozen=True)
class _Job:
    """All a worker needs to write one patient; small, so that it travels to another process."""

    number: int
    folder: Path
    seed: int
    size: Size
    difficulty: Difficulty


def write_brainmet(
    out: Path,
    *,
    patients: int,
    size: Size = "small",
    seed: int = 0,
    difficulty: Difficulty = "subtle",
    workers: int = 1,
    known_issues: bool = False,
) -> Path:
    """Write a synthetic set in the layout of ``brainmetshare``.

    ``stanford_release_brainmask/mets_stanford_releaseMask_train/Mets_NNN/{0,1,2,3,seg}/k.png``:
    gradient echo after contrast, spin echo before and after, FLAIR after contrast, and the mask
    (0 and 255: metastases with what they enclose, oedema left out); 8 bits, skull-stripped,
    background exactly 0, slices numbered from 0 without leading zeros. Plus ``truth.csv``
    (:class:`~medkd_lib.phantom.brats_truth.BratsTruth`, places from the stack's middle) and
    ``SOURCE.txt``.

    PNG carries no geometry, and nobody states that of the real release. What *this* folder's axes
    and voxels are stands in ``stated_geometry.yaml``, which the loader reads; it says nothing
    about the real set.

    Difficulty is that of the BraTS twins (:data:`medkd_lib.phantom.brats_patient.LOOKS`); other
    than there, T1 is a spin echo too, FLAIR comes after contrast and has a shorter TR, and
    scanners have 1.5 or 3 T.

    Args:
        out: folder to create; an existing empty folder is replaced.
        patients: number of patients; their bytes do not depend on how many follow.
        size: ``"full"`` is 256×256×156 voxels of 0.94 × 0.94 × 1 mm, ``"small"`` 128×128×78 of
            1.88 × 1.88 × 2 mm.
        seed: seed of the whole set.
        difficulty: ``"clear"``, ``"subtle"`` or ``"none"`` (the images hold no metastasis).
        workers: processes; 1 works in this one.
        known_issues: leave ``stated_geometry.yaml`` out, as in the real release: nothing can be
            read until somebody states the axes.

    Returns:
        ``out``.

    Raises:
        FileExistsError: if ``out`` exists and is not an empty folder.
        ValueError: for an unknown size or difficulty, or an impossible number.
    """
    out = Path(out)
    check_request(
        patients,
        workers,
        {"difficulty": (difficulty, get_args(Difficulty)), "size": (size, get_args(Size))},
    )
    with build_folder(out) as building:
        cases = building / CASES
        jobs = [_Job(n + 1, cases, seed, size, difficulty) for n in range(patients)]
        truth = list(in_order(_make, jobs, workers))
        if known_issues:
            what = "nothing states where the axes of the PNG slices point"
            issues = [Issue(row.case, NO_STATEMENT, what) for row in truth]
            write_issues(building, issues)
        else:
            spacing = [float(s) for s in GRIDS[size].spacing_mm]
            source = "medkd_lib.phantom.brainmet wrote these slices; not a fact about the real set"
            statement = StatedGeometry(
                dataset="brainmetshare", axcodes=AXCODES, spacing_mm=spacing, source=source
            )
            write_statement(building, statement)
        write_table(building / "truth.csv", BratsTruth, truth)
        (building / "SOURCE.txt").write_text(
            _source_text(patients, size, seed, difficulty, known_issues),
            encoding="utf-8",
            newline="\n",
        )
    return out


def stored(image: FloatArray) -> NDArray[np.uint8]:
    """As it is written: 8 bits, background 0, at least 1 inside the stripped edge."""
    whole = np.clip(np.rint(image), 1.0, 255.0)
    return np.where(image > 0.0, whole, 0.0).astype(np.uint8)


def _make(job: _Job) -> BratsTruth:
    case = f"Mets_{job.number:03d}"
    key = (PATIENT_STREAM, job.number)
    person, scanner = np.random.SeedSequence(job.seed, spawn_key=key).spawn(2)
    patient = sample_metastases(np.random.default_rng(person), job.difficulty)
    grid = GRIDS[job.size]
    anatomy = voxelise_patient(patient, grid)
    shown = anatomy
    if job.difficulty == "none":
        shown = voxelise_patient(patient, grid, lesions=False)
    labels = label_map(anatomy)
    images = scan_metastases(patient, shown, np.random.default_rng(scanner))
    names = [f"{k}.png" for k in range(grid.shape[2])]
    for role, image in images.items():
        write_masks(job.folder / case / FOLDER_OF[role], stored(image), names)
    mask = np.where(np.isin(labels, METASTASIS), MASK_GREY, 0).astype(np.uint8)
    write_masks(job.folder / case / "seg", mask, names)
    row = truth_of(case, job.number, 0, job.difficulty, patient, anatomy, labels)
    # a stack without a place in the world has its middle at the origin, not in an atlas
    x, y, z = (
        round(place - middle, 2)
        for place, middle in zip(
            (row.centre_x_mm, row.centre_y_mm, row.centre_z_mm), ATLAS_CENTRE_MM, strict=True
        )
    )
    return replace(row, centre_x_mm=x, centre_y_mm=y, centre_z_mm=z)


def _source_text(
    patients: int, size: Size, seed: int, difficulty: Difficulty, known_issues: bool
) -> str:
    beside = (
        "known_issues.csv      what is missing, on purpose"
        if known_issues
        else f"{STATEMENT}  where the axes of these slices point; not a fact about the real set"
    )
    remark = " (the images were taken without the metastases)" if difficulty == "none" else ""
    return f"""\
SYNTHETIC IMAGES. NO PATIENT WAS EVER SCANNED. NOT FOR CLINICAL USE.

These are simulated MR images of virtual adults in the folder layout of the real set
"brainmetshare". A result on them says something about a method, nothing about a disease.

made by: medkd_lib.phantom.brainmet.write_brainmet, generator version {GENERATOR_VERSION}
seed: {seed}
difficulty: {difficulty}{remark}
patients: {patients}
size: {size}

truth.csv             what only a phantom knows, per case; never train on it
{beside}
"""
