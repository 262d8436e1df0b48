"""A NIfTI header's answers: how many voxels of which type, scaled how, lying where."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError

from medkd_lib.data.geometry import Affine
from medkd_lib.data.problems import Problem, bad
from medkd_lib.data.voxels import Shape, require_grey, three_axes

LARGEST_SCALE = 1e10
"""No image needs larger factors: Bq/mL stay below 1e9. Beyond, the header's bytes are damaged."""

FORMS_TOLERANCE = 0.1
"""How far apart, in voxels, the two forms may place a corner: they are stored in float32."""

MILLIMETRES = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}  # xyzt_units: unknown, metre, mm, micron


@dataclass(frozen=True)
class Layout:
    """What to read and what it means.

    Attributes:
        shape: voxels along the three axes.
        dtype: of the stored numbers, with their byte order.
        offset: bytes before the first voxel.
        slope, inter: value = slope · stored + inter; 1 and 0 if the file does not scale.
        affine: index → RAS+ mm; None if the header holds neither qform nor sform.
        spacing_mm: the header's pixdim, for files without affine.
        problems: repairs and warnings.
    """

    shape: Shape
    dtype: np.dtype[np.generic]
    offset: int
    slope: float
    inter: float
    affine: Affine | None
    spacing_mm: tuple[float, float, float]
    problems: tuple[Problem, ...]


def is_nifti(content: bytes) -> bool:
    """Whether the bytes begin with a NIfTI-1 or NIfTI-2 header (single file or pair)."""
    return content[344:347] in (b"n+1", b"ni1") or content[4:7] in (b"n+2", b"ni2")


def read_header(content: bytes, where: Path | str) -> Layout:
    """Return the layout that the header at the start of ``content`` describes.

    Raises:
        DataError: ``not_nifti``, ``bad_header``, ``zero_axis``, ``four_d``, ``colour``,
            ``complex``, ``unsupported_dtype``, ``bad_scale``, ``bad_spacing``, ``forms_disagree``.
    """
    header = _parse(content, where)
    ndim = int(header["dim"][0])
    if not 1 <= ndim <= 7:
        raise bad(
            "bad_header", where, expected="1 to 7 axes", found=f"dim[0] = {ndim}",
            next_step="fetch or convert the file again",
        )  # fmt: skip
    shape, problems = three_axes([int(n) for n in header["dim"][1 : ndim + 1]], where)
    dtype = stored_dtype(header, where)
    slope, inter, odd = _scale(header, where)
    affine, odd_forms = _affine(header, where)
    offset = voxel_offset(header, _least_offset(header), where)
    spacing = [abs(float(s)) for s in header["pixdim"][1:4]]
    return Layout(
        shape, dtype, offset, slope, inter, affine,
        (spacing[0], spacing[1], spacing[2]), (*problems, *odd, *odd_forms),
    )  # fmt: skip


def _parse(content: bytes, where: Path | str) -> nib.Nifti1Header:
    if not is_nifti(content):
        raise bad(
            "not_nifti", where, expected="a NIfTI header (n+1, ni1, n+2)",
            found=f"{len(content)} bytes that begin {content[:16]!r}",
            next_step="check what the file is (`file NAME`); convert it, or fetch it again",
        )  # fmt: skip
    first = content[344:347] in (b"n+1", b"ni1")
    kind = nib.Nifti1Header if first else nib.Nifti2Header
    size = kind.template_dtype.itemsize
    if len(content) < size:
        raise bad(
            "too_few_voxels", where, expected=f"a header of {size} bytes",
            found=f"{len(content)} bytes", next_step="fetch the file again",
        )  # fmt: skip
    return kind(content[:size], check=False)


def _least_offset(header: nib.Nifti1Header) -> int:
    """Header and extension flag; a pair keeps its voxels at the start of its other file."""
    single = bytes(header["magic"].item())[1:2] == b"+"
    return header.template_dtype.itemsize + 4 if single else 0


def stored_dtype(header: nib.AnalyzeHeader, where: Path | str) -> np.dtype[np.generic]:
    """Return what a voxel is stored as, or raise what `require_grey` raises."""
    try:
        dtype, name = header.get_data_dtype(), header.get_value_label("datatype")
    except (HeaderDataError, KeyError):
        dtype, name = None, f"datatype code {int(header['datatype'])}"
    require_grey(dtype, str(name), where)
    return np.dtype(dtype)


