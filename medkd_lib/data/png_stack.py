"""Folder of PNG slices → `Volume`: ordered by number, all of one size, geometry as stated.

BrainMetShare and DeepLesion come this way: pictures know neither their voxel size
nor where the patient's left is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medkd_lib.data.geometry import stated_affine
from medkd_lib.data.problems import DataError, bad
from medkd_lib.data.volume import Volume

GREY_MODES = {"1", "L", "I;16", "I;16B", "I"}

HIDDEN = ("._", ".")


def read_png_stack(
    folder: Path,
    *,
    axcodes: str | None,
    spacing_mm: Sequence[float] | None,
    value_offset: int = 0,
) -> Volume:
    """Return the slices of a folder as one volume of unsigned integers.

    Axes: the first index counts pixels to the right, the second pixels down, the third slices in
    the order of their numbers. Radiologists' axial pictures from the feet up are ``"LPS"``; from
    the head down ``"LPI"``.

    Args:
        folder: holds ``*.png``; the last number of a name is the slice (``2.png`` before
            ``10.png``).
        axcodes: where the three axes point, from the data set's documentation.
        spacing_mm: voxel size along them.
        value_offset: added to every value; −32768 turns DeepLesion's pictures into HU.

    Raises:
        DataError: ``no_slices``, ``unnumbered``, ``mixed_names``, ``duplicate_number``,
            ``gap_in_numbers``, ``mixed_matrix``, ``colour``, ``unreadable``, ``no_orientation``,
            ``no_spacing``.
    """
    paths = numbered_slices(folder)
    slices = [grey_slice(p) for p in paths]
    shapes = {s.shape for s in slices}
    dtypes = {s.dtype for s in slices}
    if len(shapes) > 1 or len(dtypes) > 1:
        odd = next(i for i, s in enumerate(slices) if (s.shape, s.dtype) != (
            slices[0].shape, slices[0].dtype))  # fmt: skip
        raise bad(
            "mixed_matrix", paths[odd], expected=f"{slices[0].shape} {slices[0].dtype} as in "
            f"{paths[0].name}", found=f"{slices[odd].shape} {slices[odd].dtype}",
            next_step="this folder mixes images: keep one per folder",
        )  # fmt: skip
    array: NDArray[np.generic] = np.stack(slices).T
    if value_offset:
        array = (array.astype(np.int32) + value_offset).astype(np.int32)
    affine, note = stated_affine(array.shape, axcodes, spacing_mm, folder)
    return Volume(array, affine, None, (note,))


def numbered_slices(folder: Path) -> list[Path]:
    """Return the folder's PNG files in the order of the last number in their names."""
    paths = [
        p for p in folder.iterdir() if p.suffix.lower() == ".png" and not p.name.startswith(HIDDEN)
    ]
    if not paths:
        raise bad(
            "no_slices", folder, expected="PNG slices", found="none",
            next_step="check the folder's name",
        )  # fmt: skip
    numbers = {p: _number(p) for p in paths}
    stems = {before for before, _ in numbers.values()}
    if len(stems) > 1:
        raise bad(
            "mixed_names", folder, expected="names that differ by their last number alone",
            found=f"the beginnings {sorted(stems)[:4]}", next_step="keep one image per folder",
        )  # fmt: skip
    paths.sort(key=lambda p: numbers[p][1])
    in_order = [numbers[p][1] for p in paths]
    for before, after, path in zip(in_order, in_order[1:], paths[1:], strict=False):
        if before == after:
            raise _numbering("duplicate_number", folder, f"two files numbered {after}")
        if after != before + 1:
            missing = f"{before + 1}" if after == before + 2 else f"{before + 1} to {after - 1}"
            found = f"no slice {missing} before {path.name}"
            raise _numbering("gap_in_numbers", folder, found)
    return paths


def _numbering(kind: str, folder: Path, found: str) -> DataError:
    return bad(
        kind, folder, expected="every number once, without a gap", found=found,
        next_step="fetch the folder again; a missing slice moves all that follow",
    )  # fmt: skip


def _number(path: Path) -> tuple[str, int]:
    parts = re.fullmatch(r"(.*?)(\d+)\D*", path.stem)
    if parts is None:
        raise bad(
            "unnumbered", path, expected="a number in the name, as in slice_012.png", found="none",
            next_step="rename it, or take it out of the folder",
        )  # fmt: skip
    return parts[1], int(parts[2])


def grey_slice(path: Path) -> NDArray[np.generic]:
    """Return the pixels of one PNG, rows first; one bit becomes 0 and 1.

    Raises:
        DataError: ``unreadable`` or ``colour``.
    """
    try:
        with Image.open(path) as picture:
            picture.load()
            mode = picture.mode
            pixels = np.asarray(picture)
    except (OSError, SyntaxError) as error:
        raise bad(
            "unreadable", path, expected="a PNG file", found=f"{error}",
            next_step="fetch it again",
        ) from error  # fmt: skip
    if mode not in GREY_MODES:
        raise bad(
            "colour", path, expected="grey pixels", found=f"mode {mode} (colour, alpha or palette)",
            next_step="convert it to grey; a palette's index may be the label, look first",
        )  # fmt: skip
    return pixels.astype(np.uint8) if pixels.dtype == bool else pixels
