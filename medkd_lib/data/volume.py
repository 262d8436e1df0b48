"""A three-dimensional image in the patient's world."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from nibabel.affines import voxel_sizes
from nibabel.orientations import (
    aff2axcodes,
    apply_orientation,
    axcodes2ornt,
    inv_ornt_aff,
    io_orientation,
    ornt_transform,
)
from numpy.typing import NDArray

from medkd_lib.data.problems import Problem, bad

# A tenth of a voxel's usual rounding in headers: scanners and converters write float32.
GRID_TOLERANCE_MM = 1e-3


@dataclass(frozen=True)
class Volume:
    """Voxels and where they lie.

    Attributes:
        array: ``(I, J, K)``, the file's dtype after its scale factors.
        affine: 4×4, voxel index → millimetres in RAS+ (x to the right, y forward, z up).
        unit: ``"HU"``, ``"SUV"``, ``"Bq/mL"``, ``"label"`` or ``None`` (arbitrary).
        problems: repairs and warnings met on the way in.
    """

    array: NDArray[Any]
    affine: NDArray[np.float64]
    unit: str | None = None
    problems: tuple[Problem, ...] = field(default=(), compare=False)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along the three axes."""
        i, j, k = self.array.shape
        return i, j, k

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel size along the three axes."""
        x, y, z = (float(s) for s in voxel_sizes(self.affine))
        return x, y, z

    @property
    def axcodes(self) -> str:
        """Where the axes point: ``"LPS"`` means the first index grows to the patient's left."""
        return "".join(aff2axcodes(self.affine))

    def oriented(self, axcodes: str) -> Volume:
        """Return the same image with its axes flipped and swapped to ``axcodes``; no resampling."""
        change = ornt_transform(io_orientation(self.affine), axcodes2ornt(tuple(axcodes)))
        array = apply_orientation(self.array, change)
        return replace(self, array=array, affine=self.affine @ inv_ornt_aff(change, self.shape))

    def same_grid(self, other: Volume) -> bool:
        """Whether both have one shape and one affine (to a thousandth of a millimetre)."""
        return self.shape == other.shape and bool(
            np.allclose(self.affine, other.affine, atol=GRID_TOLERANCE_MM)
        )


def require_same_grid(name: str, volume: Volume, other_name: str, other: Volume) -> None:
    """Raise `DataError` (``grid_mismatch``) unless both volumes lie on one grid."""
    if not volume.same_grid(other):
        raise bad(
            "grid_mismatch",
            name,
            expected=f"the grid of {other_name}: {describe_grid(other)}",
            found=describe_grid(volume),
            next_step="resample one onto the other, or state a fix_affine in the manifest",
        )


def describe_grid(volume: Volume) -> str:
    """Return shape, spacing, axes and origin in one line."""
    spacing = "×".join(f"{s:g}" for s in np.round(volume.spacing_mm, 3))
    shape = "×".join(map(str, volume.shape))
    origin = np.round(volume.affine[:3, 3], 2).tolist()
    return f"{shape} voxels of {spacing} mm, axes {volume.axcodes}, origin {origin}"
