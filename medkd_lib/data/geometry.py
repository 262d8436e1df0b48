"""Where voxels lie: is an affine usable, and what to do when the file does not say."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medkd_lib.data.problems import Problem, bad
from medkd_lib.data.volume import Volume

Affine = NDArray[np.float64]

SPACING_RANGE_MM = (0.01, 50.0)
"""Voxel edges of a patient's scan; beyond them a header holds metres, microns or nonsense."""

OBLIQUE_DEGREES = 0.1
"""Axes that lean more than this are reported; headers in float32 round to about 1e-5 degrees."""

STATED_SPACING_TOLERANCE = 0.01
"""A manifest rounds its spacing (2.04 for 2.0364): a share of the spacing."""


def check_affine(affine: Affine, where: Path | str) -> tuple[Problem, ...]:
    """Return what is unusual about an affine.

    Warnings: ``oblique`` (axes lean against the patient's), ``sheared`` (axes not at right
    angles), ``identity_affine`` (1 mm, no origin: what a lost header looks like).

    Raises:
        DataError: ``singular_affine`` or ``absurd_spacing``.
    """
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    usable = np.isfinite(affine).all() and (sizes > 0).all()
    if not usable or abs(np.linalg.det(affine[:3, :3] / sizes)) < 1e-3:
        raise bad(
            "singular_affine", where, expected="three independent axes of positive length",
            found=f"the axes {np.round(affine[:3, :3], 4).T.tolist()} mm",
            next_step="state a fix_affine in the manifest if its documentation tells the spacing",
        )  # fmt: skip
    require_spacing(sizes, where)
    axes = affine[:3, :3] / sizes
    problems: list[Problem] = []
    if np.array_equal(affine, np.eye(4)):
        problems.append(
            Problem(
                "identity_affine", str(where), "a scanner's position", "the identity matrix",
                "check spacing and orientation: a lost header looks like this", severity="warning",
            )
        )  # fmt: skip
    between = np.abs(axes.T @ axes - np.eye(3)).max()
    if (shear := float(np.degrees(np.arcsin(min(between, 1.0))))) > OBLIQUE_DEGREES:
        problems.append(
            Problem(
                "sheared", str(where), "axes at right angles", f"{shear:.2f}° off",
                "resample before use: `spacing_mm` is measured along the slanted axis",
                severity="warning",
            )
        )  # fmt: skip
    lean = float(np.degrees(np.arccos(min(np.abs(axes).max(axis=0).min(), 1.0))))
    if lean > OBLIQUE_DEGREES >= shear:  # sheared axes always lean
        problems.append(
            Problem(
                "oblique", str(where), "axes along the patient's", f"{lean:.1f}° off",
                "nothing to do: the affine knows; flips and swaps alone cannot straighten it",
                severity="warning",
            )
        )  # fmt: skip
    return tuple(problems)


def require_spacing(spacing_mm: Sequence[float] | NDArray[np.float64], where: Path | str) -> None:
    """Raise `DataError` ``absurd_spacing`` unless every edge is within `SPACING_RANGE_MM`."""
    low, high = SPACING_RANGE_MM
    if not all(low <= s <= high for s in spacing_mm):
        raise bad(
            "absurd_spacing", where, expected=f"voxel edges from {low:g} to {high:g} mm",
            found=f"{[float(f'{s:.4g}') for s in spacing_mm]} mm",
            next_step="state the spacing in the manifest if its documentation tells it",
        )  # fmt: skip


def stated_affine(
    shape: Sequence[int],
    axcodes: str | None,
    spacing_mm: Sequence[float] | None,
    where: Path | str,
) -> tuple[Affine, Problem]:
    """Return the affine of a format that carries none, and the note that it was stated.

    The position in the world stays unknown; the middle of the volume is put at the origin.

    Raises:
        DataError: ``no_orientation`` or ``no_spacing`` if not stated, ``bad_axcodes``.
    """
    if axcodes is None:
        raise bad(
            "no_orientation", where, expected="`axcodes` in the manifest's role (such as LPS)",
            found="a file that does not say where its axes point, and no statement",
            next_step="look the orientation up in the data set's documentation; never guess it",
        )  # fmt: skip
    if spacing_mm is None:
        raise bad(
            "no_spacing", where, expected="`spacing_mm` in the manifest's role",
            found="a file that does not say how large its voxels are, and no statement",
            next_step="look the spacing up in the data set's documentation",
        )  # fmt: skip
    pairs = ("LR", "PA", "IS")
    world = [i for letter in axcodes for i, pair in enumerate(pairs) if letter in pair]
    if len(axcodes) != 3 or sorted(world) != [0, 1, 2] or len(spacing_mm) != 3:
        raise bad(
            "bad_axcodes", where, expected="three letters, one each of L/R, P/A and I/S, and three "
            "spacings", found=f"{axcodes!r} and {list(spacing_mm)}",
            next_step="correct the manifest's role",
        )  # fmt: skip
    require_spacing(spacing_mm, where)
    affine = np.eye(4)
    affine[:3, :3] = 0.0
    for axis, (row, letter) in enumerate(zip(world, axcodes, strict=True)):
        affine[row, axis] = spacing_mm[axis] * (1.0 if letter in "RAS" else -1.0)
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    note = Problem(
        "stated_geometry", str(where), "a geometry in the file",
        f"none; {axcodes} and {[float(s) for s in spacing_mm]} mm are what was stated",
        "nothing to do: distances hold, the place in the world is unknown", severity="warning",
    )  # fmt: skip
    return affine, note


def require_as_stated(
    volume: Volume,
    where: Path | str,
    axcodes: str | None,
    spacing_mm: Sequence[float] | None,
) -> None:
    """Refuse a file whose own geometry contradicts the manifest.

    Raises:
        DataError: ``axcodes_disagree`` or ``spacing_disagrees``.
    """
    if axcodes is not None and volume.axcodes != axcodes:
        raise bad(
            "axcodes_disagree", where, expected=f"axes {axcodes} as the manifest states",
            found=volume.axcodes,
            next_step="drop the statement (the file knows), or state a fix_affine if the file errs",
        )  # fmt: skip
    if spacing_mm is not None and not np.allclose(
        volume.spacing_mm, spacing_mm, rtol=STATED_SPACING_TOLERANCE
    ):
        raise bad(
            "spacing_disagrees", where, expected=f"{list(spacing_mm)} mm as the manifest states",
            found=f"{[round(s, 4) for s in volume.spacing_mm]} mm",
            next_step="drop the statement (the file knows), or state a fix_affine if the file errs",
        )  # fmt: skip
