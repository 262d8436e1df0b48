"""Analyze 7.5 pairs as OASIS-1 has them: big-endian, a voxel size, and no orientation at all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray


def write_analyze(path: Path, array: NDArray[np.generic], spacing_mm: Sequence[float]) -> None:
    """Write ``path`` (``….hdr``) and the ``.img`` beside it; the bytes depend on the arguments.

    Args:
        path: of the header.
        array: (I, J, K) of a dtype that Analyze has (int16 here); kept as it is. Where its axes
            point is written nowhere, since the format has no place that software agrees on.
        spacing_mm: voxel size along the axes.

    Raises:
        ValueError: if the name does not end in ``.hdr`` or the array has not three axes.
    """
    values = np.asarray(array)
    if path.suffix != ".hdr" or values.ndim != 3:
        raise ValueError(
            f"{path}: expected a name that ends in .hdr and three axes, found {path.suffix!r} and "
            f"shape {values.shape}; the voxels go into the .img beside it"
        )
    header = nib.AnalyzeHeader(endianness=">")
    header.set_data_dtype(values.dtype)
    header.set_data_shape(values.shape)
    header.set_zooms([float(s) for s in spacing_mm])
    path.write_bytes(header.binaryblock)
    big = values.astype(values.dtype.newbyteorder(">"), copy=False)
    path.with_suffix(".img").write_bytes(big.tobytes(order="F"))
