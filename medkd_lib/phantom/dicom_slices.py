"""The slices of one series: what they share encoded once, what each has of its own, in files.

DICOM counts millimetres to the patient's left and back (LPS), our affines to the right and front.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    ExplicitVRLittleEndian,
    PositronEmissionTomographyImageStorage,
    generate_uid,
)
from pydicom.valuerep import DSfloat, format_number_as_ds

from medkd_lib.atomic import build_folder
from medkd_lib.phantom.dicom_encode import encoded, short, write_encoded
from medkd_lib.phantom.dicom_header import image_header, series_header
from medkd_lib.phantom.tissue_pet import Tracer

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
INT16 = np.iinfo(np.int16)

META_INSTANCE, SOP_INSTANCE = 0x00020003, 0x00080018
PLACE, NUMBER, SLOPE, INDEX = 0x00200032, 0x00200013, 0x00281053, 0x00541330
"""Tags of what differs between the slices of a series: identifiers, ImagePositionPatient,
InstanceNumber, RescaleSlope, ImageIndex."""


@dataclass(frozen=True)
class Series:
    """What all files of a series share."""

    modality: Literal["CT", "PT"]
    patient: str
    seed: int
    time: datetime
    tracer: Tracer = "fdg"

    @property
    def words(self) -> tuple[str, ...]:
        """What tells its identifiers from those of other series of the patient."""
        return (self.modality,) if self.tracer == "fdg" else (self.modality, self.tracer)

    def uid(self, *parts: object) -> UID:
        """Return the identifier of a thing: the same for the same words."""
        words = [self.patient, str(self.seed), *map(str, parts)]
        return generate_uid(entropy_srcs=["medkd", *words])


def write_slices(
    folder: Path,
    voxels: NDArray[np.float64],
    affine: ArrayLike,
    series: Series,
    slopes: NDArray[np.float64],
    intercept: float,
    extra: Dataset,
    shuffle_instances: bool,
) -> Path:
    """Write one file per slice of the last axis, names and order shuffled by the series' seed.

    Args:
        folder: to create; an existing empty one is replaced.
        voxels: (I, J, K).
        affine: (4, 4), voxel → RAS+ millimetres, axes at right angles.
        series: what all files share.
        slopes: (K,) ``RescaleSlope`` of each slice.
        intercept: ``RescaleIntercept``.
        extra: elements added to, or in place of, the usual ones.
        shuffle_instances: ``InstanceNumber`` too says nothing about the place.

    Raises:
        ValueError: axes not at right angles, or a value int16 cannot hold.
    """
    lps = RAS_TO_LPS @ np.asarray(affine, np.float64)
    sizes = np.linalg.norm(lps[:3, :3], axis=0)
    axes = lps[:3, :3] / sizes
    if not np.allclose(axes.T @ axes, np.eye(3), atol=1e-5):
        raise ValueError("affine: expected axes at right angles, found shear; resample first")
    count = voxels.shape[2]
    rng = np.random.default_rng([series.seed, count])
    # Names and places have nothing to do with each other in real archives.
    file_of = rng.permutation(count)
    instance_of = rng.permutation(count) if shuffle_instances else np.arange(count)
    shared = encoded(_shared(series, voxels.shape, intercept, sizes, axes, extra))
    meta = encoded(_meta(series))
    width = max(2, len(str(count)))
    # A DICOM row is a line of constant j: the first axis of ours runs along it.
    rows = np.ascontiguousarray(voxels.T)
    with build_folder(folder) as building:
        for k in range(count):
            stored = rows[k] - intercept
            stored /= slopes[k]
            np.rint(stored, out=stored)
            low, high = float(np.min(stored)), float(np.max(stored))
            if not (low >= INT16.min and high <= INT16.max):
                raise ValueError(
                    f"volume: expected finite values that int16 can hold, found {low:g} to "
                    f"{high:g} stored in slice {k}; clip them"
                )
            uid = str(series.uid(*series.words, k))
            place = lps[:3, :3] @ [0, 0, k] + lps[:3, 3]
            own = {
                SOP_INSTANCE: short(SOP_INSTANCE, "UI", uid),
                NUMBER: short(NUMBER, "IS", str(int(instance_of[k]) + 1)),
                INDEX: short(INDEX, "US", (k + 1).to_bytes(2, "little")),
                SLOPE: short(SLOPE, "DS", _decimal(slopes[k])),
                PLACE: short(PLACE, "DS", "\\".join(map(_decimal, place))),
            }
            file = {META_INSTANCE: short(META_INSTANCE, "UI", uid)}
            pixels = stored.astype("<i2").tobytes()
            path = building / f"1-{file_of[k] + 1:0{width}d}.dcm"
            write_encoded(path, meta | file, shared | own, pixels)
    return folder


def _shared(
    series: Series,
    shape: tuple[int, ...],
    intercept: float,
    sizes: NDArray[np.float64],
    axes: NDArray[np.float64],
    extra: Dataset,
) -> Dataset:
    """Return what all slices of a series have in common."""
    header = Dataset()
    header.SOPClassUID = _class_of(series)
    header.StudyInstanceUID = series.uid("study")
    header.SeriesInstanceUID = series.uid("series", *series.words)
    header.FrameOfReferenceUID = series.uid("frame")
    ct = series.modality == "CT"
    header.SeriesNumber = 2 if ct else 3 if series.tracer == "fdg" else 4
    header.update(series_header(series.modality, series.patient, series.time))
    header.update(image_header(shape[2], 0))
    header.update(extra)
    header.Rows, header.Columns = shape[1], shape[0]
    header.RescaleIntercept = DSfloat(intercept, auto_format=True)
    header.PixelSpacing = _decimals(sizes[[1, 0]])
    header.SliceThickness = _decimals(sizes[2:])[0]
    header.ImageOrientationPatient = _decimals([*axes[:, 0], *axes[:, 1]])
    return header


def _meta(series: Series) -> Dataset:
    """Return the file meta information but for its length and the instance."""
    meta = Dataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = _class_of(series)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = generate_uid(entropy_srcs=["medkd", "writer"])
    meta.ImplementationVersionName = "MEDKD"
    return meta


def _class_of(series: Series) -> UID:
    ct = series.modality == "CT"
    return CTImageStorage if ct else PositronEmissionTomographyImageStorage


def _decimal(value: float) -> str:
    return format_number_as_ds(float(value) + 0.0)


def _decimals(values: ArrayLike) -> list[DSfloat]:
    # Adding zero turns −0.0 into 0.0.
    return [DSfloat(float(v) + 0.0, auto_format=True) for v in np.asarray(values, np.float64)]
