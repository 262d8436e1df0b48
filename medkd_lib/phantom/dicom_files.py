"""CT and PET volumes as DICOM series, the way archives deliver them: one slice a file, shuffled.

Source: DICOM PS3.3 (CT and PET image objects), PS3.5 (explicit VR little endian). DICOM counts
millimetres to the patient's left and back (LPS), our affines to the right and front (RAS).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydicom.dataset import Dataset

from medkd_lib.phantom.dicom_header import pet_header
from medkd_lib.phantom.dicom_slices import INT16, Series, write_slices
from medkd_lib.phantom.pet import HALF_LIFE_MIN
from medkd_lib.phantom.tissue_pet import Tracer

# Air is stored as a small positive number, as most scanners do.
CT_INTERCEPT_HU = -1024.0
PROTOCOL_TIME = datetime(2020, 1, 2, 10, 0)

DecayCorrection = Literal["START", "ADMIN"]

RADIOPHARMACEUTICAL: Mapping[Tracer, str] = MappingProxyType(
    {"fdg": "FDG", "acetate": "Acetate C-11"}
)
"""What headers call the tracers."""


def write_ct_series(
    folder: Path,
    hu: ArrayLike,
    affine: ArrayLike,
    *,
    patient: str = "PHANTOM-001",
    seed: int = 0,
    time: datetime = PROTOCOL_TIME,
    shuffle_instances: bool = False,
    tags: Mapping[str, object] | None = None,
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
        tags: further elements by keyword, or others in place of ours.

    Raises:
        FileExistsError: ``folder`` holds something.
        ValueError: not three axes, axes not at right angles, or a value int16 cannot hold.
    """
    voxels = _three_axes(hu)
    series = Series("CT", patient, seed, time)
    slopes = np.ones(voxels.shape[2])
    header = Dataset()
    header.KVP = "120"
    header.RescaleType = "HU"
    _add(header, tags)
    return write_slices(
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
    tracer: Tracer = "fdg",
    half_life_s: float | None = None,
    decay_correction: DecayCorrection = "START",
    units: Literal["BQML", "CNTS"] = "BQML",
    acquisition_time: datetime | None = None,
    patient: str = "PHANTOM-001",
    seed: int = 0,
    shuffle_instances: bool = False,
    tags: Mapping[str, object] | None = None,
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
        tracer: what was injected; series of two tracers of one patient have their own identifiers.
        half_life_s: of the nuclide; by default that of the tracer.
        decay_correction: to which time the values were corrected.
        units: ``CNTS`` writes a series that no formula turns into SUV.
        acquisition_time: of the slices; default ``series_time``, later for later bed positions.
        patient: ``PatientID``.
        seed: of the identifiers and of the files' order.
        shuffle_instances: as for CT.
        tags: as for CT.

    Raises:
        FileExistsError: ``folder`` holds something.
        ValueError: not three axes, axes not at right angles, or a negative value.
    """
    voxels = _three_axes(bq_ml)
    low = float(np.min(voxels))
    if low < 0:
        raise ValueError(f"bq_ml: expected 0 or more, found {low:g}; check the unit")
    series = Series("PT", patient, seed, series_time, tracer)
    if half_life_s is None:
        half_life_s = 60.0 * HALF_LIFE_MIN[tracer]
    # Every slice uses all of int16, so no two slopes agree; eight digits survive the header.
    peak = voxels.max(axis=(0, 1))
    slopes = np.array([float(f"{p / INT16.max * 1.000001:.8g}") if p > 0 else 1.0 for p in peak])
    header = pet_header(
        weight_kg=weight_kg, injected_bq=injected_bq, injection_time=injection_time,
        half_life_s=half_life_s, decay_correction=decay_correction, units=units,
        slices=voxels.shape[2], acquisition_time=acquisition_time or series_time,
        radiopharmaceutical=RADIOPHARMACEUTICAL[tracer],
    )  # fmt: skip
    _add(header, tags)
    return write_slices(folder, voxels, affine, series, slopes, 0.0, header, shuffle_instances)


def _add(header: Dataset, tags: Mapping[str, object] | None) -> None:
    for keyword, value in (tags or {}).items():
        setattr(header, keyword, value)


def _three_axes(values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, np.float64)
    if array.ndim != 3 or array.size == 0:
        raise ValueError(f"volume: expected three axes, found shape {array.shape}; one image each")
    return array
