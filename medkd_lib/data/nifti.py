"""NIfTI → `Volume`: bytes read once, unpacked in one call, voxels viewed in place."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medkd_lib.data.geometry import check_affine, require_as_stated, stated_affine
from medkd_lib.data.gz import inflate, read_bytes
from medkd_lib.data.nifti_header import Layout, read_header
from medkd_lib.data.problems import Problem, bad
from medkd_lib.data.volume import Volume
from medkd_lib.data.voxels import as_grey, require_finite

__all__ = ["nifti_from_bytes", "read_bytes", "read_nifti"]


def read_nifti(
    path: Path, *, axcodes: str | None = None, spacing_mm: Sequence[float] | None = None
) -> Volume:
    """Return the image of a ``.nii`` or ``.nii.gz`` file (NIfTI-1 or NIfTI-2, either byte order).

    Integers stay integers if the header does not scale them, everything else becomes float32.
    The array is Fortran-ordered and, when nothing had to be converted, read-only.

    Args:
        path: the file; a pair (``.hdr`` and ``.img``) is `medkd_lib.data.analyze.read_pair`'s.
        axcodes: what the manifest states; needed only if the header has neither qform nor sform.
        spacing_mm: the same for the voxel size, where pixdim is not to be trusted.

    Raises:
        DataError: the ``kind`` tells why, see `nifti_from_bytes`.
    """
    return nifti_from_bytes(read_bytes(path), path, axcodes=axcodes, spacing_mm=spacing_mm)


def nifti_from_bytes(
    blob: bytes,
    where: Path | str,
    *,
    axcodes: str | None = None,
    spacing_mm: Sequence[float] | None = None,
) -> Volume:
    r"""Return the image in a file's bytes, packed or not.

    .. math:: v = \text{slope}\cdot s + \text{inter}

    in float64 for stored integers of more than 16 bits (float32 holds 24), else in float32.

    Raises:
        DataError: of the packing (``truncated``, ``corrupt``, ``web_page``, ``lfs_pointer``), the
            header (see `medkd_lib.data.nifti_header.read_header`), the voxels
            (``too_few_voxels``, ``nan_voxels``, ``inf_voxels``) or the geometry
            (``no_orientation``, ``singular_affine``, ``absurd_spacing``, ``axcodes_disagree``,
            ``spacing_disagrees``).
    """
    content, problems = inflate(blob, where)
    layout = read_header(content, where)
    return assemble(content, layout, where, axcodes, spacing_mm, problems)


def assemble(
    content: bytes,
    layout: Layout,
    where: Path | str,
    axcodes: str | None,
    spacing_mm: Sequence[float] | None,
    problems: tuple[Problem, ...] = (),
) -> Volume:
    """Return the image whose voxels lie in ``content`` as ``layout`` says."""
    array, odd = _voxels(content, layout, where)
    problems = (*problems, *layout.problems, *odd)
    if layout.affine is not None:
        problems = (*problems, *check_affine(layout.affine, where))
        volume = Volume(array, layout.affine, None, problems)
        require_as_stated(volume, where, axcodes, spacing_mm)
        return volume
    known = layout.spacing_mm if min(layout.spacing_mm) > 0 else None
    affine, note = stated_affine(array.shape, axcodes, known or spacing_mm, where)
    volume = Volume(array, affine, None, (*problems, note))
    require_as_stated(volume, where, None, spacing_mm)
    return volume


def _voxels(
    content: bytes, layout: Layout, where: Path | str
) -> tuple[NDArray[np.generic], tuple[Problem, ...]]:
    count = math.prod(layout.shape)
    end = layout.offset + count * layout.dtype.itemsize
    if len(content) < end:
        raise bad(
            "too_few_voxels", where,
            expected=f"{end} bytes for {'×'.join(map(str, layout.shape))} voxels of {layout.dtype}",
            found=f"{len(content)}", next_step="fetch the file again; it was cut off before or "
            "after packing",
        )  # fmt: skip
    odd = [] if len(content) == end else [
        Problem(
            "more_bytes", str(where), f"{end} bytes as the header says", f"{len(content)}",
            "nothing to do: the rest is ignored; check the shape", severity="warning",
        )
    ]  # fmt: skip
    stored = np.frombuffer(content, layout.dtype, count, layout.offset)
    if layout.slope == 1.0 and layout.inter == 0.0:
        flat = as_grey(stored)
    else:
        wide = np.float64 if stored.dtype.itemsize > 2 else np.float32
        scaled: NDArray[Any] = stored.astype(wide)
        scaled *= wide(layout.slope)
        scaled += wide(layout.inter)
        flat = as_grey(scaled)
    require_finite(flat, where)
    return flat.reshape(layout.shape, order="F"), tuple(odd)
