"""Everything of a chest but what grew in it: coats of paint below a lesion, and those above."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from medkd_lib.phantom.anatomy import FloatArray, Grid, Layer
from medkd_lib.phantom.chest_belly import under_the_diaphragm
from medkd_lib.phantom.chest_mediastinum import (
    airways,
    great_vessels,
    gullet_and_nodes,
    heart,
    heart_fat,
)
from medkd_lib.phantom.chest_tumour_layers import cover
from medkd_lib.phantom.chest_wall import fat_planes, outer_wall, spinal_canal, sternum
from medkd_lib.phantom.thorax_bones import clavicles, ribs, scapulae, spine
from medkd_lib.phantom.thorax_frame import ThoraxFrame, build_frame
from medkd_lib.phantom.thorax_organs import clip_to, lungs, vessel_tree
from medkd_lib.phantom.thorax_patient import ThoraxPatient
from medkd_lib.phantom.tubes import tube_layer


@dataclass(frozen=True, eq=False)
class ChestParts:
    """The layers of a chest in the order of painting, cut where lesions come in.

    Attributes:
        frame: of the body.
        below: wall, fat between the organs, lungs and their vessels.
        organs: heart, great vessels, gullet, nodes, and what lies under the diaphragm.
        hard: bones and airways, the last coats.
        lung: (I, J, K) share of both lungs before anything lies over them.
        middle: (I, J, K) what lies between the lungs, with heart and vessels.
    """

    frame: ThoraxFrame
    below: tuple[Layer, ...]
    organs: tuple[Layer, ...]
    hard: tuple[Layer, ...]
    lung: FloatArray
    middle: NDArray[np.bool_]

    @property
    def above(self) -> list[Layer]:
        """Whatever is painted after the lungs."""
        return [*self.organs, *self.hard]


def lifted(body: ThoraxPatient, by_mm: float) -> ThoraxPatient:
    """Return the body moved towards its head, findings of films left out."""
    right, left = body.dome_mm
    return replace(
        body, apex_mm=body.apex_mm + by_mm, dome_mm=(right + by_mm, left + by_mm), findings=()
    )


def chest_parts(body: ThoraxPatient, fat_share: float, node_seed: int, grid: Grid) -> ChestParts:
    """Lay a body on a grid.

    Args:
        body: where it lies in the grid's frame.
        fat_share: of fat in what fills the mediastinum between the organs.
        node_seed: of the lymph nodes.
        grid: where.
    """
    frame = build_frame(body, grid)
    wall = [*outer_wall(frame), *fat_planes(frame), _filling(frame, fat_share)]
    lung_layers, _ = lungs(frame)
    lung = np.zeros(grid.shape, np.float32)
    for layer in lung_layers:
        lung[layer.box] = np.maximum(lung[layer.box], layer.membership)
    fine = _lung_vessels(frame, lung_layers)
    organs = [*heart(frame), *great_vessels(frame), *gullet_and_nodes(frame, node_seed)]
    bones = [*spine(frame), *spinal_canal(frame), *ribs(frame), *sternum(frame),
             *scapulae(frame), *clavicles(frame)]  # fmt: skip
    tubes = airways(frame)
    return ChestParts(
        frame,
        (*wall, *lung_layers, *fine, heart_fat(frame)),
        (*organs, *under_the_diaphragm(frame)),
        (*bones, *tubes),
        lung,
        _middle(frame, lung, [*organs, *tubes]),
    )


def _filling(frame: ThoraxFrame, fat_share: float) -> Layer:
    """Fat in the cage wherever nothing else is, thinned with fine vessels and fibres."""
    patient, grid = frame.patient, frame.grid
    half_width, half_depth, _ = patient.cage_mm
    high = grid.shape[2] * grid.spacing_mm[2]
    box = grid.box((-0.62 * half_width, -half_depth, -high), (0.62 * half_width, half_depth, high))
    i, j, k = box
    depth = frame.cage.profile[:, :, k] - frame.cage.rho[i, j]
    depth *= frame.cage.mm_per_rho[i, j] / frame.cage.voxel_mm[i, j]
    member = np.clip(depth + 0.5, 0.0, 1.0) * np.float32(fat_share)
    return Layer("mediastinal fat", "adipose", box, member)


def _lung_vessels(frame: ThoraxFrame, lung_layers: list[Layer]) -> list[Layer]:
    """Draw both vessel trees, grains as fine as the voxels."""
    grid = frame.grid
    grain = min(1.6, 0.8 * min(grid.spacing_mm))
    layers = []
    for lung, side in zip(lung_layers, ("right", "left"), strict=True):
        tree = tube_layer(f"vessels {side}", "blood", vessel_tree(frame, side), grid, grain)
        layers.append(clip_to(tree, lung, grid))
    return layers


def _middle(frame: ThoraxFrame, lung: FloatArray, organs: list[Layer]) -> NDArray[np.bool_]:
    """Mark what lies between the lungs above the diaphragm, and its organs wherever they lie."""
    grid = frame.grid
    x, _, z = grid.coordinates()
    between = (frame.cage.depth_mm() > 0.0) & (lung < 0.5) & (z > frame.diaphragm_mm)
    between &= np.abs(x) < 0.62 * frame.patient.cage_mm[0]
    return np.asarray(between | (cover(organs, grid) >= 0.5))
