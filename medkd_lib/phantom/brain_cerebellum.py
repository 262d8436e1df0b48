"""The cerebellum: lobules and thin leaves that run from ear to ear about a white core."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from medkd_lib.phantom.anatomy import Box, Grid, Layer, soft
from medkd_lib.phantom.brain_frame import frame_box, refine
from medkd_lib.phantom.brain_patient import BrainPatient
from medkd_lib.phantom.brain_shapes import (
    Points,
    cerebellum_depth,
    ellipsoid_depth,
    smooth_max,
)

FISSURE_MM = 17.0
"""Depth of the fissures between lobules (D)."""

GREY_MM = 2.5
"""Thickness of the cerebellar cortex with its leaves, as an MR image shows it (D)."""


def cerebellum_layers(
    patient: BrainPatient,
    grid: Grid,
    fields: Grid,
    fields_box: Box,
    frame: Points,
    inside: NDArray[np.bool_],
) -> list[Layer]:
    """Grey matter, cut by fissures and by leaves finer than a voxel, and the white tree inside.

    Fissures are the zero sheets of a field read at the foot of each point on the surface, as in
    the cerebrum; its waves are nearly constant from side to side.

    Args:
        patient: whose.
        grid: where to draw.
        fields: grid of ``frame``.
        fields_box: its box.
        frame: displaced brain-frame coordinates.
        inside: what skull stripping left.
    """
    box = frame_box(patient, grid, (-54, 28, -62), (54, 94, -4), margin_mm=8.0)
    p = Points(*(refine(a, fields, fields_box, grid, box) for a in frame))
    voxel = float(np.prod(grid.spacing_mm)) ** (1.0 / 3.0) / patient.mean_scale
    depth = cerebellum_depth(p)
    # half way from the surface to the core: folds fan out instead of running straight down
    foot_depth = np.clip(depth, -3.0, 18.0)
    slopes = np.gradient(depth, voxel)
    signs = (1.0, 1.0, 1.0)
    foot = Points(
        *(
            (a - foot_depth * slope * np.float32(sign)).astype(np.float32)
            for a, slope, sign in zip(p, slopes, signs, strict=True)
        )
    )
    field = patient.lobules(*foot)
    steepness = np.sqrt(sum(g * g for g in np.gradient(field, voxel)))
    typical = float(np.sqrt((steepness**2).mean()))
    fissure = np.abs(field) / np.sqrt(steepness**2 + np.float32((0.3 * typical) ** 2))
    fluid = np.maximum(fissure - 0.3, 0.0) ** 2 + np.maximum(depth - FISSURE_MM, 0.0) ** 2
    below = np.minimum(np.sqrt(fluid), depth)
    # fluid between leaves and lobules is thinner than a voxel, so its share is what counts
    leaves = np.clip(1.0 - 2.2 * np.abs(patient.leaves(*foot)), 0.0, 1.0)
    leaves *= np.clip((5.0 - below) / 4.0, 0.0, 1.0)
    cleft = np.clip(1.2 - fissure / max(0.6, 0.6 * voxel), 0.0, 1.0)
    cleft *= np.clip((FISSURE_MM - depth) / 4.0, 0.0, 1.0)
    cleft = np.maximum(cleft * np.float32(0.75), leaves * 0.5)
    cleft *= np.float32(0.75 + 0.25 * patient.atrophy)
    grey = soft(depth / voxel)
    grey *= 1.0 - cleft
    mirrored = Points(np.abs(p.u), p.v, p.w)
    core = ellipsoid_depth(mirrored, (17.0, 55.0, -36.0), (15.0, 9.0, 7.0))
    core = smooth_max(core, ellipsoid_depth(p, (0.0, 48.0, -32.0), (8.0, 6.0, 5.0)), 4.0)
    white = soft(np.maximum(core, np.minimum(below - GREY_MM, depth - 3.5)) / voxel)
    white *= 1.0 - leaves * np.float32(0.25)
    members = []
    for member in (grey, white):
        member = member.astype(np.float32)
        member *= inside[box]
        members.append(member)
    return [
        Layer("cerebellar cortex", "grey_matter", box, members[0]),
        Layer("cerebellar white", "white_matter", box, members[1]),
    ]
