"""A virtual chest with a lung tumour: the patient's anatomy on an axial grid around it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from medkd_lib.phantom.anatomy import Anatomy, FloatArray, Grid
from medkd_lib.phantom.chest_parts import chest_parts, lifted
from medkd_lib.phantom.chest_patient import ChestPatient, sample_chest
from medkd_lib.phantom.chest_tissue import TUMOUR
from medkd_lib.phantom.chest_tumour_layers import collapse_layer, cover, tumour_layer
from medkd_lib.phantom.chest_wall import table
from medkd_lib.phantom.thorax_frame import ThoraxFrame

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
    # the grid's middle lies at the tumour's height: the body is moved, not the grid
    parts = chest_parts(lifted(patient.body, -height), patient.fat_share, patient.node_seed, grid)
    hidden = cover(parts.above, grid)
    centre = (x, y, 0.0)
    # neither tumour nor collapse reaches over into the other lung
    sign = 1.0 if patient.tumour.side == "left" else -1.0
    own = parts.lung * (sign * grid.coordinates()[0] > 0.0)
    grown = [tumour_layer(patient.tumour, centre, own, hidden, grid)]
    if patient.collapse is not None:
        radius = patient.tumour.radius_mm
        grown.insert(0, collapse_layer(patient.collapse, radius, centre, own, grid))
    layers = (*parts.below, *grown, *parts.above)
    return ChestAnatomy(grid, layers, parts.frame, parts.lung, parts.middle)
