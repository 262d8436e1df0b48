"""One patient of the liver or of the kidney set before it becomes files; and what only we know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from medkd_lib.phantom.abdomen import AbdomenAnatomy
from medkd_lib.phantom.abdomen_grid import fitted_grid, world_affine
from medkd_lib.phantom.abdomen_lesion import Kind, Lesion, lay_lesions, scan_lesions
from medkd_lib.phantom.abdomen_patient import AbdomenPatient
from medkd_lib.phantom.abdomen_protocol import MATRIX, Cohort, Protocol, Size, sample_protocol
from medkd_lib.phantom.abdomen_scan import Difficulty
from medkd_lib.phantom.anatomy import FloatArray
from medkd_lib.phantom.thigh_grid import PlacedGrid

KEYS: Mapping[Cohort, int] = MappingProxyType({"msd_task03_liver": 31, "kits23": 32})
"""Key of each set in the random streams: they never share a patient, whatever their seeds."""

BODY, LOOKS, SCAN = 0, 1, 2

HEIGHT_MM = (-300.0, 300.0)
"""Where the patient lies along the table (D)."""


@dataclass(frozen=True)
class AbdomenCase:
    """One CT with its mask.

    Attributes:
        person: who.
        lesions: what this person has.
        protocol: how it was scanned.
        difficulty: what the lesions look like.
        hu: (I, J, K) float32, axes Left, Posterior, Superior.
        label: (I, J, K) uint8 of the set.
        lesion_number: (I, J, K) uint8, number of the lesion from 1.
        anatomy: the person without lesions, on the same voxels.
        affine: voxel → RAS+ millimetres.
    """

    person: AbdomenPatient
    lesions: tuple[Lesion, ...]
    protocol: Protocol
    difficulty: Difficulty
    hu: FloatArray
    label: NDArray[np.uint8]
    lesion_number: NDArray[np.uint8]
    anatomy: AbdomenAnatomy
    affine: NDArray[np.float64]

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel."""
        return self.anatomy.grid.voxel_ml


def stream(cohort: Cohort, index: int, seed: int, kind: int) -> np.random.SeedSequence:
    """Seed of one purpose of one patient."""
    return np.random.SeedSequence(seed, spawn_key=(KEYS[cohort], index, kind))


def place_in_scanner(
    cohort: Cohort, index: int, seed: int, size: Size, person: AbdomenPatient
) -> tuple[Protocol, PlacedGrid, np.random.Generator, np.random.Generator]:
    """Draw how a patient of a set is scanned.

    Args:
        cohort: which set.
        index: of the patient.
        seed: of the set.
        size: of the voxels.
        person: whose body the slices surround.

    Returns:
        Protocol and grid; sources of the noise, and of the patient's place in the scanner's frame.
    """
    how, noise, place = (
        np.random.default_rng(s) for s in stream(cohort, index, seed, SCAN).spawn(3)
    )
    protocol = sample_protocol(cohort, size, how)
    grid = fitted_grid(person, MATRIX[size], protocol.slice_mm, how)
    return protocol, grid, noise, place


def scan_case(
    anatomy: AbdomenAnatomy,
    person: AbdomenPatient,
    lesions: Sequence[Lesion],
    protocol: Protocol,
    difficulty: Difficulty,
    *,
    organs: tuple[int, ...],
    room: FloatArray,
    ids: Mapping[Kind, int],
    noise: np.random.Generator,
    place: np.random.Generator,
) -> AbdomenCase:
    """Lay the lesions over a person, scan both, and draw the mask.

    At the difficulty ``none`` lesions consist of the tissues that lie in their place: the image is
    that of the person without them, so that nothing in it knows where they are.

    Args:
        anatomy: the person on a :class:`~medkd_lib.phantom.thigh_grid.PlacedGrid`, without lesions.
        person: the same, for the tissues' values.
        lesions: whose.
        protocol: of the scan.
        difficulty: whether the image shows the lesions.
        organs: labels of :data:`medkd_lib.phantom.abdomen.ORGANS` that become 1.
        room: (I, J, K) share of the voxel that a lesion may take.
        ids: label of each kind.
        noise: source of the image's noise.
        place: source of the patient's place in the scanner's frame.

    Raises:
        TypeError: the anatomy lies on a grid without a place.
    """
    grid = anatomy.grid
    if not isinstance(grid, PlacedGrid):
        raise TypeError(
            f"anatomy: expected one on a PlacedGrid, found {type(grid).__name__}; "
            "build the grid with abdomen_grid.fitted_grid"
        )
    layers = lay_lesions(anatomy, lesions, room)
    label = np.isin(anatomy.organs, organs).astype(np.uint8)
    number = np.zeros(grid.shape, np.uint8)
    for n, (lesion, layer) in enumerate(zip(lesions, layers, strict=True), start=1):
        inside = layer.membership >= 0.5
        label[layer.box][inside] = ids[lesion.kind]
        number[layer.box][inside] = n
    shown = (lesions, layers) if difficulty != "none" else ((), ())
    hu = scan_lesions(anatomy, person, *shown, protocol, noise)
    return AbdomenCase(
        person, tuple(lesions), protocol, difficulty, hu, label, number, anatomy,
        world_affine(grid, place, HEIGHT_MM),
    )  # fmt: skip
