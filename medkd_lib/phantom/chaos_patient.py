"""One virtual patient of the ``chaos`` twin in memory: a CT of one, or both MR sequences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from medkd_lib.phantom.abdomen import voxelise_abdomen
from medkd_lib.phantom.abdomen_patient import AbdomenPatient, Millimetres, sample_abdomen
from medkd_lib.phantom.abdomen_scan import (
    STRENGTH,
    Difficulty,
    Strength,
    mr_values,
    scan_portal_ct,
    scan_t1_dual,
    scan_t2_spir,
)
from medkd_lib.phantom.anatomy import FloatArray
from medkd_lib.phantom.chaos_grids import Size, breath_mm, ct_grid, moved, mr_grids
from medkd_lib.phantom.thigh_grid import PlacedGrid

Modality = Literal["CT", "MR"]
Image = Literal["ct", "t1_in", "t1_out", "t2"]


@dataclass(frozen=True)
class ChaosPatient:
    """Everything about one patient before it becomes files.

    Attributes:
        person: the anatomy's attributes.
        images: (I, J, K) float32 per image.
        organs: (I, J, K) uint8 label map of the grid that each mask is drawn on (``ct``, ``t1``,
            ``t2``), values 0–4 of :data:`medkd_lib.phantom.abdomen.ORGANS`.
        affines: voxel → RAS+ millimetres of the same.
        moved_mm: how far the body had moved for the T2 (0 for CT).
        sigma_hu: noise of the CT (0 for MR).
    """

    person: AbdomenPatient
    images: dict[Image, FloatArray]
    organs: dict[str, NDArray[np.uint8]]
    affines: dict[str, NDArray[np.float64]]
    moved_mm: Millimetres
    sigma_hu: float


def make_patient(
    modality: Modality,
    index: int,
    *,
    seed: int,
    difficulty: Difficulty,
    size: Size,
    strength: Strength | None = None,
) -> ChaosPatient:
    """Draw and scan patient ``index`` (from 0) of one modality.

    CT and MR of one index are different people, as in the real set. Four streams of the patient's
    own seed make body, protocol, relaxation times and noise: a change in one leaves the others
    alone, and every difficulty shows the same bodies.

    Args:
        modality: ``"CT"`` or ``"MR"``.
        index: of the patient among those of the modality.
        seed: of the whole set.
        difficulty: one of :data:`medkd_lib.phantom.abdomen_scan.STRENGTH`; CT has only one.
        size: ``"small"`` or ``"full"``.
        strength: numbers of your own instead of those of ``difficulty``.
    """
    sequence = np.random.SeedSequence(seed, spawn_key=(int(modality == "MR"), index))
    body, protocol, tissue, noise = (np.random.default_rng(s) for s in sequence.spawn(4))
    person = sample_abdomen(body, donor=modality == "CT")
    # where the patient's frame lies in the scanner's, LPS
    world = np.array([*protocol.normal(0.0, 8.0, 2), float(protocol.uniform(-400.0, 400.0))])
    if modality == "CT":
        return _ct(person, world, size, protocol, noise)
    return _mr(person, world, size, strength or STRENGTH[difficulty], protocol, tissue, noise)


def _ct(
    person: AbdomenPatient,
    world: NDArray[np.float64],
    size: Size,
    protocol: np.random.Generator,
    noise: np.random.Generator,
) -> ChaosPatient:
    grid = ct_grid(person, size, protocol)
    # §2.5 R: 12.3 ± 1.1 HU in the liver at 5 mm; thinner slices are noisier
    sigma = (
        float(np.clip(protocol.normal(12.3, 1.5), 8.0, 17.0)) * (5.0 / grid.spacing_mm[2]) ** 0.5
    )
    anatomy = voxelise_abdomen(person, grid)
    hu = scan_portal_ct(anatomy, person, sigma, noise)
    return ChaosPatient(
        person, {"ct": hu}, {"ct": anatomy.organs}, {"ct": _affine(grid, world)}, (0.0, 0.0, 0.0),
        sigma,
    )  # fmt: skip


def _mr(
    person: AbdomenPatient,
    world: NDArray[np.float64],
    size: Size,
    strength: Strength,
    protocol: np.random.Generator,
    tissue: np.random.Generator,
    noise: np.random.Generator,
) -> ChaosPatient:
    first, second = mr_grids(person, size, protocol)
    by = breath_mm(protocol)
    values = mr_values(person, tissue, strength)
    dual_noise, spir_noise = noise.spawn(2)
    t1_anatomy = voxelise_abdomen(person, first)
    t1_in, t1_out = scan_t1_dual(t1_anatomy, values, strength, dual_noise)
    # the body moved, the scanner's frame did not: the grid sees the body at −by
    t2_anatomy = voxelise_abdomen(person, moved(second, (-by[0], -by[1], -by[2])))
    t2 = scan_t2_spir(t2_anatomy, values, strength, spir_noise)
    return ChaosPatient(
        person,
        {"t1_in": t1_in, "t1_out": t1_out, "t2": t2},
        {"t1": t1_anatomy.organs, "t2": t2_anatomy.organs},
        {"t1": _affine(first, world), "t2": _affine(second, world)},
        by,
        0.0,
    )


def _affine(grid: PlacedGrid, world: NDArray[np.float64]) -> NDArray[np.float64]:
    affine = grid.affine
    # LPS → RAS turns the signs of x and y
    affine[:3, 3] += np.array([-1.0, -1.0, 1.0]) * np.round(world, 2)
    return affine
