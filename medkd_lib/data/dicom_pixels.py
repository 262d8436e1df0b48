"""Pixels of ordered slices → one array in the modality's unit (rescaled slice by slice)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.pixels import get_decoder
from pydicom.uid import UID

from medkd_lib.data.dicom_sort import Slice
from medkd_lib.data.problems import Problem, bad
from medkd_lib.data.units import AIR_HU

NEEDS_RESCALE = ("CT", "PT")

NO_TISSUE_HU = -900.0
"""A padding value above this would also be the value of lung or fat: then it is left alone."""


def read_pixels(slices: Sequence[Slice], folder: Path) -> tuple[NDArray[np.generic], list[Problem]]:
    r"""Return ``(columns, rows, slices)``, rescaled with each slice's own factors.

    .. math:: v = \text{slope}\cdot s + \text{intercept}

    PET scanners change the slope from slice to slice.

    Integers stay integers (int16, or int32 if needed) where slope and intercept are whole;
    everything else becomes float32. CT voxels of PixelPaddingValue become −1024 HU.

    Raises:
        DataError: ``no_rescale``, ``bad_scale``, ``transfer_syntax``, ``corrupt``.
    """
    first = slices[0].header
    factors = [_rescale(s) for s in slices]
    # int32 holds any 16-bit pixel after whole factors of usual size
    whole = int(first.BitsAllocated) <= 16 and all(
        slope == int(slope) and inter == int(inter) and abs(slope) <= 1024
        for slope, inter in factors
    )
    out: NDArray[Any] = np.empty(
        (len(slices), first.Rows, first.Columns), np.int32 if whole else np.float32
    )
    padded, kept = 0, ""
    for k, (s, (slope, inter)) in enumerate(zip(slices, factors, strict=True)):
        stored = _decode(s)
        if whole:
            out[k] = stored
            out[k] *= int(slope)
            out[k] += int(inter)
        else:
            out[k] = stored * slope + inter
        padding = _padding(s)
        if padding is None:
            continue
        low, high = sorted((padding[0] * slope + inter, padding[1] * slope + inter))
        if high > NO_TISSUE_HU:
            kept = f"{low:g} to {high:g} HU"
        elif high != AIR_HU or low != AIR_HU:
            at = (stored >= padding[0]) & (stored <= padding[1])
            padded += int(at.sum())
            out[k][at] = AIR_HU
    if whole and out.min() >= -32768 and out.max() <= 32767:
        out = out.astype(np.int16)
    return out.T, _notes(slices, padded, kept, folder)


def _notes(slices: Sequence[Slice], padded: int, kept: str, folder: Path) -> list[Problem]:
    problems: list[Problem] = []
    if padded:
        problems.append(
            Problem(
                "padding", str(folder), "CT numbers", f"{padded} voxels of PixelPaddingValue",
                f"nothing to do: set to {AIR_HU} HU", severity="repaired",
            )
        )  # fmt: skip
    if kept:
        problems.append(
            Problem(
                "padding", str(folder), f"a PixelPaddingValue below {NO_TISSUE_HU:g} HU", kept,
                "check the corners: tissue has such values too, so they are left alone",
                severity="warning",
            )
        )  # fmt: skip
    if any(s.text("PhotometricInterpretation") == "MONOCHROME1" for s in slices):
        problems.append(
            Problem(
                "monochrome1", str(folder), "MONOCHROME2", "MONOCHROME1 (low values shown white)",
                "check the picture: it concerns display alone, values are left as they are",
                severity="warning",
            )
        )  # fmt: skip
    return problems


def require_plain(s: Slice) -> None:
    """Refuse what is not one grey slice of stored integers.

    Raises:
        DataError: ``multiframe``, ``colour``, ``unsupported_dtype`` or ``modality_lut``.
    """
    header = s.header
    if int(header.get("NumberOfFrames") or 1) > 1:
        raise bad(
            "multiframe", s.path, expected="one slice per file",
            found=f"{header.NumberOfFrames} frames",
            next_step="convert it with dcm2niix and name the NIfTI file",
        )  # fmt: skip
    photometric = s.text("PhotometricInterpretation")
    if int(header.get("SamplesPerPixel") or 1) != 1 or photometric == "PALETTE COLOR":
        raise bad(
            "colour", s.path, expected="grey pixels", found=photometric,
            next_step="this is a screenshot or an overlay: take it out of the folder",
        )  # fmt: skip
    if "PixelData" not in header:
        raise bad(
            "unsupported_dtype", s.path, expected="integer pixels", found="FloatPixelData",
            next_step="convert it to NIfTI",
        )  # fmt: skip
    if "ModalityLUTSequence" in header:
        raise bad(
            "modality_lut", s.path, expected="RescaleSlope and RescaleIntercept",
            found="a look-up table", next_step="convert it with a tool that applies the table",
        )  # fmt: skip


def _rescale(s: Slice) -> tuple[float, float]:
    slope, inter = s.text("RescaleSlope"), s.text("RescaleIntercept")
    if not slope and not inter and s.text("Modality") not in NEEDS_RESCALE:
        return 1.0, 0.0  # MR: stored values are the values
    if not slope or not inter:
        raise bad(
            "no_rescale", s.path, expected="RescaleSlope and RescaleIntercept",
            found=f"{slope or 'none'} and {inter or 'none'}",
            next_step="use another export; guessing −1024 is how CT numbers go wrong by 1024",
        )  # fmt: skip
    if not np.isfinite([float(slope), float(inter)]).all() or float(slope) == 0:
        raise bad(
            "bad_scale", s.path, expected="a slope other than 0", found=f"{slope} and {inter}",
            next_step="fetch the series again; tags are damaged",
        )  # fmt: skip
    return float(slope), float(inter)


def _padding(s: Slice) -> tuple[int, int] | None:
    """Lowest and highest stored value that means "no data", for CT."""
    value = s.header.get("PixelPaddingValue")
    if value is None or s.text("Modality") != "CT":
        return None
    bits = int(s.header.BitsAllocated)
    limit = s.header.get("PixelPaddingRangeLimit")
    ends = [int(value), int(value if limit is None else limit)]
    if s.header.PixelRepresentation:  # −2000 is often written as 63536
        ends = [e - (1 << bits) if e >= 1 << (bits - 1) else e for e in ends]
    else:
        ends = [e + (1 << bits) if e < 0 else e for e in ends]
    return min(ends), max(ends)


def _decode(s: Slice) -> NDArray[Any]:
    syntax = UID(getattr(s.header.file_meta, "TransferSyntaxUID", "") or "")
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        raise bad(
            "transfer_syntax", s.path, expected="a transfer syntax of still images",
            found=f"{syntax.name or 'none'} ({syntax or 'no UID'})",
            next_step="convert the series with dcmconv or gdcmconv to Explicit VR Little Endian",
        ) from error  # fmt: skip
    if not decoder.is_available:
        raise bad(
            "transfer_syntax", s.path, expected="a decoder for its pixels",
            found=f"none for {syntax.name} ({syntax})",
            next_step="install one of: " + "; ".join(decoder.missing_dependencies),
        )  # fmt: skip
    shape = (int(s.header.Rows), int(s.header.Columns))
    try:
        pixels: NDArray[Any] = s.header.pixel_array
    except Exception as error:  # every decoder has its own types; all mean damaged pixels
        raise _corrupt(s, f"{type(error).__name__}: {error}") from error
    if pixels.shape != shape:
        raise _corrupt(s, f"{pixels.shape}")
    return pixels


def _corrupt(s: Slice, found: str) -> Exception:
    return bad(
        "corrupt", s.path, expected=f"{s.header.Rows}×{s.header.Columns} pixels", found=found,
        next_step="fetch the file again; its pixels are cut off or damaged",
    )  # fmt: skip
