"""Pairs of ``.hdr`` and ``.img``: NIfTI pairs, and Analyze 7.5, which has no orientation.

Source of the Analyze fields: nibabel's ``AnalyzeHeader``. OASIS-1 comes in this format: what the
header calls an orientation is not reliable, so the manifest must state it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np

from medkd_lib.data.gz import inflate, read_bytes
from medkd_lib.data.nifti import assemble
from medkd_lib.data.nifti_header import (
    LARGEST_SCALE,
    Layout,
    is_nifti,
    read_header,
    stored_dtype,
    voxel_offset,
)
from medkd_lib.data.problems import Problem, bad
from medkd_lib.data.volume import Volume
from medkd_lib.data.voxels import three_axes

HEADER_BYTES = 348


def read_pair(
    path: Path, *, axcodes: str | None = None, spacing_mm: Sequence[float] | None = None
) -> Volume:
    """Return the image of a pair of files, whichever of the two is named.

    Args:
        path: ``.hdr`` or ``.img``, packed (``.gz``) or not.
        axcodes: where the axes point; required for Analyze. The header's own statement and any
            flip that other software applies are ignored.
        spacing_mm: voxel size; needed if the header has none, else it must agree.

    Raises:
        DataError: ``missing_pair``, ``not_analyze``, ``no_orientation``, ``no_spacing`` or what
            `medkd_lib.data.nifti.nifti_from_bytes` raises.
    """
    header_path, image_path = pair_of(path)
    header, odd_header = inflate(read_bytes(header_path), header_path)
    image, odd_image = inflate(read_bytes(image_path), image_path)
    if is_nifti(header):
        layout = read_header(header, header_path)
    else:
        layout = _analyze_layout(header, header_path)
    odd = (*odd_header, *odd_image)
    return assemble(image, layout, image_path, axcodes, spacing_mm, odd)


def pair_of(path: Path) -> tuple[Path, Path]:
    """Return the paths of header and image.

    Raises:
        DataError: ``missing_pair``, or ``missing_file`` if neither is there.
    """
    packed = ".gz" if path.suffix.lower() == ".gz" else ""
    named = path.with_suffix("") if packed else path
    read_bytes(path)  # names the file if it is the one that is missing
    other = {".hdr": ".img", ".img": ".hdr"}[named.suffix.lower()]
    beside = {p.name.lower(): p for p in path.parent.iterdir()}
    stem = named.stem.lower()
    found = beside.get(f"{stem}{other}") or beside.get(f"{stem}{other}.gz")
    if found is None:
        raise bad(
            "missing_pair", path, expected=f"{named.stem}{other} beside it",
            found=f"no such file in {path.parent}", next_step="fetch both files of the pair",
        )  # fmt: skip
    return (path, found) if other == ".img" else (found, path)


def _analyze_layout(content: bytes, where: Path) -> Layout:
    """Layout of an Analyze 7.5 header; its affine is None on purpose."""
    size = content[:4]
    if len(content) < HEADER_BYTES or HEADER_BYTES not in (
        int.from_bytes(size, "little"),
        int.from_bytes(size, "big"),
    ):
        raise bad(
            "not_analyze", where, expected=f"an Analyze or NIfTI header of {HEADER_BYTES} bytes",
            found=f"{len(content)} bytes that begin {content[:8]!r}",
            next_step="check what the file is (ENVI and others use .hdr too), or fetch it again",
        )  # fmt: skip
    header = nib.Spm2AnalyzeHeader(content[:HEADER_BYTES], check=False)
    ndim = int(header["dim"][0])
    shape, problems = three_axes([int(n) for n in header["dim"][1 : ndim + 1]], where)
    dtype = stored_dtype(header, where)
    slope, odd = _spm_slope(header, where)
    spacing = [abs(float(s)) for s in header["pixdim"][1:4]]
    return Layout(
        shape, dtype, voxel_offset(header, 0, where), slope, 0.0, None,
        (spacing[0], spacing[1], spacing[2]), (*problems, *odd),
    )  # fmt: skip


def _spm_slope(header: nib.Spm2AnalyzeHeader, where: Path) -> tuple[float, list[Problem]]:
    """Scale factor in the field that Analyze leaves unused and SPM fills (recalled)."""
    slope = float(header["scl_slope"])
    if slope in (0.0, 1.0) or np.isnan(slope):
        return 1.0, []
    if not abs(slope) <= LARGEST_SCALE:
        raise bad(
            "bad_scale", where, expected=f"a factor up to {LARGEST_SCALE:g}", found=f"{slope:g}",
            next_step="the header is damaged: fetch or convert the file again",
        )  # fmt: skip
    note = Problem(
        "spm_scale", str(where), "stored values", f"a factor of {slope:g} in SPM's field",
        "check the range of values: the factor is applied", severity="warning",
    )  # fmt: skip
    return slope, [note]
