r"""Ordered slices → the affine.

DICOM PS3.3 C.7.6.2.1.1: with the direction cosines :math:`r` (along a row) and :math:`c` (down a
column), PixelSpacing :math:`(\Delta_c, \Delta_r)` and the first slice's position :math:`p_0`,

.. math:: \text{LPS}(i, j, k) = p_0 + i\,\Delta_r\,r + j\,\Delta_c\,c + k\,v, \qquad
          v = (p_{n-1} - p_0)/(n-1)

where slices ascend along :math:`r \times c`. If :math:`v` leans against it, the gantry was tilted
and the affine is sheared, which it says exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from medkd_lib.data.dicom_counts import thickness_problems
from medkd_lib.data.dicom_order import Vectors, normal_of, positions_of
from medkd_lib.data.dicom_sort import Slice
from medkd_lib.data.geometry import Affine
from medkd_lib.data.itk_files import LPS_TO_RAS
from medkd_lib.data.problems import Problem, bad

EVEN_SHARE, USABLE_SHARE = 0.02, 0.1
"""Deviation from even spacing as a share of the step: silent up to the first (headers round), a
warning up to the second, an error beyond."""

TILT_DEGREES = 0.1


def series_affine(slices: Sequence[Slice], folder: Path) -> tuple[Affine, list[Problem]]:
    """Return the RAS+ affine of ordered slices for an array (column, row, slice).

    Raises:
        DataError: ``no_spacing``, ``missing_slices``, ``irregular_spacing``.
    """
    positions, normal = positions_of(slices), normal_of(slices)
    first = slices[0]
    cosines = np.array(first.header.ImageOrientationPatient, float)
    spacing = first.header.get("PixelSpacing")
    if spacing is None or len(spacing) != 2:
        raise bad(
            "no_spacing", first.path, expected="PixelSpacing", found=f"{spacing}",
            next_step="fetch the series again; without it sizes are unknown",
        )  # fmt: skip
    step, problems = _step(slices, positions, normal, folder)
    affine = np.eye(4)
    affine[:3, 0] = cosines[:3] * float(spacing[1])
    affine[:3, 1] = cosines[3:] * float(spacing[0])
    affine[:3, 2] = step
    affine[:3, 3] = positions[0]
    return LPS_TO_RAS @ affine, problems


def _step(
    slices: Sequence[Slice], positions: Vectors, normal: Vectors, folder: Path
) -> tuple[Vectors, list[Problem]]:
    if len(slices) == 1:
        return _single_step(slices[0], normal)
    depth = positions @ normal
    gaps = np.diff(depth)
    usual = float(np.median(gaps))
    if (steps := np.rint(gaps / usual)).max() > 1 and np.allclose(
        gaps, steps * usual, atol=USABLE_SHARE * usual
    ):
        at = [f"{depth[i]:g} and {depth[i + 1]:g}" for i in np.flatnonzero(steps > 1).tolist()]
        raise bad(
            "missing_slices", folder, expected=f"a slice every {usual:g} mm",
            found=f"{int((steps - 1).sum())} missing, between {'; '.join(at[:4])} mm",
            next_step="fetch the series again; it is incomplete",
        )  # fmt: skip
    step = (positions[-1] - positions[0]) / (len(slices) - 1)
    even = positions[0] + np.arange(len(slices))[:, None] * step
    off = np.linalg.norm(positions - even, axis=1)
    worst = int(np.argmax(off))
    if off[worst] > USABLE_SHARE * usual:
        raise bad(
            "irregular_spacing", folder, expected=f"slices evenly along a line, {usual:g} mm apart",
            found=f"{slices[worst].path.name} is {off[worst]:.3g} mm off; gaps from "
            f"{np.min(gaps):.4g} to {np.max(gaps):.4g} mm",
            next_step="resample the slices to even spacing with a tool that knows the series",
        )  # fmt: skip
    problems = thickness_problems(slices, usual, folder)
    if off[worst] > EVEN_SHARE * usual:
        problems.append(
            Problem(
                "uneven_spacing", str(folder), f"slices {usual:g} mm apart",
                f"{slices[worst].path.name} is {off[worst]:.3g} mm off",
                "nothing to do: taken as even", severity="warning",
            )
        )  # fmt: skip
    cosine = abs(float(step @ normal)) / float(np.linalg.norm(step))
    if (tilt := float(np.degrees(np.arccos(min(cosine, 1.0))))) > TILT_DEGREES:
        problems.append(
            Problem(
                "gantry_tilt", str(folder), "slices stacked along their normal", f"{tilt:.1f}° off",
                "resample before use: the affine is sheared, as the scan was", severity="warning",
            )
        )  # fmt: skip
    return step, problems


def _single_step(only: Slice, normal: Vectors) -> tuple[Vectors, list[Problem]]:
    keyword = "SpacingBetweenSlices" if only.text("SpacingBetweenSlices") else "SliceThickness"
    if not only.text(keyword) or float(only.text(keyword)) == 0:
        raise bad(
            "no_spacing", only.path, expected="several slices, or SliceThickness",
            found="one slice without thickness", next_step="fetch the whole series",
        )  # fmt: skip
    note = Problem(
        "single_slice", str(only.path.parent), "several slices", "one",
        f"check whether the series is whole; {keyword} is its depth", severity="warning",
    )  # fmt: skip
    return normal * abs(float(only.text(keyword))), [note]
