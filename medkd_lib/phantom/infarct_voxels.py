"""An infarct on a grid: pieces of exact volume, and which share of a voxel's tissue has died."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from medkd_lib.phantom.anatomy import FloatArray, soft
from medkd_lib.phantom.brain import BrainAnatomy
from medkd_lib.phantom.brain_frame import frame_box, refine
from medkd_lib.phantom.brain_lesion_layers import volume_level
from medkd_lib.phantom.brain_shapes import Points
from medkd_lib.phantom.infarct import Piece, territory_depth
from medkd_lib.phantom.infarct_tissue import DEAD
from medkd_lib.phantom.mixture import fractions_of

WATERSHED_COST, MIDLINE_COST = 3.0, 6.0
"""Beyond the territory each millimetre counts as so many more (D)."""


def with_infarct(brain: BrainAnatomy, pieces: Sequence[Piece]) -> dict[str, FloatArray]:
    r"""Fractions of a brain in which the pieces have died; fluid and vessels stay.

    .. math:: f_{dead} = m f, \qquad f_{alive} = (1 - m) f

    Args:
        brain: alive.
        pieces: of the infarct; where they overlap, the larger m counts.

    Returns:
        fraction per tissue, air left out.
    """
    fractions = fractions_of(brain)
    tissue = sum(fractions[name] for name in DEAD)
    member = np.zeros(brain.grid.shape, np.float32)
    for piece in pieces:
        _add(piece, brain, np.asarray(tissue), member)
    for alive, dead in DEAD.items():
        fractions[dead] = member * fractions[alive]
        fractions[alive] = fractions[alive] - fractions[dead]
    return fractions


def dead_share(fractions: Mapping[str, FloatArray]) -> FloatArray:
    """Share of dead among all tissue of a voxel (fluid and air do not count), 0…1."""
    dead = np.sum([fractions[name] for name in DEAD.values()], axis=0, dtype=np.float32)
    tissue = dead + np.sum([fractions[name] for name in DEAD], axis=0, dtype=np.float32)
    share = np.divide(dead, tissue, out=np.zeros_like(dead), where=tissue > 0.25)
    return np.asarray(share, np.float32)


def _add(piece: Piece, brain: BrainAnatomy, tissue: FloatArray, member: FloatArray) -> None:
    """Paint one piece into the membership, with exactly its volume of tissue."""
    grid, patient = brain.grid, brain.patient
    ball = (3000.0 * piece.volume_ml / (4.0 * np.pi)) ** (1.0 / 3.0) / patient.mean_scale
    reach = 2.4 * ball + 10.0
    base = np.array(piece.base_mm)
    box = frame_box(patient, grid, tuple(base - reach), tuple(base + reach), margin_mm=4.0)
    p = Points(*(refine(a, brain.fields, brain.fields_box, grid, box) for a in brain.frame))
    voxel = float(np.prod(grid.spacing_mm)) ** (1.0 / 3.0) / patient.mean_scale

    u, v, w = (a - np.float32(c) for a, c in zip(p, base, strict=True))
    distance = np.sqrt(u * u + v * v + w * w)
    cost = distance
    if piece.slimness:
        # a cone: r + t / k ≤ ρ has the base radius ρ and the depth kρ
        depth = sum(a * np.float32(d) for a, d in zip((u, v, w), piece.inwards, strict=True))
        radial = np.sqrt(np.maximum(distance * distance - depth * depth, 0.0))
        cost = radial + np.where(depth > 0.0, depth / piece.slimness, -0.3 * depth)
    cost = cost / np.clip(1.0 + piece.rough * piece.texture(*p), 0.5, 1.6)
    beyond = np.maximum(-territory_depth(p, patient, piece.territory), 0.0)
    cost = cost + np.float32(WATERSHED_COST) * beyond
    over = p.u if piece.side == "right" else -p.u
    cost = cost + np.float32(MIDLINE_COST) * np.maximum(over, 0.0)

    room = tissue[box]
    edge = volume_level(cost, piece.volume_ml, room, grid.voxel_ml)
    np.maximum(member[box], soft(((edge - cost) / np.float32(voxel)).astype(np.float32)),
               out=member[box])  # fmt: skip
