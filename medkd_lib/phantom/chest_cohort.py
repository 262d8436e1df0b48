"""Who is in the twins of chest sets: random streams, a patient's scans, what each looks like.

The three sets never share a patient, whatever their seeds: each has a key of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from medkd_lib.phantom.anatomy import FloatArray
from medkd_lib.phantom.chest import ChestAnatomy, voxelise_chest
from medkd_lib.phantom.chest_patient import ChestPatient, sample_chest
from medkd_lib.phantom.chest_scan import (
    ChestPair,
    chest_ct,
    chest_mr,
    label_of,
    scan_pair,
    scanner_seeds,
)
from medkd_lib.phantom.chest_settings import Difficulty, Size
from medkd_lib.phantom.chest_truth import ChestTruth, truth_row

Cohort = Literal["msd_task06_lung", "cmedl_private_mr_cohort", "nsclc_radiomics"]
KEYS: Mapping[Cohort, int] = MappingProxyType(
    {"msd_task06_lung": 11, "cmedl_private_mr_cohort": 12, "nsclc_radiomics": 13}
)
"""Key of each set in the random streams."""

BODY, SCANS, COURSE = 0, 1, 2

WEEKLY_OF, SCANS_OF_WEEKLY = (9, 28), 7
"""9 of the 28 patients were scanned weekly (the group's abstract); 19 + 9 · 7 = 82 scans (D)."""

SHRINKS_PER_WEEK = (0.10, 0.5)
"""Median share of the volume lost in a week of treatment, and its log-normal spread (D)."""


@dataclass(frozen=True, eq=False)
class ChestScan:
    """One scan of a cohort.

    Attributes:
        image: (I, J, K) CT in HU or T2w signal, whole numbers.
        label: (I, J, K) uint8, 1 in the tumour.
        anatomy: what was scanned; its `ChestAnatomy.organs` are painted for whom asks.
        affine: index → RAS+ millimetres.
        truth: what only a phantom knows.
    """

    image: FloatArray
    label: NDArray[np.uint8]
    anatomy: ChestAnatomy
    affine: NDArray[np.float64]
    truth: ChestTruth


def stream(cohort: Cohort, index: int, seed: int, kind: int) -> np.random.SeedSequence:
    """Seed of one purpose of one patient."""
    return np.random.SeedSequence(seed, spawn_key=(KEYS[cohort], index, kind))


def chest_patient(
    cohort: Cohort, index: int, *, seed: int, difficulty: Difficulty, scan: int = 0
) -> ChestPatient:
    """Patient ``index`` (from 0) of a set, at a scan (from 0): the tumour shrinks, the body stays.

    From week to week the patient also breathes a little deeper or less deep: the domes move by
    about 3 mm.
    """
    rng = np.random.default_rng(stream(cohort, index, seed, BODY))
    patient = sample_chest(rng, difficulty)
    if scan == 0:
        return patient
    course = np.random.default_rng(stream(cohort, index, seed, COURSE))
    rate = min(SHRINKS_PER_WEEK[0] * float(course.lognormal(0.0, SHRINKS_PER_WEEK[1])), 0.4)
    steps = np.clip(rate * course.lognormal(0.0, 0.3, SCANS_OF_WEEKLY), 0.0, 0.5)
    factor = float(np.prod(1.0 - steps[:scan]))
    breath = course.normal(0.0, 3.0, SCANS_OF_WEEKLY)[scan - 1]
    right, left = patient.body.dome_mm
    body = replace(patient.body, dome_mm=(float(right + breath), float(left + breath)))
    return replace(patient, body=body, tumour=patient.tumour.shrunk(factor))


def scans_of(index: int) -> int:
    """Count the scans of patient ``index`` of the MR cohort: 7 for 9 of each 28, else 1."""
    weekly, block = WEEKLY_OF
    return SCANS_OF_WEEKLY if index * weekly % block < weekly else 1


def pair_of(
    cohort: Cohort,
    index: int,
    *,
    seed: int,
    difficulty: Difficulty,
    size: Size = "small",
    scan: int = 0,
) -> ChestPair:
    """Both scans of a patient of a twin on disk: the one in the file, and the one nobody took.

    The CT (or MR) is that of the file, voxel by voxel; the grid's affine has its origin in the
    patient, the file's lies in the scanner's room.
    """
    patient = chest_patient(cohort, index, seed=seed, difficulty=difficulty, scan=scan)
    return scan_pair(patient, size=size, seed=stream(cohort, index, seed, SCANS + 10 * scan))


@dataclass(frozen=True, eq=False)
class UntakenMR:
    """The MR that nobody took of a patient who has a CT on disk.

    Attributes:
        t2w: (I, J, K) T2w magnitude, voxel by voxel that of `pair_of`.
        label: (I, J, K) uint8, 1 in the tumour.
        affine: index → RAS+ millimetres, with its origin in the patient.
    """

    t2w: FloatArray
    label: NDArray[np.uint8]
    affine: NDArray[np.float64]


def untaken_mr(
    cohort: Cohort, index: int, *, seed: int, difficulty: Difficulty, size: Size = "small"
) -> UntakenMR:
    """Scan the MR half of `pair_of` alone, at less than half of its cost."""
    patient = chest_patient(cohort, index, seed=seed, difficulty=difficulty)
    grid = patient.grid(size)
    anatomy = voxelise_chest(patient, grid)
    _, mr_seed = scanner_seeds(stream(cohort, index, seed, SCANS))
    t2w, _ = chest_mr(patient, anatomy, mr_seed)
    return UntakenMR(t2w, label_of(anatomy), grid.affine)


def make_scan(
    cohort: Cohort,
    index: int,
    case: str,
    name: str,
    *,
    seed: int,
    difficulty: Difficulty,
    size: Size,
    scan: int = 0,
) -> ChestScan:
    """One scan of a set in memory, MR for the MR cohort and CT for the others.

    Args:
        cohort: which set.
        index: of the patient, from 0.
        case: its name in ``truth.csv``.
        name: of the patient.
        seed: of the set.
        difficulty: of the set.
        size: of the voxels.
        scan: of the patient, from 0.
    """
    patient = chest_patient(cohort, index, seed=seed, difficulty=difficulty, scan=scan)
    grid = patient.grid(size)
    anatomy = voxelise_chest(patient, grid)
    place = stream(cohort, index, seed, SCANS + 10 * scan)
    ct_seed, mr_seed = scanner_seeds(place)
    if cohort == "cmedl_private_mr_cohort":
        image, noise = chest_mr(patient, anatomy, mr_seed)
        sigma = float("nan")
    else:
        ct, sigma = chest_ct(patient, anatomy, ct_seed)
        image, noise = ct.hu, float("nan")
    where = np.random.default_rng(np.random.SeedSequence(place.entropy, spawn_key=(
        *place.spawn_key, 9)))  # fmt: skip
    world_mm = np.round(where.normal(0.0, (8.0, 25.0, 120.0)), 1)
    affine = grid.affine
    # LPS → RAS turns the signs of x and y
    affine[:3, 3] += np.array([-1.0, -1.0, 1.0]) * world_mm
    label = label_of(anatomy)
    truth = truth_row(case, name, scan, patient, anatomy, affine, label, sigma, noise)
    return ChestScan(image, label, anatomy, affine, truth)
