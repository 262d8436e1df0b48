"""What lies under the diaphragm, as far as a chest scan sees it: liver, spleen, stomach, fat."""

from __future__ import annotations

import numpy as np

from medkd_lib.phantom.anatomy import Layer, ellipsoid, soft
from medkd_lib.phantom.thorax_frame import ThoraxFrame

DOME_EDGE_MM = 3.0
"""The dome leaves a slice over this height, half of the slice's thickness or so."""


def under_the_diaphragm(frame: ThoraxFrame) -> list[Layer]:
    """Liver under the right dome and across the midline, spleen and stomach under the left one.

    Sizes and places are D. The organs fill the cage up to the diaphragm, so that no fat parts them
    from the lung.
    """
    patient, grid = frame.patient, frame.grid
    half_width, half_depth, _ = patient.cage_mm
    everything = grid.everything
    x, y, z = grid.coordinates()
    low = z.min() - grid.spacing_mm[2]
    if low > max(patient.dome_mm):
        return []
    below = soft((frame.diaphragm_mm - z) / np.float32(DOME_EDGE_MM))
    below *= soft(frame.cage.depth_mm() / frame.cage.voxel_mm)
    # the left lobe reaches across the midline in front and thins out towards the back
    edge = half_width * (0.34 - 0.9 * (y / half_depth + 0.35) ** 2)
    right = soft(((edge - x) / np.float32(grid.spacing_mm[0])).astype(np.float32))
    left, air = patient.dome_mm[1], patient.stomach_air_mm
    stomach = ellipsoid(grid, "stomach", "muscle", (0.40 * half_width, -12.0, left - 42.0),
                        (0.36 * half_width, 0.52 * half_depth, 40.0))  # fmt: skip
    spleen = ellipsoid(grid, "spleen", "spleen",
                       (0.62 * half_width, 0.52 * half_depth, left - 40.0),
                       (0.26 * half_width, 0.34 * half_depth, 44.0))  # fmt: skip
    bubble = ellipsoid(grid, "stomach air", "air", (0.40 * half_width, -16.0, left - 26.0),
                       (0.9 * air, 0.6 * air, 0.5 * air))  # fmt: skip
    kept = [
        Layer(o.name, o.tissue, o.box, o.membership * below[o.box])
        for o in (stomach, spleen, bubble)
    ]
    return [
        # beside the liver, not under it: a soft edge over another would leave a rim of fat
        Layer("belly fat", "adipose", everything, 0.9 * below * (1.0 - right)),
        Layer("liver", "liver", everything, below * right),
        *kept,
    ]
