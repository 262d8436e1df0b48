"""A virtual thigh: the patient's anatomy as soft layers on any grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medkd_lib.phantom.anatomy import Anatomy, Box, FloatArray, Layer, soft
from medkd_lib.phantom.thigh_bone import femur_depth, femur_layers
from medkd_lib.phantom.thigh_cords import cords, table_layer, veins
from medkd_lib.phantom.thigh_frame import ThighFrame, build_frame, tumour_axes
from medkd_lib.phantom.thigh_grid import PlacedGrid
from medkd_lib.phantom.thigh_muscles import muscles
from medkd_lib.phantom.thigh_patient import ThighPatient, sample_thigh

__all__ = ["ThighAnatomy", "ThighPatient", "sample_thigh", "tumour_membership", "voxelise_thigh"]

SKIN_MM, FASCIA_MM = 1.4, 0.8
"""Thickness of skin and deep fascia (D)."""


@dataclass(frozen=True)
class ThighAnatomy(Anatomy):
    """Anatomy of a thigh with what the scanners and the files need besides tissues.

    Attributes:
        tumour: (I, J, K) share of the voxel inside the tumour, also when it is invisible.
        hunger: (I, J, K) uptake relative to the hungriest part, 1 outside the tumour.
    """

    tumour: FloatArray
    hunger: FloatArray

    @property
    def mask(self) -> np.ndarray:
        """(I, J, K) uint8, 1 where the tumour takes half of the voxel or more."""
        return (self.tumour >= 0.5).astype(np.uint8)


def tumour_membership(patient: ThighPatient, grid: PlacedGrid) -> tuple[Box, FloatArray]:
    r"""Share of each voxel inside the tumour, in the box around it.

    .. math:: m = \mathrm{clip}\Big(\frac{1 - \tilde\rho}{\sum_a |\Delta_a \tilde\rho|}
              + \tfrac12,\ 0,\ 1\Big)

    with the change :math:`\Delta_a` of ρ̃ over one voxel along axis a; cut where bone or skin is.
    """
    tumour = patient.tumour
    reach = tumour.shape.reach_mm + 2.0 * np.array(grid.spacing_mm)
    centre = np.array(tumour.centre_mm)
    box = grid.box(tuple(centre - reach), tuple(centre + reach))
    if min(b.stop - b.start for b in box) < 2:
        return box, np.zeros([b.stop - b.start for b in box], np.float32)
    rho = tumour.shape.rho(tumour_axes(patient, grid, box))
    steps = sum(np.abs(step) for step in np.gradient(rho))
    member = np.clip((1.0 - rho) / np.maximum(steps, 1e-6) + 0.5, 0.0, 1.0)
    pixel = grid.spacing_mm[0]
    frame = build_frame(patient, grid, box)
    member *= soft((frame.skin_depth - np.float32(SKIN_MM)) / np.float32(pixel))
    # a millimetre of soft tissue stays between tumour and bone
    member *= soft(-(femur_depth(patient, grid, box) + 1.0) / np.float32(pixel))
    return box, member.astype(np.float32)


def voxelise_thigh(patient: ThighPatient, grid: PlacedGrid, *, table: bool = False) -> ThighAnatomy:
    """Lay a patient's anatomy on a grid.

    Order of painting: skin, fat, fascia, muscles, fat within them, vessels and nerve, superficial
    veins, tumour with its necrosis or fat, bone.

    Args:
        patient: the attributes.
        grid: any grid; the same patient is the same object on all of them.
        table: draw the top of the scanner's table below the legs (tissue ``"table"``, to be given
            a value by the caller).
    """
    frame = build_frame(patient, grid)
    everything, pixel = grid.everything, frame.pixel_mm
    muscle, marbling = muscles(frame)
    layers = [
        Layer("skin", "skin", everything, soft(frame.skin_depth / pixel)),
        Layer("fat", "adipose", everything, soft((frame.skin_depth - SKIN_MM) / pixel)),
        Layer("fascia", "muscle", everything, _sheet(frame)),
        Layer("muscles", "muscle", everything, muscle),
        Layer("marbling", "adipose", everything, marbling * muscle),
        *cords(frame),
        *veins(frame),
    ]
    box, member = tumour_membership(patient, grid)
    whole = np.zeros(grid.shape, np.float32)
    whole[box] = member
    hunger = np.ones(grid.shape, np.float32)
    if patient.tumour.visible and member.size:
        inside, shades = _tumour_layers(patient, grid, box, member)
        layers += inside
        hunger[box] = np.where(member > 0.0, shades, 1.0)
    layers += femur_layers(patient, grid)
    if table:
        layers.append(table_layer(patient, grid))
    return ThighAnatomy(grid, tuple(layers), whole, hunger)


def _sheet(frame: ThighFrame) -> FloatArray:
    """Deep fascia: share of a thin sheet in each voxel, exact for a flat one."""
    pixel = frame.pixel_mm
    outer = soft((frame.fascia_depth + FASCIA_MM) / pixel)
    outer -= soft(frame.fascia_depth / pixel)
    outer *= soft((frame.skin_depth - SKIN_MM) / pixel)
    return outer


def _tumour_layers(
    patient: ThighPatient, grid: PlacedGrid, box: Box, member: FloatArray
) -> tuple[list[Layer], FloatArray]:
    """Viable tumour, then what is dead or fat in it; and the uptake of the viable part."""
    shape = patient.tumour.shape
    axes = tumour_axes(patient, grid, box)
    rho = shape.rho(axes)
    layers = [Layer("tumour", patient.tumour.tissue, box, member)]
    if np.isfinite(shape.core_level):
        dead = shape.necrosis(axes, rho) * member
        layers.append(Layer("necrosis", "sarcoma_necrosis", box, dead))
    if np.isfinite(shape.strand_level):
        layers.append(Layer("tumour fat", "adipose", box, shape.strands(axes) * member))
    return layers, shape.hunger(axes, rho)
