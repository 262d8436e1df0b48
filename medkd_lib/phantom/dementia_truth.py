"""Volumes that a dementia twin knows of a brain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medkd_lib.phantom.brain import BrainAnatomy

SKULL_ML = 1640.0
"""Volume inside the skull of a brain of scale 1 (measured on the phantom without atrophy)."""


@dataclass(frozen=True)
class BrainVolumes:
    """Volumes in mL as drawn on the grid of the image, partial volumes included.

    Attributes:
        skull_ml: inside the skull, from the head's size alone: it does not shrink with the brain.
        ventricle_ml: the ventricles.
        hippocampus_ml: hippocampus and amygdala, both sides.
        grey_ml: grey matter, nuclei left out.
        tissue_ml: grey and white matter and nuclei: the "whole brain".
    """

    skull_ml: float
    ventricle_ml: float
    hippocampus_ml: float
    grey_ml: float
    tissue_ml: float


def volumes_of(anatomy: BrainAnatomy) -> BrainVolumes:
    """Measure a drawn brain."""
    hippocampus = anatomy.layer("hippocampus").membership.sum(dtype=np.float64)
    return BrainVolumes(
        skull_ml=round(SKULL_ML * anatomy.patient.mean_scale**3, 1),
        ventricle_ml=round(anatomy.ventricle_ml(), 3),
        hippocampus_ml=round(float(hippocampus) * anatomy.grid.voxel_ml, 4),
        grey_ml=round(anatomy.tissue_ml("grey_matter"), 1),
        tissue_ml=round(anatomy.tissue_ml("grey_matter", "white_matter", "deep_grey"), 1),
    )
