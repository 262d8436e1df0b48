"""Files of the ``chaos`` twin: DICOM slices and PNG masks under the release's own names.

Source: DICOM PS3.3 (CT and MR image objects), PS3.5 (explicit VR little endian).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid
from pydicom.valuerep import DSfloat

from medkd_lib.phantom.dicom_header import image_header, series_header

TIME = datetime(2019, 4, 11, 9, 0)
CT_INTERCEPT_HU = -1024
MR_TOP = 4095
"""The scanner behind the real set stores MR in 12 bits (organisers' data page)."""


def write_series(
    folder: Path,
    image: NDArray[np.floating],
    affine: NDArray[np.float64],
    names: Sequence[str],
    *,
    modality: Literal["CT", "MR"],
    patient: str,
    seed: int,
    series: str,
    tags: Mapping[str, object],
) -> None:
    """Write one file per slice of the last axis; the bytes depend on the arguments alone.

    MR is stored as whole numbers in 12 bits without a rescale, CT in int16 with an intercept of
    −1024 HU, its lowest value. Series of one patient and seed share study and frame of reference.

    Args:
        folder: created with its parents.
        image: (I, J, K), axes Left, Posterior, Superior.
        affine: voxel → RAS+ millimetres, axes along the patient's.
        names: file name of each slice, in the order of the last axis.
        modality: which of the two.
        patient: ``PatientID``.
        seed: of the identifiers.
        series: what tells this series from others of the patient.
        tags: further elements by keyword.

    Raises:
        ValueError: if there are not as many names as slices.
    """
    if len(names) != image.shape[2]:
        raise ValueError(
            f"names: expected {image.shape[2]}, one per slice, found {len(names)}; "
            "number the slices of the last axis"
        )
    folder.mkdir(parents=True)
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    size = np.abs(np.diag(lps)[:3])
    stored = _stored(image, modality)

    def uid(*parts: object) -> UID:
        return generate_uid(entropy_srcs=["medkd chaos", patient, str(seed), *map(str, parts)])

    common = Dataset()
    common.update(series_header(modality, patient, TIME))
    common.update(image_header(len(names), 0))
    common.SeriesDescription = f"virtual {series}"
    common.StudyInstanceUID = uid("study")
    common.SeriesInstanceUID = uid("series", series)
    common.FrameOfReferenceUID = uid("frame")
    common.SeriesNumber = 1 + sum(map(ord, series)) % 900
    common.Rows, common.Columns = image.shape[1], image.shape[0]
    common.PixelSpacing = _decimals(size[[1, 0]])
    common.SliceThickness = common.SpacingBetweenSlices = _decimals(size[2:])[0]
    common.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    if modality == "MR":
        common.BitsStored, common.HighBit, common.PixelRepresentation = 12, 11, 0
    else:
        common.RescaleIntercept, common.RescaleSlope = str(CT_INTERCEPT_HU), "1"
        common.RescaleType = "HU"
    for keyword, value in tags.items():
        setattr(common, keyword, value)
    instance = {name: n + 1 for n, name in enumerate(sorted(names))}
    for k, name in enumerate(names):
        plane = _slice(modality, uid(series, k))
        plane.update(common)
        plane.ImagePositionPatient = _decimals((lps @ [0, 0, k, 1])[:3])
        plane.InstanceNumber = plane.ImageIndex = instance[name]
        # a DICOM row is a line of constant j: the first axis of ours runs along it
        plane.PixelData = np.ascontiguousarray(stored[:, :, k].T).tobytes()
        plane.save_as(folder / name, enforce_file_format=True)


def write_masks(
    folder: Path, values: NDArray[np.uint8], names: Sequence[str], *, one_bit: bool = False
) -> None:
    """Write one grey PNG per slice of the last axis: columns to the left, rows to the back."""
    folder.mkdir(parents=True)
    for k, name in enumerate(names):
        plane = np.ascontiguousarray(values[:, :, k].T)
        Image.fromarray(plane > 0 if one_bit else plane).save(folder / name)


def _stored(image: NDArray[np.floating], modality: str) -> NDArray[np.integer]:
    if modality == "MR":
        return np.clip(np.rint(image), 0, MR_TOP).astype("<u2")
    return np.clip(np.rint(image) - CT_INTERCEPT_HU, 0, 32767).astype("<i2")


def _slice(modality: str, instance: UID) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = MRImageStorage if modality == "MR" else CTImageStorage
    meta.MediaStorageSOPInstanceUID = instance
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = generate_uid(entropy_srcs=["medkd", "writer"])
    meta.ImplementationVersionName = "MEDKD"
    plane = FileDataset("", Dataset(), file_meta=meta, preamble=b"\0" * 128)
    plane.SOPClassUID = meta.MediaStorageSOPClassUID
    plane.SOPInstanceUID = instance
    return plane


def _decimals(values: NDArray[np.float64]) -> list[DSfloat]:
    # adding zero turns −0.0 into 0.0
    return [DSfloat(float(v) + 0.0, auto_format=True) for v in values]
