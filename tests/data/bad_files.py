"""Builders of tiny good and bad image files, by the kind of their defect."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

Edit = Callable[[Dataset, int], None]

AFFINE = np.array([[-2.0, 0, 0, 30], [0, -3, 0, 20], [0, 0, 4, -10], [0, 0, 0, 1]])
"""LPS, 2 × 3 × 4 mm."""


def ramp(shape: Sequence[int] = (4, 5, 6), dtype: str = "int16") -> NDArray[Any]:
    """Every voxel another value, so that no flip or swap goes unseen."""
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


def nifti(
    path: Path,
    array: NDArray[Any] | None = None,
    affine: NDArray[Any] | None = AFFINE,
    **header: object,
) -> Path:
    """Write a NIfTI file; ``header`` overwrites raw fields, ``dim`` included."""
    values = ramp() if array is None else array
    image = nib.Nifti1Image(values, affine, dtype=values.dtype)
    blob = bytearray(image.to_bytes())
    raw = nib.Nifti1Header(bytes(blob[:348]), check=False)
    for name, value in header.items():
        raw[name] = value
    blob[:348] = raw.binaryblock
    path.write_bytes(gzip.compress(bytes(blob)) if path.suffix == ".gz" else bytes(blob))
    return path


def _with_bytes(make: Callable[[bytes], bytes], name: str = "a.nii.gz") -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        path = nifti(folder / name)
        path.write_bytes(make(path.read_bytes()))
        return path

    return build


def _flipped(blob: bytes, at: int) -> bytes:
    out = bytearray(blob)
    out[at] ^= 0xFF
    return bytes(out)


def _file(**header: object) -> Callable[[Path], Path]:
    return lambda folder: nifti(folder / "a.nii", **header)  # type: ignore[arg-type]


def _array(array: NDArray[Any], affine: NDArray[Any] = AFFINE) -> Callable[[Path], Path]:
    return lambda folder: nifti(folder / "a.nii", array, affine)


def _voxel(value: float) -> NDArray[Any]:
    array = ramp(dtype="float32")
    array[1, 2, 3] = value
    return array


def _turned(degrees: float, shear: float = 0.0) -> NDArray[Any]:
    a = np.radians(degrees)
    turn = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    affine = AFFINE.copy()
    affine[:3, :3] = turn @ AFFINE[:3, :3]
    affine[1, 2] += shear
    return affine


COLOUR = np.zeros((4, 5, 6), np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]))

# kind → builder; the file cannot be read.
NIFTI_ERRORS: dict[str, list[Callable[[Path], Path]]] = {
    "missing_file": [lambda folder: folder / "nothing.nii.gz"],
    "empty_file": [_with_bytes(lambda b: b"")],
    "truncated": [_with_bytes(lambda b: b[: len(b) // 2]), _with_bytes(lambda b: b[:-9])],
    "corrupt": [
        _with_bytes(lambda b: _flipped(b, -6)),  # the CRC-32
        _with_bytes(lambda b: _flipped(b, len(b) // 2)),
        _with_bytes(lambda b: _flipped(b, -2)),  # the length
    ],
    "web_page": [
        _with_bytes(lambda b: b"<!DOCTYPE html><html><title>Sign in</title></html>"),
        _with_bytes(lambda b: gzip.compress(b"\n<html>")),
    ],
    "lfs_pointer": [_with_bytes(lambda b: b"version https://git-lfs.github.com/spec/v1\n")],
    "not_nifti": [_with_bytes(lambda b: b"\x00" * 900), _with_bytes(lambda b: b"short")],
    "bad_header": [
        _file(dim=[0, 4, 5, 6, 1, 1, 1, 1]),
        _file(vox_offset=17.0),
        _file(vox_offset=np.nan),
    ],
    "too_few_voxels": [
        _file(dim=[3, 4, 5, 60, 1, 1, 1, 1]),
        _file(dim=[3, 32767, 32767, 32767, 1, 1, 1, 1]),
    ],
    "zero_axis": [_file(dim=[3, 4, 0, 6, 1, 1, 1, 1]), _file(dim=[3, 4, -5, 6, 1, 1, 1, 1])],
    "four_d": [_array(ramp((4, 5, 6, 2)))],
    "colour": [_array(COLOUR)],
    "complex": [_array(ramp(dtype="complex64"))],
    "unsupported_dtype": [_file(datatype=1), _file(datatype=77)],
    "nan_voxels": [_array(_voxel(np.nan))],
    "inf_voxels": [
        _array(_voxel(np.inf)),
        _array(_voxel(-np.inf)),
        _array(np.full((4, 5, 6), 1e300)),
    ],
    "bad_scale": [
        _file(scl_slope=1e30),
        _file(scl_slope=np.inf),
        _file(scl_slope=1.0, scl_inter=np.nan),
    ],
    "no_orientation": [_file(qform_code=0, sform_code=0)],
    "forms_disagree": [
        # the sform is mirrored against the qform
        _file(qform_code=1, sform_code=1, srow_x=[2, 0, 0, 30]),
    ],
    "bad_spacing": [
        _file(qform_code=1, sform_code=0, pixdim=[1, 2, -3, 4, 1, 1, 1, 1]),
        _file(qform_code=1, sform_code=0, quatern_b=3.0),
    ],
    "singular_affine": [
        _file(sform_code=1, qform_code=0, srow_z=[0, 0, 0, 0]),
        _file(sform_code=1, qform_code=0, srow_z=[0, 0, np.nan, 0]),
        _file(sform_code=1, qform_code=0, srow_y=[-2, 0, 0, 0]),
    ],
    "absurd_spacing": [
        _array(ramp(), np.diag([2.0, 3.0, 400.0, 1.0])),
        _array(ramp(), np.diag([2.0, 3.0, 1e-4, 1.0])),
    ],
}

# (kind, severity) → builder; the file is read and says what was odd.
NIFTI_ODD: dict[tuple[str, str], Callable[[Path], Path]] = {
    ("four_d", "repaired"): _array(ramp((4, 5, 6, 1))),
    ("two_d", "repaired"): _array(ramp((4, 5))),
    ("scale_ignored", "warning"): _file(scl_slope=0.0, scl_inter=7.0),
    ("forms_disagree", "warning"): _file(
        qform_code=1, sform_code=4, srow_x=[-2, 0, 0, 35], srow_y=[0, -3, 0, 20]
    ),
    ("oblique", "warning"): _array(ramp(), _turned(10)),
    ("sheared", "warning"): _array(ramp(), _turned(0, shear=0.5)),
    ("identity_affine", "warning"): _array(ramp(), np.eye(4)),
    ("not_millimetres", "repaired"): _file(
        xyzt_units=3,
        srow_x=[-2000, 0, 0, 0],
        srow_y=[0, -3000, 0, 0],
        srow_z=[0, 0, 4000, 0],
        qform_code=0,
    ),
    ("more_bytes", "warning"): _with_bytes(lambda b: b + b"tail", "a.nii"),
    ("trailing_bytes", "warning"): _with_bytes(lambda b: b + b"tail"),
}


def analyze(folder: Path, array: NDArray[Any] | None = None, **header: object) -> Path:
    """Write an Analyze 7.5 pair and return the header's path."""
    values = ramp() if array is None else array
    image = nib.AnalyzeImage(values, None)
    image.header.set_zooms((2.0, 3.0, 4.0))
    for name, value in header.items():
        image.header[name] = value
    image.to_filename(str(folder / "a.img"))
    return folder / "a.hdr"


