"""A virtual chest with a lung tumour: the patient's anatomy on an axial grid around it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from medkd_lib.phantom.anatomy import Anatomy, FloatArray, Grid, Layer
from medkd_lib.phantom.chest_belly import under_the_diaphragm
from medkd_lib.phantom.chest_mediastinum import (
    airways,
    great_vessels,
    gullet_and_nodes,
    heart,
    heart_fat,
)
from medkd_lib.phantom.chest_patient import ChestPatient, sample_chest
from medkd_lib.phantom.chest_tissue import TUMOUR
from medkd_lib.phantom.chest_tumour_layers import collapse_layer, cover, tumour_layer
from medkd_lib.phantom.chest_wall import fat_planes, outer_wall, spinal_canal, sternum, table
from medkd_lib.phantom.thorax_bones import clavicles, ribs, scapulae, spine
from medkd_lib.phantom.thorax_frame import ThoraxFrame, build_frame
from medkd_lib.phantom.thorax_organs import clip_to, lungs, vessel_tree
from medkd_lib.phantom.tubes import tube_layer

__all__ = ["ChestAnatomy", "ChestPatient", "sample_chest", "voxelise_chest"]


@dataclass(frozen=True)
class ChestAnatomy(Anatomy):
    """Anatomy of a chest with what only it knows.

    Attributes:
        frame: of the body, moved to the grid's middle.
        native_lung: (I, J, K) share of lung before tumour, collapse and vessels.
        middle: (I, J, K) the mediastinum: what lies between the lungs, with heart and vessels, as
            it was before the tumour.
    """

    frame: ThoraxFrame
    native_lung: FloatArray
    middle: NDArray[np.bool_]

    def on_table(self) -> ChestAnatomy:
        """Return the same chest with the CT's table below it."""
        return replace(self, layers=(table(self.frame), *self.layers))

    def organs(self) -> dict[str, NDArray[np.bool_]]:
        """Masks that radiotherapy draws: both aerated lungs with their vessels, and the heart."""
        x, _, _ = self.grid.coordinates()
        aerated = self.fraction("lung") + self.fraction("blood") * ~self.middle
        airy = (aerated >= 0.5) & (self.native_lung > 0.5) & (self.tumour < 0.5)
        chambers = ("heart", "left atrium", "right atrium", "right ventricle", "left ventricle")
        heart = cover([self.layer(name) for name in chambers], self.grid) >= 0.5
        return {"Lung-Left": airy & (x > 0.0), "Lung-Right": airy & (x < 0.0), "Heart": heart}

    @cached_property
    def tumour(self) -> FloatArray:
        """Share of the tumour in each voxel."""
        return self.fraction(TUMOUR)


def voxelise_chest(patient: ChestPatient, grid: Grid) -> ChestAnatomy:
    """Lay a patient's anatomy on a grid of :meth:`ChestPatient.grid`.

    Order of painting: wall, fat between the organs, lungs and their vessels, collapsed lung,
    tumour; above them, and untouched by the tumour, heart, vessels, gullet, nodes, airways, belly,
    bones.

    Args:
        patient: the attributes.
        grid: its z is 0 at the height of the tumour's centre.
    """
    x, y, height = patient.tumour.centre_mm
    apex, (right, left) = patient.body.apex_mm, patient.body.dome_mm
    # the grid's middle lies at the tumour's height: the body is moved, not the grid
    body = replace(
        patient.body, apex_mm=apex - height, dome_mm=(right - height, left - height), findings=()
    )
    frame = build_frame(body, grid)
    wall = [*outer_wall(frame), *fat_planes(frame), _filling(frame, patient.fat_share)]
    lung_layers, _ = lungs(frame)
    lung = np.zeros(grid.shape, np.float32)
    for layer in lung_layers:
        lung[layer.box] = np.maximum(lung[layer.box], layer.membership)
    fine = _lung_vessels(frame, lung_layers)
    organs = [*heart(frame), *great_vessels(frame), *gullet_and_nodes(frame, patient.node_seed)]
    bones = [*spine(frame), *spinal_canal(frame), *ribs(frame), *sternum(frame),
             *scapulae(frame), *clavicles(frame)]  # fmt: skip
    above = [*organs, *under_the_diaphragm(frame), *bones, *airways(frame)]
    hidden = cover(above, grid)
    centre = (x, y, 0.0)
    # neither tumour nor collapse reaches over into the other lung
    sign = 1.0 if patient.tumour.side == "left" else -1.0
    own = lung * (sign * grid.coordinates()[0] > 0.0)
    grown = [tumour_layer(patient.tumour, centre, own, hidden, grid)]
    if patient.collapse is not None:
        radius = patient.tumour.radius_mm
        grown.insert(0, collapse_layer(patient.collapse, radius, centre, own, grid))
    fat = heart_fat(frame)
    layers = [*wall, *lung_layers, *fine, fat, *grown, *above]
    middle = _middle(frame, lung, [*organs, *airways(frame)])
    return ChestAnatomy(grid, tuple(layers), frame, lung, middle)


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
