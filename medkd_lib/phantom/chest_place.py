"""Where in the chest a tumour grows: a place chosen on a coarse grid by distances."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medkd_lib.phantom.anatomy import Anatomy, Grid
from medkd_lib.phantom.chest_mediastinum import great_vessels, heart, hilum_mm, levels
from medkd_lib.phantom.chest_shapes import Point
from medkd_lib.phantom.chest_tumour import Draft
from medkd_lib.phantom.thorax_frame import build_frame
from medkd_lib.phantom.thorax_organs import lungs
from medkd_lib.phantom.thorax_patient import ThoraxPatient

COARSE_MM = 6.0
"""Edge of the cells among which a place is chosen; the centre is then drawn inside its cell."""

ABOVE_DIAPHRAGM_MM = 12.0
"""Distance that the centre keeps from the diaphragm (D)."""


def place_tumour(
    rng: np.random.Generator, body: ThoraxPatient, draft: Draft
) -> tuple[Literal["right", "left"], Point]:
    r"""Choose side and centre.

    With the radius :math:`r`, the distances :math:`d_m`, :math:`d_w`, :math:`d_h` to mediastinum,
    wall and root of the lung, and a share :math:`u` drawn between 0.25 and 0.75, the costs are

    ============ =====================================================================
    lung         :math:`(r + 5 - \min(d_m, d_w))_+`
    mediastinum  :math:`|d_m - u r| + (0.8 r - d_w)_+ + (18 - d_h)_+ + (20 - |x|)_+`
    hilum        :math:`|d_h - 6 - u r|`
    chest wall   :math:`|d_w - u r| + (r + 5 - d_m)_+`
    ============ =====================================================================

    One of the cells within 3 mm of the least cost is drawn.
    """
    half_width, half_depth, length = body.cage_mm
    count = (int(2.2 * half_width / COARSE_MM), int(2.4 * half_depth / COARSE_MM),
             int(1.15 * length / COARSE_MM))  # fmt: skip
    grid = Grid(count, (COARSE_MM,) * 3)
    frame = build_frame(body, grid)
    lung = np.zeros(grid.shape, np.float32)
    for layer in lungs(frame)[0]:
        lung[layer.box] = np.maximum(lung[layer.box], layer.membership)
    organs = Anatomy(grid, (*heart(frame), *great_vessels(frame)))
    airy = (lung > 0.5) & (organs.fraction("blood", "myocardium") < 0.5)
    inside = frame.cage.depth_mm() > 0.0
    x, y, z = grid.coordinates()
    above = z > frame.diaphragm_mm + ABOVE_DIAPHRAGM_MM
    middle = inside & ~airy & (z > frame.diaphragm_mm) & (np.abs(x) < 0.62 * half_width)
    to_middle = _distance(middle)
    to_wall = _distance(~inside)
    roots = [hilum_mm(body, side) for side in ("right", "left")]
    to_root = np.minimum(
        *(np.sqrt((x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2) for a, b, c in roots)
    )
    r = np.float32(draft.radius_mm)
    part = np.float32(rng.uniform(0.25, 0.75)) * r
    cost = {
        "lung": _short(r + 5.0 - np.minimum(to_middle, to_wall)),
        "mediastinum": np.abs(to_middle - part)
        + _short(0.8 * r - to_wall)
        + _short(18.0 - to_root)
        + _short(20.0 - np.abs(x)),
        "hilum": np.abs(to_root - 6.0 - part),
        "chest_wall": np.abs(to_wall - part) + _short(r + 5.0 - to_middle),
    }[draft.place]
    at = levels(body)
    cells = np.flatnonzero(airy & above & (z < at["arch"] + 22.0))
    costs = cost.reshape(-1)[cells]
    cells = cells[costs <= costs.min() + 3.0]
    i, j, k = np.unravel_index(int(cells[rng.integers(len(cells))]), grid.shape)
    jitter = rng.uniform(-0.5, 0.5, 3) * COARSE_MM
    centre = (
        float(x[i, 0, 0] + jitter[0]),
        float(y[0, j, 0] + jitter[1]),
        float(z[0, 0, k] + jitter[2]),
    )
    return ("left" if centre[0] > 0.0 else "right"), centre


def _distance(there: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Measure the millimetres to the nearest marked cell."""
    return np.asarray(ndimage.distance_transform_edt(~there) * COARSE_MM, np.float32)


def _short(missing: NDArray[np.floating]) -> NDArray[np.floating]:
    """Take what is missing, (v)₊."""
    return np.maximum(missing, 0.0)
