"""RTSTRUCT files: contours of named regions drawn on a CT series.

Source: DICOM PS3.3, A.19 and C.8.8.5–C.8.8.8 (structure set, ROI contour and observations).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydicom import Dataset, dcmread
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, RTStructureSetStorage, generate_uid

from medkd_lib.phantom.contours import volume_contours
from medkd_lib.phantom.dicom_header import series_header
from medkd_lib.phantom.dicom_slices import RAS_TO_LPS

INTERPRETED = {"GTV-1": "GTV"}
"""Type of a region; all others are organs."""


def slice_headers(series: Path, affine: ArrayLike) -> list[Dataset]:
    """Headers of a written series in the order of the array's slices."""
    lps = RAS_TO_LPS @ np.asarray(affine, np.float64)
    headers = [dcmread(path, stop_before_pixels=True) for path in sorted(series.iterdir())]
    normal = lps[:3, 2]
    return sorted(headers, key=lambda h: float(np.dot(h.ImagePositionPatient, normal)))


def write_rtstruct(
    path: Path,
    masks: Mapping[str, NDArray[np.bool_]],
    affine: ArrayLike,
    series: Path,
    *,
    seed: int = 0,
) -> UID:
    """Write the borders of masks as ``CLOSED_PLANAR`` contours, holes as contours of their own.

    Args:
        path: file to write.
        masks: name → (I, J, K); an empty mask becomes a region without contours.
        affine: (4, 4), voxel → RAS+ millimetres, of the series.
        series: folder of the CT that they were drawn on.
        seed: of the identifiers.

    Returns:
        SeriesInstanceUID of the file.
    """
    headers = slice_headers(series, affine)
    first = headers[0]
    patient = str(first.PatientID)

    def uid(*parts: str) -> UID:
        return generate_uid(entropy_srcs=["medkd", "rtstruct", patient, str(seed), *parts])

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = RTStructureSetStorage
    meta.MediaStorageSOPInstanceUID = uid("instance")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = generate_uid(entropy_srcs=["medkd", "writer"])
    meta.ImplementationVersionName = "MEDKD"
    file = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    for element in series_of(first, "RTSTRUCT"):
        file.add(element)
    file.SOPClassUID = RTStructureSetStorage
    file.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    file.SeriesInstanceUID = uid("series")
    file.SeriesNumber, file.InstanceNumber = 4, 1
    file.StructureSetLabel = "virtual contours"
    file.StructureSetDate, file.StructureSetTime = first.StudyDate, first.StudyTime
    file.ReferencedFrameOfReferenceSequence = [_frame(headers)]
    lps = RAS_TO_LPS @ np.asarray(affine, np.float64)
    file.StructureSetROISequence = []
    file.ROIContourSequence = []
    file.RTROIObservationsSequence = []
    for number, (name, mask) in enumerate(masks.items(), start=1):
        roi, drawn, seen = Dataset(), Dataset(), Dataset()
        roi.ROINumber, roi.ROIName = number, name
        roi.ReferencedFrameOfReferenceUID = first.FrameOfReferenceUID
        roi.ROIGenerationAlgorithm = "AUTOMATIC"
        drawn.ReferencedROINumber = number
        drawn.ROIDisplayColor = [255, 40 * number % 256, 0]
        lines = [_contour(points, headers[k]) for k, points in volume_contours(mask, lps)]
        if lines:
            drawn.ContourSequence = lines
        seen.ObservationNumber = seen.ReferencedROINumber = number
        seen.RTROIInterpretedType, seen.ROIInterpreter = INTERPRETED.get(name, "ORGAN"), ""
        file.StructureSetROISequence.append(roi)
        file.ROIContourSequence.append(drawn)
        file.RTROIObservationsSequence.append(seen)
    file.save_as(path, enforce_file_format=True)
    return UID(file.SeriesInstanceUID)


def series_of(first: Dataset, modality: str) -> Dataset:
    """Patient, study and frame of reference of a CT slice, for what was drawn on it."""
    header = series_header(modality, str(first.PatientID), _time(first))
    for unused in ("AcquisitionDate", "AcquisitionTime", "ContentDate", "ContentTime",
                   "PatientPosition"):  # fmt: skip
        delattr(header, unused)
    header.StudyInstanceUID = first.StudyInstanceUID
    header.FrameOfReferenceUID = first.FrameOfReferenceUID
    return header


def _time(first: Dataset) -> datetime:
    return datetime.strptime(f"{first.StudyDate}{first.StudyTime}", "%Y%m%d%H%M%S.%f")


def _reference(header: Dataset) -> Dataset:
    image = Dataset()
    image.ReferencedSOPClassUID = header.SOPClassUID
    image.ReferencedSOPInstanceUID = header.SOPInstanceUID
    return image


def _frame(headers: Sequence[Dataset]) -> Dataset:
    """Name the frame of reference, its study and the series with every slice."""
    series, study, frame = Dataset(), Dataset(), Dataset()
    series.SeriesInstanceUID = headers[0].SeriesInstanceUID
    series.ContourImageSequence = [_reference(h) for h in headers]
    study.ReferencedSOPClassUID = "1.2.840.10008.3.1.2.3.1"  # retired, and what everyone writes
    study.ReferencedSOPInstanceUID = headers[0].StudyInstanceUID
    study.RTReferencedSeriesSequence = [series]
    frame.FrameOfReferenceUID = headers[0].FrameOfReferenceUID
    frame.RTReferencedStudySequence = [study]
    return frame


def _contour(points_mm: NDArray[np.float64], header: Dataset) -> Dataset:
    line = Dataset()
    line.ContourImageSequence = [_reference(header)]
    line.ContourGeometricType = "CLOSED_PLANAR"
    line.NumberOfContourPoints = len(points_mm)
    # a tenth of a micron; adding zero turns −0.0 into 0.0
    line.ContourData = [f"{v + 0.0:.4f}" for v in np.round(points_mm, 4).reshape(-1)]
    return line
