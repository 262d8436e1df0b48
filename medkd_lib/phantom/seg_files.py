"""DICOM SEG files: masks of named segments, one bit a voxel, empty slices left out.

Source: DICOM PS3.3, A.51 and C.8.20 (segmentation image), C.7.6.16–17 (functional groups).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydicom import Dataset
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.pixels.utils import pack_bits
from pydicom.uid import UID, ExplicitVRLittleEndian, SegmentationStorage, generate_uid
from pydicom.valuerep import DSfloat

from medkd_lib.phantom.dicom_slices import RAS_TO_LPS
from medkd_lib.phantom.rtstruct_files import series_of, slice_headers

CODES = {
    "GTV-1": (("49755003", "Morphologically Abnormal Structure"), ("86049000", "Neoplasm")),
    "Lung-Left": (("123037004", "Anatomical Structure"), ("44029006", "Left lung")),
    "Lung-Right": (("123037004", "Anatomical Structure"), ("3341006", "Right lung")),
    "Heart": (("123037004", "Anatomical Structure"), ("80891009", "Heart")),
    "Liver": (("123037004", "Anatomical Structure"), ("10200004", "Liver")),
    "Mass": (("49755003", "Morphologically Abnormal Structure"), ("86049000", "Neoplasm")),
    "Portal vein": (("123037004", "Anatomical Structure"), ("32764006", "Portal vein")),
    "Abdominal aorta": (("123037004", "Anatomical Structure"), ("7832008", "Abdominal aorta")),
}
"""SNOMED CT: category and type of each segment."""


def write_seg(
    path: Path,
    masks: Mapping[str, NDArray[np.bool_]],
    affine: ArrayLike,
    series: Path,
    *,
    seed: int = 0,
    refers: bool = False,
) -> UID:
    """Write masks as one binary SEG, a frame per segment and slice that is not empty.

    Args:
        path: file to write.
        masks: name → (I, J, K).
        affine: (4, 4), voxel → RAS+ millimetres, of the masks.
        series: folder of the CT that they were drawn on.
        seed: of the identifiers.
        refers: name the series and its slices, as many tools do and older files do not.

    Returns:
        SeriesInstanceUID of the file.

    Raises:
        KeyError: a name without codes.
        ValueError: no voxel in any mask.
    """
    headers = slice_headers(series, affine)
    first = headers[0]
    frames = [
        (number, k, mask[:, :, k])
        for number, mask in enumerate(masks.values(), start=1)
        for k in range(mask.shape[2])
        if mask[:, :, k].any()
    ]
    if not frames:
        raise ValueError(f"masks: expected a voxel in one of {list(masks)}, found none")

    def uid(*parts: str) -> UID:
        words = ["medkd", "seg", str(first.PatientID), str(seed), *parts]
        return generate_uid(entropy_srcs=words)

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SegmentationStorage
    meta.MediaStorageSOPInstanceUID = uid("instance")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = generate_uid(entropy_srcs=["medkd", "writer"])
    meta.ImplementationVersionName = "MEDKD"
    file = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    file.update(series_of(first, "SEG"))
    file.SOPClassUID = SegmentationStorage
    file.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    file.SeriesInstanceUID = uid("series")
    file.SeriesNumber, file.InstanceNumber = 5, 1
    file.ContentDate, file.ContentTime = first.StudyDate, first.StudyTime
    file.ContentLabel, file.ContentCreatorName = "SEGMENTATION", "medkd"
    file.ContentDescription = "virtual masks"
    file.ImageType = ["DERIVED", "PRIMARY"]
    file.SegmentationType, file.LossyImageCompression = "BINARY", "00"
    file.SegmentSequence = [_segment(number, name) for number, name in enumerate(masks, start=1)]
    if refers:
        file.ReferencedSeriesSequence = [_reference(headers)]
    lps = RAS_TO_LPS @ np.asarray(affine, np.float64)
    _geometry(file, lps, frames, uid("dimensions"))
    # a DICOM row is a line of constant j
    pixels = np.stack([plane.T for _, _, plane in frames]).astype(np.uint8)
    file.NumberOfFrames, file.Rows, file.Columns = pixels.shape
    file.SamplesPerPixel, file.PhotometricInterpretation = 1, "MONOCHROME2"
    file.BitsAllocated = file.BitsStored = 1
    file.HighBit = file.PixelRepresentation = 0
    file.PixelData = pack_bits(pixels.reshape(-1))
    file.save_as(path, enforce_file_format=True)
    return UID(file.SeriesInstanceUID)


def _reference(headers: Sequence[Dataset]) -> Dataset:
    """Name a series with every slice."""
    series = Dataset()
    series.SeriesInstanceUID = headers[0].SeriesInstanceUID
    series.ReferencedInstanceSequence = []
    for header in headers:
        image = Dataset()
        image.ReferencedSOPClassUID = header.SOPClassUID
        image.ReferencedSOPInstanceUID = header.SOPInstanceUID
        series.ReferencedInstanceSequence.append(image)
    return series


def _code(value: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "SCT", meaning
    return code


def _segment(number: int, name: str) -> Dataset:
    category, kind = CODES[name]
    segment = Dataset()
    segment.SegmentNumber, segment.SegmentLabel = number, name
    segment.SegmentAlgorithmType = "MANUAL"
    segment.SegmentedPropertyCategoryCodeSequence = [_code(*category)]
    segment.SegmentedPropertyTypeCodeSequence = [_code(*kind)]
    return segment


def _geometry(
    file: Dataset,
    lps: NDArray[np.float64],
    frames: list[tuple[int, int, NDArray[np.bool_]]],
    dimensions: UID,
) -> None:
    """Write where the frames lie and which segment each belongs to."""
    sizes = np.linalg.norm(lps[:3, :3], axis=0)
    axes = lps[:3, :3] / sizes
    orientation, measures, shared = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = _decimals([*axes[:, 0], *axes[:, 1]])
    measures.PixelSpacing = _decimals(sizes[[1, 0]])
    measures.SliceThickness = measures.SpacingBetweenSlices = _decimals(sizes[2:])[0]
    shared.PlaneOrientationSequence = [orientation]
    shared.PixelMeasuresSequence = [measures]
    file.SharedFunctionalGroupsSequence = [shared]
    organisation = Dataset()
    organisation.DimensionOrganizationUID = dimensions
    file.DimensionOrganizationSequence = [organisation]
    file.DimensionIndexSequence = [
        _index(dimensions, 0x0062000B, 0x0062000A),
        _index(dimensions, 0x00200032, 0x00209113),
    ]
    places = sorted({k for _, k, _ in frames})
    file.PerFrameFunctionalGroupsSequence = [
        _frame(number, places.index(k) + 1, lps[:3, 2] * k + lps[:3, 3]) for number, k, _ in frames
    ]


def _index(dimensions: UID, pointer: int, group: int) -> Dataset:
    index = Dataset()
    index.DimensionOrganizationUID = dimensions
    index.DimensionIndexPointer, index.FunctionalGroupPointer = pointer, group
    return index


def _frame(segment: int, place: int, position_mm: NDArray[np.float64]) -> Dataset:
    content, position, identity, frame = Dataset(), Dataset(), Dataset(), Dataset()
    content.DimensionIndexValues = [segment, place]
    position.ImagePositionPatient = _decimals(position_mm)
    identity.ReferencedSegmentNumber = segment
    frame.FrameContentSequence = [content]
    frame.PlanePositionSequence = [position]
    frame.SegmentIdentificationSequence = [identity]
    return frame


def _decimals(values: ArrayLike) -> list[DSfloat]:
    return [DSfloat(float(v) + 0.0, auto_format=True) for v in np.asarray(values, np.float64)]
