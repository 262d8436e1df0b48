"""Where in a chest a lesion of each kind may show, and how much of one at a place would."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from medkd_lib.phantom.anatomy import FloatArray, Grid
from medkd_lib.phantom.chest_parts import ChestParts, chest_parts, lifted
from medkd_lib.phantom.chest_tumour_layers import cover
from medkd_lib.phantom.lobulated_mass import LobulatedMass
from medkd_lib.phantom.nodule_settings import Kind
from medkd_lib.phantom.thigh_grid import PlacedGrid
from medkd_lib.phantom.thorax_patient import ThoraxPatient

LATTICE_MM = 3.0
"""Edge of the cells on which a place is judged."""


def rooms(parts: ChestParts, grid: Grid) -> Mapping[Kind, FloatArray]:
    """Return per kind the (I, J, K) share of each voxel that a lesion could take.

    One of the lung takes lung that nothing lies over; an enlarged node displaces vessels and
    bulges into the lungs, but not into bone or airway; one of the liver stays inside it.
    """
    hard = 1.0 - cover(list(parts.hard), grid)
    liver = np.zeros(grid.shape, np.float32)
    for layer in parts.organs:
        if layer.name == "liver":
            liver[layer.box] = layer.membership
    seen = 1.0 - cover(parts.above, grid)
    return {"lung": parts.lung * seen, "mediastinum": hard, "liver": liver * hard}


def shown_share(body: ThoraxPatient, node_seed: int, kind: Kind, mass: LobulatedMass) -> float:
    """Return which share of a mass's volume would show at its place, 0 to 1.

    Args:
        body: the chest, nothing in it moved.
        node_seed: of its ordinary lymph nodes.
        kind: where the lesion grows.
        mass: in the patient's frame.
    """
    x, y, z = mass.centre_mm
    count = int(np.ceil(2.0 * 1.5 * mass.radius_mm / LATTICE_MM)) + 2
    reach = 0.5 * (count - 1) * LATTICE_MM
    low = (x - reach, y - reach, z - reach)
    grid = PlacedGrid((count,) * 3, (LATTICE_MM,) * 3, low)
    box, member = mass.draw(grid)
    # fat between the organs hides nothing: its share is of no account
    room = rooms(chest_parts(lifted(body, 0.0), 1.0, node_seed, grid), grid)[kind]
    return float((member * room[box]).sum() / member.sum())
