r"""What an annotator draws around a lesion on a slice, and the box that the mask has.

Boxes are pixel edges, half open, as in :mod:`medkd_lib.data.boxes`: a pixel at column 3, row 5 is
``(3, 5, 4, 6)``. Masks are indexed (column, row).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from medkd_lib.phantom.nodule_settings import Cohort

Box = tuple[float, float, float, float]

SMALLEST_PX = 2.0
"""Nobody drags a narrower box; and a VOC file cannot tell one pixel from a slip (D)."""

PADDING_SHARE = 5.0 / 512.0
"""DeepLesion's boxes are those of the two diameters and 5 pixels more on all sides of 512 (its own
``DL_info.csv`` shows so: box and measurement of the first row); here as a share of the side."""


@dataclass(frozen=True)
class Habit:
    """How the people who made a set draw.

    Attributes:
        jitter: standard deviation of each edge, as a share of the true box's side along it.
        margin: mean distance of each edge outwards, likewise.
        least_px: a slice that shows fewer pixels of a lesion is not marked.
        marked: share of the lesions beside the one looked for that are marked at all.
    """

    jitter: float
    margin: float
    least_px: int
    marked: float


HABITS: Mapping[Cohort, Habit] = MappingProxyType(
    {
        # slice by slice, with a margin
        "lung_pet_ct_dx": Habit(jitter=0.06, margin=0.08, least_px=3, marked=1.0),
        # about half of the lesions are not marked (arXiv 2303.15024)
        "deeplesion": Habit(jitter=0.04, margin=0.0, least_px=1, marked=0.5),
        # unknown hands: sloppier
        "lungct_roboflow": Habit(jitter=0.12, margin=0.05, least_px=2, marked=0.95),
    }
)
"""All D, but for DeepLesion's share."""


@dataclass(frozen=True)
class Measurement:
    """Long and short diameter of a lesion on a slice, as radiologists measure it.

    Attributes:
        points: (4, 2) both ends of the long, then of the short diameter; columns, rows.
        box: around them, padded.
    """

    points: NDArray[np.float64]
    box: Box

    @property
    def diameters_px(self) -> tuple[float, float]:
        """Length of the long and of the short one."""
        a, b, c, d = self.points
        return float(np.linalg.norm(b - a)), float(np.linalg.norm(d - c))


def true_box(mask: NDArray[np.bool_]) -> Box | None:
    """Return the least box that holds the mask (columns, rows), None for an empty one."""
    columns, rows = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(columns):
        return None
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def drawn_box(true: Box, habit: Habit, rng: np.random.Generator, size: tuple[int, int]) -> Box:
    r"""Return what a hand makes of the true box, whole pixels inside an image of (width, height).

    Each edge moves outwards by :math:`(m + j\,\epsilon)\,s`, s the side along it.
    """
    x1, y1, x2, y2 = true
    moved = habit.margin + habit.jitter * rng.standard_normal(4)
    wide, high = x2 - x1, y2 - y1
    left, right = _span(x1 - moved[0] * wide, x2 + moved[2] * wide, size[0])
    top, bottom = _span(y1 - moved[1] * high, y2 + moved[3] * high, size[1])
    return left, top, right, bottom


def measured(mask: NDArray[np.bool_], habit: Habit, rng: np.random.Generator) -> Measurement:
    """Measure a mask: its farthest pixels, and the longest chord across them.

    Each end is off by the habit's jitter times the long diameter.

    Args:
        mask: (columns, rows), one pixel or more.
        habit: how well the ends are hit.
        rng: source of the error.
    """
    places = np.argwhere(mask) + 0.5
    apart = places[:, None] - places[None]
    lengths = np.linalg.norm(apart, axis=2)
    a, b = np.unravel_index(int(lengths.argmax()), lengths.shape)
    long = float(lengths[a, b])
    along = (places[b] - places[a]) / long if long > 0.0 else np.array([1.0, 0.0])
    # across: no more than half a pixel along the long diameter
    across = np.where(np.abs(apart @ along) <= 0.5, lengths, 0.0)
    c, d = np.unravel_index(int(across.argmax()), across.shape)
    points = places[[a, b, c, d]] + habit.jitter * long * rng.standard_normal((4, 2))
    pad = PADDING_SHARE * mask.shape[0]
    low, high = points.min(axis=0) - pad, points.max(axis=0) + pad
    width, height = mask.shape
    box = (
        float(np.clip(low[0], 0.0, width)), float(np.clip(low[1], 0.0, height)),
        float(np.clip(high[0], 0.0, width)), float(np.clip(high[1], 0.0, height)),
    )  # fmt: skip
    return Measurement(points, box)


def _span(low: float, high: float, room: int) -> tuple[float, float]:
    """Round to whole pixels inside the image, at least the narrowest box wide."""
    first = float(np.clip(np.rint(low), 0.0, room - SMALLEST_PX))
    last = float(np.clip(np.rint(high), first + SMALLEST_PX, room))
    return first, last
