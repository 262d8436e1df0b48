"""What every twin's writer does with files: build aside, work in order, write the same bytes."""

from __future__ import annotations

import csv
import gzip
import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import nibabel as nib
import numpy as np
from numpy.typing import ArrayLike, NDArray

from medkd_lib.atomic import build_folder, check_free

__all__ = [
    "build_folder", "check_free", "check_request", "in_order", "write_nifti", "write_table",
]  # fmt: skip

Job = TypeVar("Job")
Result = TypeVar("Result")


def check_request(
    patients: int, workers: int, named: Mapping[str, tuple[str, Sequence[str]]], *, least: int = 1,
    why: str = "",
) -> None:  # fmt: skip
    """Refuse what no writer can do.

    Args:
        patients: asked for.
        workers: processes asked for.
        named: argument → what was asked for, and what there is.
        least: number of patients that the broken cases need.
        why: said when there are fewer.

    Raises:
        ValueError: an unknown name, or an impossible number.
    """
    for name, (value, known) in named.items():
        if value not in known:
            raise ValueError(
                f"{name}: expected one of {tuple(known)}, found {value!r}; check spelling"
            )
    if patients < least or workers < 1:
        raise ValueError(
            f"expected patients ≥ {least} and workers ≥ 1, found {patients} and {workers}"
            + (f"; {why}" if why else "")
        )


def in_order(
    make: Callable[[Job], Result], jobs: Iterable[Job], workers: int, *, chunk: int = 1
) -> Iterator[Result]:
    """``map(make, jobs)``, in the order of the jobs, by this process or by several.

    Args:
        make: a function of a module (it is pickled by name).
        jobs: small picklable descriptions.
        workers: processes; 1 works in this one.
        chunk: jobs sent at once to a process; more for jobs far below a second.
    """
    if workers == 1:
        yield from map(make, jobs)
        return
    # spawn works alike on Linux, macOS and Windows, and forks no threads of the caller
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        yield from pool.map(make, jobs, chunksize=chunk)


def write_table(
    path: Path, kind: type[Any], rows: Iterable[object], *, only: Sequence[str] = ()
) -> None:
    """Write a CSV with one line per row.

    Args:
        path: file to write.
        kind: dataclass of the rows; its fields are the columns.
        rows: any number of them.
        only: these fields alone, in this order; empty means all.
    """
    columns = only or [field.name for field in fields(kind)]
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([getattr(row, column) for column in columns] for row in rows)


def write_nifti(
    path: Path, array: NDArray[np.generic], affine: ArrayLike, *, level: int = 1
) -> None:
    """Write a ``.nii.gz`` whose bytes depend on the arguments alone.

    The gzip header carries neither time nor file name; the NIfTI header is little-endian, in
    millimetres, with qform and sform both of code 1 (scanner coordinates) and zooms from the
    affine.

    Args:
        path: file to write.
        array: any dtype of NIfTI-1; kept as it is.
        affine: (4, 4) voxel index → RAS+ millimetres, without shear.
        level: gzip level; 1 is several times faster than 6 and little larger on noisy images.
    """
    matrix = np.asarray(affine, np.float64)
    values = np.asarray(array)
    header = nib.Nifti1Header(endianness="<")
    header.set_data_dtype(values.dtype)
    header.set_data_shape(values.shape)
    zooms = np.sqrt((matrix[:3, :3] ** 2).sum(axis=0))
    header.set_zooms([*zooms, *np.ones(values.ndim - 3)])
    header.set_qform(matrix, code=1)
    header.set_sform(matrix, code=1)
    header.set_xyzt_units("mm")
    header.set_slope_inter(1.0, 0.0)
    header["magic"] = b"n+1"
    header["vox_offset"] = 352  # 348 bytes of header and four that say "no extension"
    with (
        path.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=level, mtime=0) as zipped,
    ):
        zipped.write(header.binaryblock + b"\0\0\0\0")
        little = values.astype(values.dtype.newbyteorder("<"), copy=False)
        zipped.write(little.tobytes(order="F"))