def itk(path: Path, array: NDArray[Any] | None = None, *, compress: bool = False) -> Path:
    """Write NRRD or MetaImage on the grid of `AFFINE`."""
    values = ramp() if array is None else array
    image = sitk.GetImageFromArray(values.T, isVector=False)
    image.SetSpacing((2.0, 3.0, 4.0, 1.0)[: values.ndim])
    image.SetOrigin((-30.0, -20.0, -10.0, 0.0)[: values.ndim])
    sitk.WriteImage(image, str(path), useCompression=compress)
    return path


def dicom_slice(pixels: NDArray[Any], **tags: object) -> FileDataset:
    """Return one CT slice; ``pixels`` is (rows, columns)."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID = CTImageStorage
    ds.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    ds.Modality, ds.PatientID = "CT", "P1"
    ds.SeriesInstanceUID, ds.StudyInstanceUID = "1.2.3", "1.2"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.Rows, ds.Columns = pixels.shape[:2]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = pixels.dtype.itemsize * 8
    ds.HighBit = ds.BitsStored - 1
    ds.PixelRepresentation = int(pixels.dtype.kind == "i")
    ds.RescaleSlope, ds.RescaleIntercept = "1", "-1024"
    ds.PixelData = pixels.tobytes()
    for name, value in tags.items():
        setattr(ds, name, value)
    return ds


def series(
    folder: Path,
    stored: NDArray[Any] | None = None,
    *,
    cosines: Sequence[float] = (1, 0, 0, 0, 1, 0),
    spacing: Sequence[float] = (2.0, 3.0, 4.0),
    origin: Sequence[float] = (-30.0, -20.0, -10.0),
    step: Sequence[float] | None = None,
    edit: Edit | None = None,
    prefix: str = "",
    **tags: object,
) -> Path:
    """Write a CT series in a misleading order of names and InstanceNumbers.

    Args:
        folder: made if missing.
        stored: (columns, rows, slices).
        cosines: ImageOrientationPatient.
        spacing: along the array's axes.
        origin: LPS position of the first slice.
        step: from slice to slice; default along the normal.
        edit: called with every data set and its slice before it is written.
        prefix: of the names, for a second series in the same folder.
        tags: set on every slice.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stored = ramp() if stored is None else stored
    row, column = np.array(cosines[:3], float), np.array(cosines[3:], float)
    move = np.cross(row, column) * spacing[2] if step is None else np.array(step)
    count = stored.shape[2]
    names = [(7 * k + 3) % (count + 1) for k in range(count)]
    for k in range(count):
        ds = dicom_slice(np.ascontiguousarray(stored[:, :, k].T))
        ds.ImageOrientationPatient = [f"{c:.10g}" for c in cosines]
        ds.ImagePositionPatient = [f"{p:.10g}" for p in np.array(origin) + k * move]
        ds.PixelSpacing = [str(spacing[1]), str(spacing[0])]
        ds.InstanceNumber = count - k
        ds.AcquisitionNumber = 1
        for name, value in tags.items():
            setattr(ds, name, value)
        if edit is not None:
            edit(ds, k)
        ds.save_as(folder / f"{prefix}{names[k]}_{k}.dcm", enforce_file_format=True)
    return folder


def pngs(folder: Path, names: Sequence[str], size: tuple[int, int] = (4, 5)) -> Path:
    """Write grey slices whose value is their place in ``names``."""
    folder.mkdir(parents=True, exist_ok=True)
    for k, name in enumerate(names):
        Image.fromarray(np.full(size, k, np.uint8)).save(folder / name)
    return folder
