"""An abdomen with masses in its liver, and the map of regions that a graph is built on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from medkd_lib.phantom.abdomen import ORGANS, AbdomenAnatomy, abdomen_layers, voxelise_abdomen
from medkd_lib.phantom.anatomy import Anatomy, Grid, Layer
from medkd_lib.phantom.hcc_patient import HccPatient
from medkd_lib.phantom.liver_segments import SEGMENTS, liver_segments

REGIONS: Mapping[int, str] = MappingProxyType(
    {n: f"liver segment {name}" for n, name in enumerate(SEGMENTS, start=1)}
    | {9: "tumour", 10: "hepatic veins", 11: "portal vein", 12: "aorta", 13: "inferior vena cava",
       14: "spleen", 15: "right kidney", 16: "left kidney"}
)  # fmt: skip
"""Labels of the map; 0 is everything else. Masses share one label, their pieces do not touch."""

TUMOUR = 9
_ORGAN_LABEL = {"spleen": 14, "right kidney": 15, "left kidney": 16}
# painted in this order: the later one wins
_VESSELS = (
    (10, "hepatic veins"), (11, "portal branches"), (11, "portal vein"), (13, "vena cava"),
    (12, "aorta"),
)  # fmt: skip


@dataclass(frozen=True)
class HccLayers(Anatomy):
    """Tissues with masses, all that an image needs.

    Attributes:
        masses: layer of each mass, of the tissue ``mass_1`` and so on.
    """

    masses: tuple[Layer, ...]


@dataclass(frozen=True)
class HccAnatomy(AbdomenAnatomy):
    """Anatomy with masses.

    Attributes:
        regions: (I, J, K) uint8, labels of :data:`REGIONS`: what takes half of the voxel or more.
        masses: layer of each mass, of the tissue ``mass_1`` and so on.
        mass_number: (I, J, K) uint8, number of the mass from 1 in voxels of the label "tumour".
    """

    regions: NDArray[np.uint8]
    masses: tuple[Layer, ...]
    mass_number: NDArray[np.uint8]


def voxelise_hcc(patient: HccPatient, grid: Grid) -> HccAnatomy:
    """Lay a person with masses on a grid; masses end where the liver does."""
    base = voxelise_abdomen(patient.person, grid)
    masses = _masses(patient, base)
    number = np.zeros(grid.shape, np.uint8)
    for n, mass in enumerate(masses, start=1):
        number[mass.box][mass.membership >= 0.5] = n
    return HccAnatomy(
        grid,
        (*base.layers, *masses),
        base.organs,
        base.landmarks,
        _regions(base, grid, number > 0),
        masses,
        number,
    )


def hcc_layers(patient: HccPatient, grid: Grid) -> HccLayers:
    """Lay a person with masses on a grid that needs no labels."""
    base = abdomen_layers(patient.person, grid)
    masses = _masses(patient, base)
    return HccLayers(grid, (*base.layers, *masses), masses)


def _masses(patient: HccPatient, base: Anatomy) -> tuple[Layer, ...]:
    liver = base.fraction("liver", "liver_vein")
    masses = []
    for n, mass in enumerate(patient.masses, start=1):
        box, member = mass.draw(base.grid)
        masses.append(Layer(f"mass {n}", f"mass_{n}", box, member * liver[box]))
    return tuple(masses)


def _regions(base: AbdomenAnatomy, grid: Grid, tumour: NDArray[np.bool_]) -> NDArray[np.uint8]:
    regions = np.where(base.organs == 1, liver_segments(base.landmarks, grid), np.uint8(0))
    for organ, label in _ORGAN_LABEL.items():
        regions[base.organs == 1 + ORGANS.index(organ)] = label
    for label, name in _VESSELS:
        layer = base.layer(name)
        part = regions[layer.box]
        part[layer.membership >= 0.5] = label
    regions[tumour] = TUMOUR
    return regions
