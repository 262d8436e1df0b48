"""A virtual abdomen: one person's anatomy as soft layers on any grid, and its label map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medkd_lib.phantom.abdomen_frame import build_frame
from medkd_lib.phantom.abdomen_gut import colon, duodenum, pancreas, small_bowel, stomach
from medkd_lib.phantom.abdomen_kidneys import kidney, spleen
from medkd_lib.phantom.abdomen_liver import LiverLandmarks, liver, liver_landmarks
from medkd_lib.phantom.abdomen_patient import AbdomenPatient, sample_abdomen
from medkd_lib.phantom.abdomen_vessels import great_vessels
from medkd_lib.phantom.abdomen_wall import (
    back_muscles,
    body_wall,
    lungs_and_heart,
    ribs,
    spine,
)
from medkd_lib.phantom.anatomy import Anatomy, Grid, Layer

__all__ = [
    "ORGANS",
    "AbdomenAnatomy",
    "AbdomenPatient",
    "abdomen_layers",
    "sample_abdomen",
    "voxelise_abdomen",
]

ORGANS = ("liver", "right kidney", "left kidney", "spleen")
"""Names of the labels 1 to 4; 0 is everything else."""


@dataclass(frozen=True)
class AbdomenAnatomy(Anatomy):
    """Anatomy of an abdomen with what the files need besides tissues.

    Attributes:
        organs: (I, J, K) uint8, 0 or one of the labels 1–4 of :data:`ORGANS`: the organ that
            takes half of the voxel or more. The liver counts its veins; the kidneys are cortex
            and medulla without sinus (D: the annotation rules of real sets were not read).
        landmarks: what divides the liver into segments.
    """

    organs: NDArray[np.uint8]
    landmarks: LiverLandmarks


def abdomen_layers(patient: AbdomenPatient, grid: Grid) -> Anatomy:
    """Lay a person's tissues on a grid: all that an image needs.

    Order of painting: wall, what lies above the diaphragm, bowel, back muscles, pancreas and
    stomach, spleen, liver, kidneys in their fat, great vessels, bones on top.

    Args:
        patient: the attributes.
        grid: any grid; the same person is the same object on all of them.
    """
    frame = build_frame(patient, grid)
    layers: tuple[Layer, ...] = (
        *body_wall(frame),
        *lungs_and_heart(frame),
        *small_bowel(frame),
        *colon(frame),
        *back_muscles(frame),
        *duodenum(frame),
        pancreas(frame),
        *stomach(frame),
        spleen(frame),
        *liver(frame),
        *kidney(frame, "right"),
        *kidney(frame, "left"),
        *great_vessels(frame),
        *spine(frame),
        *ribs(frame),
    )
    return Anatomy(grid, layers)


def voxelise_abdomen(patient: AbdomenPatient, grid: Grid) -> AbdomenAnatomy:
    """Lay a person's anatomy on a grid and label its organs; arguments as `abdomen_layers`."""
    anatomy = abdomen_layers(patient, grid)
    return AbdomenAnatomy(grid, anatomy.layers, _organs(anatomy), liver_landmarks(patient))


def _organs(anatomy: Anatomy) -> NDArray[np.uint8]:
    right = np.broadcast_to(anatomy.grid.coordinates()[0] < 0.0, anatomy.grid.shape)
    kidneys = anatomy.fraction("kidney_cortex", "kidney_medulla") >= 0.5
    organs = np.zeros(anatomy.grid.shape, np.uint8)
    organs[anatomy.fraction("liver", "liver_vein") >= 0.5] = 1
    organs[kidneys & right] = 2
    organs[kidneys & ~right] = 3
    organs[anatomy.fraction("spleen") >= 0.5] = 4
    return organs