def voxel_offset(header: nib.AnalyzeHeader, least: int, where: Path | str) -> int:
    """Return the first byte of the voxels, or raise `DataError` ``bad_header``."""
    stated = float(header["vox_offset"])
    if stated == 0:
        return least
    if not (least <= stated < 2**53 and stated == int(stated)):
        raise bad(
            "bad_header", where, expected=f"voxels from byte {least} on",
            found=f"vox_offset = {stated:g}", next_step="fetch or convert the file again",
        )  # fmt: skip
    return int(stated)


def _scale(header: nib.Nifti1Header, where: Path | str) -> tuple[float, float, list[Problem]]:
    """Slope and intercept; NIfTI-1: a slope of 0 means no scaling (NaN is read the same way)."""
    slope, inter = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0 or np.isnan(slope):
        if inter == 0 or np.isnan(inter):
            return 1.0, 0.0, []
        note = Problem(
            "scale_ignored", str(where), "a slope with the intercept",
            f"scl_slope = {slope:g}, scl_inter = {inter:g}",
            "check the values: a slope of 0 switches the intercept off too", severity="warning",
        )  # fmt: skip
        return 1.0, 0.0, [note]
    if not (abs(slope) <= LARGEST_SCALE and abs(inter) <= LARGEST_SCALE):
        raise bad(
            "bad_scale", where, expected=f"slope and intercept up to {LARGEST_SCALE:g}",
            found=f"scl_slope = {slope:g}, scl_inter = {inter:g}",
            next_step="the header is damaged: fetch or convert the file again",
        )  # fmt: skip
    return slope, inter, []


def _affine(header: nib.Nifti1Header, where: Path | str) -> tuple[Affine | None, list[Problem]]:
    """Index → RAS+ mm: the sform if it has a code, else the qform, else None.

    That is nibabel's order. The two may describe two worlds (scanner and atlas): then the sform is
    taken and a warning left. Never accepted: forms whose axes point to different sides.
    """
    if header["pixdim"][0] == 0:
        header["pixdim"][0] = 1.0  # NIfTI-1: a qfac of 0 is read as 1
    try:
        qform, q_code = header.get_qform(coded=True)
    except (HeaderDataError, ValueError) as error:
        raise bad(
            "bad_spacing", where, expected="positive pixdim and a rotation in the qform",
            found=f"pixdim {[float(p) for p in header['pixdim'][:4]]}: {error}",
            next_step="convert the file again, or state a fix_affine in the manifest",
        ) from error  # fmt: skip
    sform, s_code = header.get_sform(coded=True)
    affine = sform if s_code else qform
    if affine is None:
        return None, []
    problems: list[Problem] = []
    if q_code and s_code:
        problems += _compare_forms(header, qform, sform, where)
    factor = MILLIMETRES.get(int(header["xyzt_units"]) & 7, 1.0)
    if factor != 1.0:
        affine = affine.copy()
        affine[:3] *= factor
        problems.append(
            Problem(
                "not_millimetres", str(where), "an affine in millimetres",
                f"xyzt_units says 1 unit = {factor:g} mm", "nothing to do: converted",
                severity="repaired",
            )
        )  # fmt: skip
    return np.asarray(affine, np.float64), problems


def _compare_forms(
    header: nib.Nifti1Header, qform: Affine, sform: Affine, where: Path | str
) -> list[Problem]:
    last = np.maximum(np.array(header["dim"][1:4], float) - 1, 0)
    corners = np.array(np.meshgrid(*([0.0, n] for n in last))).reshape(3, -1)
    moved = (qform - sform)[:3, :3] @ corners + (qform - sform)[:3, 3:]
    apart = float(np.linalg.norm(moved, axis=0).max())
    voxel = float(np.min(np.linalg.norm(qform[:3, :3], axis=0)))
    if apart <= FORMS_TOLERANCE * voxel:
        return []
    q_axes, s_axes = ("".join(map(str, nib.aff2axcodes(a))) for a in (qform, sform))
    found = (
        f"qform (code {int(header['qform_code'])}, axes {q_axes}) and sform (code "
        f"{int(header['sform_code'])}, axes {s_axes}) up to {apart:.3g} mm apart"
    )
    if q_axes != s_axes:
        raise bad(
            "forms_disagree", where, expected="one orientation in qform and sform", found=found,
            next_step="compare with a picture of the patient, then write the right one to both",
        )  # fmt: skip
    return [
        Problem(
            "forms_disagree", str(where), "one place in qform and sform", found,
            "check which world you mean: the sform is used", severity="warning",
        )
    ]  # fmt: skip
