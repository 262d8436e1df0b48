"""CT and PET volumes as DICOM series, the way archives deliver them: one slice a file, shuffled.

Source: DICOM PS3.3 (CT and PET image objects), PS3.5 (explicit VR little endian). DICOM counts
millimetres to the patient's left and back (LPS), our affines to the right and front (RAS).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    ExplicitVRLittleEndian,
    PositronEmissionTomographyImageStorage,
    generate_uid,
)
from pydicom.valuerep import DSfloat

from medkd_lib.atomic import build_folder
from medkd_lib.phantom.dicom_header import image_header, pet_header, series_header

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
INT16 = np.iinfo(np.int16)
# Air is stored as a small positive number, as most scanners do.
CT_INTERCEPT_HU = -1024.0
PROTOCOL_TIME = datetime(2020, 1, 2, 10, 0)

DecayCorrection = Literal["START", "ADMIN"]


@dataclass(frozen=True)
class _Series:
    """What all files of a series share."""

    modality: Literal["CT", "PT"]
    patient: str
    seed: int
    time: datetime

    def uid(self, *parts: object) -> UID:
        """Return the identifier of a thing: the same for the same words."""
        words = [self.patient, str(self.seed), *map(str, parts)]
        return generate_uid(entropy_srcs=["medkd", *words])


def write_ct_series(
    folder: Path,
    hu: ArrayLike,
    affine: ArrayLike,
    *,
    patient: str = "PHANTOM-001",
    seed: int = 0,
    time: datetime = PROTOCOL_TIME,
    shuffle_instances: bool = False,
) -> Path:
    """Write a CT as one file per slice of the last axis, int16 with an intercept of −1024 HU.

    The bytes depend on the arguments alone. Series of one patient and seed share study and frame
    of reference, as CT and PET of one session do.

    Args:
        folder: to create; an existing empty one is replaced.
        hu: (I, J, K) CT numbers; rounded to whole HU.
        affine: (4, 4), voxel → RAS+ millimetres, axes at right angles.
        patient: ``PatientID``.
        seed: of the identifiers and of the files' order.
        time: of study, series and acquisition.
        shuffle_instances: ``InstanceNumber`` too says nothing about the place, as after a re-send.

    Raises:
        FileExistsError: ``folder`` holds something.
        ValueError: not three axes, axes not at right angles, or a value int16 cannot hold.
    """
    voxels = _three_axes(hu)
    series = _Series("CT", patient, seed, time)
    slopes = np.ones(voxels.shape[2])
    header = Dataset()
    header.KVP = "120"
    header.RescaleType = "HU"
    return _write(
        folder, voxels, affine, series, slopes, CT_INTERCEPT_HU, header, shuffle_instances
    )


def write_pet_series(
    folder: Path,
    bq_ml: ArrayLike,
    affine: ArrayLike,
    *,
    weight_kg: float | None,
    injected_bq: float | None,
    injection_time: datetime,
    series_time: datetime,
    half_life_s: float = 6586.2,
    decay_correction: DecayCorrection = "START",
    units: Literal["BQML", "CNTS"] = "BQML",
    acquisition_time: datetime | None = None,
    patient: str = "PHANTOM-001",
    seed: int = 0,
    shuffle_instances: bool = False,
) -> Path:
    r"""Write a PET as one file per slice, each with a ``RescaleSlope`` of its own.

    The values are stored as they are: for ``START`` they are activity at the start of the series,
    for ``ADMIN`` activity decay-corrected back to the injection. With dose :math:`D`, weight
    :math:`w` and half-life :math:`T`

    .. math:: \mathrm{SUV} = \frac{c\,w}{D\,2^{-\Delta t/T}}, \qquad
              \Delta t = t_{series} - t_{injection}\ (0\ \text{for ADMIN})

    (tissue dossier §3.1).

    Args:
        folder: to create; an existing empty one is replaced.
        bq_ml: (I, J, K) activity concentration, 0 or more (counts if ``units`` says so).
        affine: (4, 4), voxel → RAS+ millimetres, axes at right angles.
        weight_kg: ``PatientWeight``; None leaves it out, as de-identification may.
        injected_bq: ``RadionuclideTotalDose``; None leaves it out.
        injection_time: of the tracer; its date may be the day before.
        series_time: ``SeriesTime``, to which ``START`` refers.
        half_life_s: of the nuclide; 18F by default.
        decay_correction: to which time the values were corrected.
        units: ``CNTS`` writes a series that no formula turns into SUV.
        acquisition_time: of the slices; default ``series_time``, later for later bed positions.
        patient: ``PatientID``.
        seed: of the identifiers and of the files' order.
        shuffle_instances: as for CT.

    Raises:
        FileExistsError: ``folder`` holds something.
        ValueError: not three axes, axes not at right angles, or a negative value.
    """
    voxels = _three_axes(bq_ml)
    low = float(np.min(voxels))
    if low < 0:
        raise ValueError(f"bq_ml: expected 0 or more, found {low:g}; check the unit")
    series = _Series("PT", patient, seed, series_time)
    # Every slice uses all of int16, so no two slopes agree; eight digits survive the header.
    peak = voxels.max(axis=(0, 1))
    slopes = np.array([float(f"{p / INT16.max * 1.000001:.8g}") if p > 0 else 1.0 for p in peak])
    header = pet_header(
        weight_kg=weight_kg, injected_bq=injected_bq, injection_time=injection_time,
        half_life_s=half_life_s, decay_correction=decay_correction, units=units,
        slices=voxels.shape[2], acquisition_time=acquisition_time or series_time,
    )  # fmt: skip
    return _write(folder, voxels, affine, series, slopes, 0.0, header, shuffle_instances)


def _three_axes(values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, np.float64)
    if array.ndim != 3 or array.size == 0:
        raise ValueError(f"volume: expected three axes, found shape {array.shape}; one image each")
    return array


def _write(
    folder: Path,
    voxels: NDArray[np.float64],
    affine: ArrayLike,
    series: _Series,
    slopes: NDArray[np.float64],
    intercept: float,
    extra: Dataset,
    shuffle_instances: bool,
) -> Path:
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
    with build_folder(folder) as building:
        for k in range(count):
            stored = np.rint((voxels[:, :, k] - intercept) / slopes[k])
            low, high = float(np.min(stored)), float(np.max(stored))
            if not (low >= INT16.min and high <= INT16.max):
                raise ValueError(
                    f"volume: expected finite values that int16 can hold, found {low:g} to "
                    f"{high:g} stored in slice {k}; clip them"
                )
            plane = _plane(series, k, int(instance_of[k]) + 1)
            plane.update(series_header(series.modality, series.patient, series.time))
            plane.update(image_header(count, k))
            plane.update(extra)
            # A DICOM row is a line of constant j: the first axis of ours runs along it.
            pixels = np.ascontiguousarray(stored.astype("<i2").T)
            plane.Rows, plane.Columns = pixels.shape
            plane.PixelData = pixels.tobytes()
            plane.RescaleSlope = DSfloat(slopes[k], auto_format=True)
            plane.RescaleIntercept = DSfloat(intercept, auto_format=True)
            plane.PixelSpacing = _decimals(sizes[[1, 0]])
            plane.SliceThickness = _decimals(sizes[2:])[0]
            plane.ImageOrientationPatient = _decimals([*axes[:, 0], *axes[:, 1]])
            plane.ImagePositionPatient = _decimals(lps[:3, :3] @ [0, 0, k] + lps[:3, 3])
            width = max(2, len(str(count)))
            plane.save_as(building / f"1-{file_of[k] + 1:0{width}d}.dcm", enforce_file_format=True)
    return folder


def _plane(series: _Series, k: int, instance: int) -> FileDataset:
    """Return an empty slice with its identifiers."""
    ct = series.modality == "CT"
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = (
        CTImageStorage if ct else PositronEmissionTomographyImageStorage
    )  # fmt: skip
    meta.MediaStorageSOPInstanceUID = series.uid(series.modality, k)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = generate_uid(entropy_srcs=["medkd", "writer"])
    meta.ImplementationVersionName = "MEDKD"
    plane = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    plane.SOPClassUID = meta.MediaStorageSOPClassUID
    plane.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    plane.StudyInstanceUID = series.uid("study")
    plane.SeriesInstanceUID = series.uid("series", series.modality)
    plane.FrameOfReferenceUID = series.uid("frame")
    plane.SeriesNumber = 2 if ct else 3
    plane.InstanceNumber = instance
    return plane


def _decimals(values: ArrayLike) -> list[DSfloat]:
    # Adding zero turns −0.0 into 0.0.
    return [DSfloat(float(v) + 0.0, auto_format=True) for v in np.asarray(values, np.float64)]
