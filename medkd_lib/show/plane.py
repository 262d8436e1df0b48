"""One display convention for every slice, whatever the file's axes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from medkd_lib.data.volume import Volume

Plane = Literal["axial", "coronal", "sagittal"]

# Of a volume in LPS: (axis looked along, axis shown to the right, axis shown downwards).
# The third axis grows upwards, so coronal and sagittal pictures are turned over.
AXES: dict[str, tuple[int, int, int]] = {
    "axial": (2, 0, 1),
    "coronal": (1, 0, 2),
    "sagittal": (0, 1, 2),
}
# What stands at the left, right, top and bottom edge.
LETTERS: dict[str, str] = {"axial": "RLAP", "coronal": "RLSI", "sagittal": "APSI"}


@dataclass(frozen=True)
class Picture:
    """A slice ready to be drawn.

    Attributes:
        pixels: ``(rows, columns)``, the top row first.
        aspect: height of a pixel over its width.
        letters: patient directions at the left, right, top and bottom edge.
        pixel_mm: width of a pixel.
    """

    pixels: NDArray[Any]
    aspect: float
    letters: str
    pixel_mm: float


def picture(volume: Volume, plane: Plane = "axial", place: float = 0.5) -> Picture:
    """Return a slice the way radiologists hang it: patient's right on the left, head up.

    Args:
        volume: in any orientation; it is turned to LPS, never resampled.
        plane: axial, coronal or sagittal.
        place: 0 is the right, front or bottom end of the volume, 1 the other.

    Raises:
        ValueError: no such plane, or a place outside the volume.
    """
    if plane not in AXES:
        raise ValueError(f"plane: expected one of {get_args(Plane)}, found {plane!r}")
    if not 0 <= place <= 1:
        raise ValueError(f"place: expected 0 to 1, a share of the volume, found {place:g}")
    lps = volume.oriented("LPS")
    along, across, down = AXES[plane]
    number = round(place * (lps.shape[along] - 1))
    # np.take keeps the order of the two remaining axes: columns first, so rows need a transpose.
    pixels = np.take(lps.array, number, axis=along).T
    if plane != "axial":
        pixels = pixels[::-1]
    spacing = lps.spacing_mm
    return Picture(pixels, spacing[down] / spacing[across], LETTERS[plane], spacing[across])


def fullest(mask: Volume, plane: Plane = "axial") -> float:
    """Return the place of the slice with most of the mask; the middle of an empty one."""
    lps = mask.oriented("LPS")
    along = AXES[plane][0]
    others = tuple(axis for axis in range(3) if axis != along)
    areas = (lps.array > 0).sum(axis=others)
    if not areas.any():
        return 0.5
    return float(np.argmax(areas)) / max(1, lps.shape[along] - 1)
