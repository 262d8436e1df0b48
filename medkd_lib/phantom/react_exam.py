"""One exam of the ``react_kd_private_cohort`` twin in memory: CT and two PETs of one morning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from medkd_lib.phantom.abdomen_grid import body_grid
from medkd_lib.phantom.anatomy import FloatArray
from medkd_lib.phantom.ct import CTSettings
from medkd_lib.phantom.hcc_anatomy import HccAnatomy, hcc_layers, voxelise_hcc
from medkd_lib.phantom.hcc_grade import Difficulty
from medkd_lib.phantom.hcc_patient import SCANS, HccPatient, hcc_patient, stream
from medkd_lib.phantom.hcc_scan import hcc_ct, hcc_pet
from medkd_lib.phantom.pet import PETSettings
from medkd_lib.phantom.thigh_grid import PlacedGrid
from medkd_lib.phantom.tissue_pet import Tracer

Size = Literal["small", "full"]
COHORT: Literal["react_kd_private_cohort"] = "react_kd_private_cohort"

FIELD_MM = 448.0
"""Edge of the CT's square slices: the widest virtual body fits (D)."""

CT_MATRIX: Mapping[Size, int] = MappingProxyType({"small": 112, "full": 256})
"""Pixels along an edge; the real CT has 512 × 512 × 148 voxels, which would show nothing more of
smooth virtual organs."""

SLICE_MM: Mapping[Size, float] = MappingProxyType({"small": 5.0, "full": 3.27})
PET_MATRIX, PET_PIXEL_MM = 112, 4.07
"""In-plane voxel of clinical PET/CT (§3.5 R); slices are those of the CT."""

PET: Mapping[Tracer, PETSettings] = MappingProxyType(
    {"fdg": PETSettings(tracer="fdg"), "acetate": PETSettings(liver_noise=0.14, tracer="acetate")}
)
"""FDG as in §3.5; acetate noisier at the same uptake, for its counts decay fast (D)."""

START = datetime(2016, 3, 1, 8, 30)


@dataclass(frozen=True)
class Injection:
    """What a PET header says of the tracer.

    Attributes:
        activity_bq: injected.
        at: time of the injection.
        scan: start of the scan.
    """

    activity_bq: float
    at: datetime
    scan: datetime


@dataclass(frozen=True)
class Exam:
    """One exam before it becomes files.

    Attributes:
        patient: who.
        ct: (I, J, K) unenhanced CT in HU.
        anatomy: on the CT's grid, with its map of regions.
        pet: SUV by tracer, one grid for both.
        ct_affine, pet_affine: voxel → RAS+ millimetres, one frame for all.
        injections: by tracer; acetate is scanned first.
        sigma_hu: noise of the CT.
        study_seed: of the exam's DICOM identifiers.
    """

    patient: HccPatient
    ct: FloatArray
    anatomy: HccAnatomy
    pet: Mapping[Tracer, FloatArray]
    ct_affine: NDArray[np.float64]
    pet_affine: NDArray[np.float64]
    injections: Mapping[Tracer, Injection]
    sigma_hu: float
    study_seed: int


def make_exam(index: int, *, seed: int, difficulty: Difficulty, size: Size, exam: int = 0) -> Exam:
    """Draw and scan patient ``index`` (from 0); every difficulty shows the same bodies and noise.

    Args:
        index: of the patient.
        seed: of the whole set.
        difficulty: see :data:`medkd_lib.phantom.hcc_grade.STRENGTH`.
        size: ``"small"`` or ``"full"``.
        exam: from 0; the second one is a year later.
    """
    patient = hcc_patient(COHORT, index, seed=seed, difficulty=difficulty, exam=exam)
    sequence = stream(COHORT, index, seed, SCANS + exam)
    protocol, ct_noise, pet_noise, identity = (np.random.default_rng(s) for s in sequence.spawn(4))
    slice_mm = SLICE_MM[size]
    matrix = CT_MATRIX[size]
    grid = body_grid(patient.person, matrix, FIELD_MM / matrix, slice_mm, protocol)
    x, y = (c - (PET_MATRIX - 1) / 2.0 * PET_PIXEL_MM for c in _middle(grid))
    hot = PlacedGrid(
        (PET_MATRIX, PET_MATRIX, grid.shape[2]),
        (PET_PIXEL_MM, PET_PIXEL_MM, slice_mm),
        (round(x, 3), round(y, 3), grid.first_mm[2]),
    )
    # §2.5 R: 12.3 ± 1.1 HU in an unenhanced liver at 5 mm; the CT of a PET/CT has less dose (D)
    sigma = float(np.clip(protocol.normal(16.0, 2.0), 11.0, 22.0)) * (5.0 / slice_mm) ** 0.5
    anatomy = voxelise_hcc(patient, grid)
    settings = CTSettings(sigma_hu=sigma, kernel="soft", texture_hu=3.0)
    ct = hcc_ct(patient, anatomy, "unenhanced", settings, ct_noise)
    on_pet = hcc_layers(patient, hot)
    pet = {tracer: hcc_pet(patient, on_pet, PET[tracer], pet_noise) for tracer in PET}
    world = np.round([*protocol.normal(0.0, 8.0, 2), protocol.uniform(-900.0, -500.0)], 2)
    injections = _injections(patient, START + timedelta(days=7 * index + 365 * exam), protocol)
    return Exam(
        patient, ct, anatomy, pet, _affine(grid, world), _affine(hot, world), injections, sigma,
        int(identity.integers(2**31)),
    )  # fmt: skip


def _middle(grid: PlacedGrid) -> tuple[float, float]:
    middle = (np.array(grid.first_mm) + grid.last_mm) / 2.0
    return float(middle[0]), float(middle[1])


def _injections(
    patient: HccPatient, start: datetime, rng: np.random.Generator
) -> dict[Tracer, Injection]:
    """Acetate about 20 min, FDG about 60 min before its scan (§3.1), in whole seconds.

    Acetate 720 MBq (§3.1 R), FDG 4.5 MBq per kilogram (D), both ± 8 %.
    """
    minutes = rng.normal((20.0, 62.0), (2.0, 6.0))
    waits = np.clip(minutes, (12.0, 48.0), (28.0, 85.0))
    doses = np.array([720e6, 4.5e6 * patient.weight_kg]) * rng.normal(1.0, 0.08, 2).clip(0.8, 1.2)
    # the second tracer waits until the first has decayed: five half-lives are 100 min
    first = start + timedelta(seconds=int(rng.integers(1800)))
    second = first + timedelta(minutes=100, seconds=int(rng.integers(1800)))
    order: tuple[Tracer, ...] = ("acetate", "fdg")
    return {
        tracer: Injection(float(np.rint(dose)), at, at + timedelta(seconds=int(60.0 * wait)))
        for tracer, dose, at, wait in zip(order, doses, (first, second), waits, strict=True)
    }


def _affine(grid: PlacedGrid, world: NDArray[np.float64]) -> NDArray[np.float64]:
    affine = grid.affine
    # LPS → RAS turns the signs of x and y
    affine[:3, 3] += np.array([-1.0, -1.0, 1.0]) * world
    return affine
