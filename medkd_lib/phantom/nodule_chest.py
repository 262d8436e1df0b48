"""A patient's lesions painted into the chest: noise-free CT numbers and a share per lesion."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from medkd_lib.phantom.anatomy import Anatomy, Box, FloatArray, Grid, Layer
from medkd_lib.phantom.chest_parts import ChestParts, chest_parts, lifted
from medkd_lib.phantom.chest_shapes import Point, turned_ellipsoid
from medkd_lib.phantom.chest_tissue import CHEST_HU
from medkd_lib.phantom.chest_wall import table
from medkd_lib.phantom.lobulated_mass import LobulatedMass
from medkd_lib.phantom.nodule_patient import Lesion, NodulePatient
from medkd_lib.phantom.nodule_rooms import rooms
from medkd_lib.phantom.nodule_settings import IODINE_HU, IODINE_MG_ML, LESION_HU
from medkd_lib.phantom.tissue import hu_table


@dataclass(frozen=True, eq=False)
class NoduleChest:
    """A chest with lesions on a grid.

    Attributes:
        anatomy: all coats of paint, the CT's table included.
        parts: the chest without them.
        shares: per lesion the (I, J, K) share of each voxel that it takes, as if it were solid:
            the same at every difficulty.
        mimics: (I, J, K) bool, where a mimic takes half of the voxel or more.
    """

    anatomy: Anatomy
    parts: ChestParts
    shares: tuple[FloatArray, ...]
    mimics: NDArray[np.bool_]


def voxelise_nodules(patient: NodulePatient, grid: Grid, height_mm: float) -> NoduleChest:
    """Lay a patient on a grid whose z is 0 at a height.

    Lung lesions and mimics lie over the lung's vessels and under heart, great vessels, bones;
    mediastinal ones over vessels and lung and under the airways; those of the liver inside it.

    Args:
        patient: whom.
        grid: where.
        height_mm: in the patient's frame.
    """
    body = lifted(patient.body, -height_mm)
    parts = chest_parts(body, patient.fat_share, patient.node_seed, grid)
    room = rooms(parts, grid)
    in_lung: list[Layer] = []
    deep: list[Layer] = []
    shares: list[FloatArray] = []
    for number, lesion in enumerate(patient.lesions):
        share = np.zeros(grid.shape, np.float32)
        box, member = supersampled(_moved(lesion.mass, height_mm), grid)
        share[box] = member * room[lesion.kind][box]
        shares.append(share)
        # what hides a lesion of the lung is painted over it
        around = parts.lung if lesion.kind == "lung" else room[lesion.kind]
        layer = _layer(number, lesion, box, member * around[box])
        (in_lung if lesion.kind == "lung" else deep).append(layer)
    mimics = np.zeros(grid.shape, bool)
    for number, mimic in enumerate(patient.mimics):
        x, y, z = mimic.centre_mm
        shape = turned_ellipsoid(
            grid, f"mimic {number}", "mimic", (x, y, z - height_mm), mimic.semi_axes_mm, mimic.axis
        )
        inside = shape.membership * parts.lung[shape.box]
        mimics[shape.box] |= shape.membership * room["lung"][shape.box] >= 0.5
        in_lung.append(replace(shape, membership=inside * np.float32(mimic.visibility)))
    layers = (
        table(parts.frame), *parts.below, *in_lung, *parts.organs, *deep, *parts.hard,
    )  # fmt: skip
    return NoduleChest(Anatomy(grid, layers), parts, tuple(shares), mimics)


def supersampled(mass: LobulatedMass, grid: Grid) -> tuple[Box, FloatArray]:
    """Draw a mass at half of the voxel size along all axes and average: partial volume.

    Returns:
        A box of the grid and the share of each of its voxels, float32 from 0 to 1.
    """
    i, j, k = grid.shape
    a, b, c = grid.spacing_mm
    fine = Grid((2 * i, 2 * j, 2 * k), (a / 2, b / 2, c / 2))
    box, member = mass.draw(fine)
    # whole voxels of the coarse grid
    coarse = tuple(slice(s.start // 2, (s.stop + 1) // 2) for s in box)
    whole = np.zeros([2 * (s.stop - s.start) for s in coarse], np.float32)
    inside = tuple(
        slice(s.start - 2 * o.start, s.stop - 2 * o.start) for s, o in zip(box, coarse, strict=True)
    )
    whole[inside] = member
    shape = [n for s in coarse for n in (s.stop - s.start, 2)]
    return (coarse[0], coarse[1], coarse[2]), whole.reshape(shape).mean(axis=(1, 3, 5))


def hu_values(patient: NodulePatient, *, iodine: bool) -> dict[str, float]:
    """CT number of every tissue, with contrast medium or without."""
    values = {**hu_table(), **CHEST_HU, "lung": patient.body.lung_hu}
    values |= {_tissue(kind): hu for kind, hu in LESION_HU.items()}
    values["mimic"] = values["blood"]
    if iodine:
        for tissue, milligrams in IODINE_MG_ML.items():
            values[tissue] += IODINE_HU * milligrams
    return values


def contrast_hu(lesion: Lesion, values: dict[str, float]) -> float:
    r"""Return :math:`v\,(HU_l - HU_t)`, t being lung, fat or liver."""
    around = {"lung": "lung", "mediastinum": "adipose", "liver": "liver"}[lesion.kind]
    return lesion.visibility * (values[_tissue(lesion.kind)] - values[around])


def _tissue(kind: str) -> str:
    return f"{kind} lesion"


def _layer(number: int, lesion: Lesion, box: Box, member: FloatArray) -> Layer:
    visible = member * np.float32(lesion.visibility)
    return Layer(f"lesion {number}", _tissue(lesion.kind), box, visible)


def _moved(mass: LobulatedMass, height_mm: float) -> LobulatedMass:
    x, y, z = mass.centre_mm
    centre: Point = (x, y, z - height_mm)
    return replace(mass, centre_mm=centre)
