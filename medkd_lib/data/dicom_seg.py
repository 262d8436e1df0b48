"""DICOM SEG → masks: the frames of a named segment, put on the slices of the CT they belong to.

Source: DICOM PS3.3 A.51, C.8.20 (segmentation image) and C.7.6.16 (functional groups: what all
frames share, and what each has of its own). Empty slices are usually left out of such a file, so
frames are placed by their positions and never counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.uid import SegmentationStorage

from medkd_lib.data.dicom import Series
from medkd_lib.data.itk_files import LPS_TO_RAS
from medkd_lib.data.problems import DataError, bad
from medkd_lib.data.rtstruct import OFF_PLANE
from medkd_lib.data.volume import Volume


@dataclass(frozen=True)
class Frame:
    """One slice of one segment.

    Attributes:
        segment: its name.
        corners_mm: (3, 3) LPS millimetres of the first pixel, the last of its row, the last of its
            column.
        pixels: (rows, columns) bool.
    """

    segment: str
    corners_mm: NDArray[np.float64]
    pixels: NDArray[np.bool_]


@dataclass(frozen=True)
class Segmentation:
    """Named segments of one file, and the frame of reference that its millimetres count in."""

    path: Path
    frame_of_reference: str
    names: tuple[str, ...]
    frames: tuple[Frame, ...]


def read_seg(path: Path) -> Segmentation:
    """Return the segments of a SEG file.

    Raises:
        DataError: ``missing_file``, ``unreadable_slice`` (no DICOM), ``no_structures`` (another
            kind of DICOM, or one without segments), ``non_integer`` (fractional segments),
            ``bad_tag`` (no place or no segment of a frame, a name that comes twice), ``corrupt``
            (pixels that cannot be unpacked).
    """
    path = Path(path)
    file = open_dicom(path)
    if str(file.get("SOPClassUID", "")) != SegmentationStorage:
        raise bad(
            "no_structures", path, expected="a SEG file",
            found=f"Modality {file.get('Modality', 'none')}",
            next_step="check which file holds the segments",
        )  # fmt: skip
    if (kind := str(file.get("SegmentationType", ""))) != "BINARY":
        raise bad(
            "non_integer", path, expected="SegmentationType BINARY", found=kind or "none",
            next_step="a share of a voxel is no label: ask the source for binary segments",
        )  # fmt: skip
    names = _names(file, path)
    pixels = _pixels(file, path)
    try:
        shared = file.SharedFunctionalGroupsSequence[0]
        own = list(file.PerFrameFunctionalGroupsSequence)
        numbers = [int(g.SegmentIdentificationSequence[0].ReferencedSegmentNumber) for g in own]
        corners = [_corners_mm(g, shared, pixels.shape[1:]) for g in own]
        frames = [
            Frame(names[number], place, picture)
            for number, place, picture in zip(numbers, corners, pixels, strict=True)
        ]
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise bad(
            "bad_tag", path, expected="a place, a size and a segment for every frame",
            found=f"{type(error).__name__}: {error}",
            next_step="fetch the file again; its header is damaged",
        ) from error  # fmt: skip
    reference = str(file.get("FrameOfReferenceUID", "")).strip()
    return Segmentation(path, reference, tuple(names.values()), tuple(frames))


def segment_mask(segmentation: Segmentation, name: str, series: Series) -> Volume:
    """Return one segment on the grid of the series it was drawn on.

    Args:
        segmentation: from `read_seg`.
        name: of the segment.
        series: the CT's grid and headers.

    Returns:
        uint8 mask, unit ``"label"``, on the series' grid.

    Raises:
        DataError: ``no_such_region``, ``other_frame``, ``grid_mismatch`` (pixels that are not the
            image's, or frames beside its slices).
    """
    if name not in segmentation.names:
        raise bad(
            "no_such_region", segmentation.path, expected=f"a segment {name!r}",
            found=f"{list(segmentation.names)}",
            next_step="choose one of them, or leave the case out",
        )  # fmt: skip
    references = sorted({s.text("FrameOfReferenceUID") for s in series.slices})
    if references != [segmentation.frame_of_reference]:
        raise bad(
            "other_frame", segmentation.path, expected="the frame of reference of the image, "
            f"{' and '.join(references)}", found=segmentation.frame_of_reference or "none",
            next_step="take the series it was drawn on; millimetres of two frames cannot be "
            "compared",
        )  # fmt: skip
    shape = series.volume.shape
    to_voxel = np.linalg.inv(LPS_TO_RAS @ series.volume.affine)
    array = np.zeros(shape, np.uint8)
    for frame in segmentation.frames:
        if frame.segment != name:
            continue
        rows, columns = frame.pixels.shape
        index = frame.corners_mm @ to_voxel[:3, :3].T + to_voxel[:3, 3]
        k = round(float(index[0, 2]))
        there = np.array([[0, 0, k], [columns - 1, 0, k], [0, rows - 1, k]])
        off = float(np.abs(index - there).max())
        if (columns, rows) != shape[:2] or off > OFF_PLANE or not 0 <= k < shape[2]:
            raise _off_grid(segmentation.path, name, frame, index, shape, off)
        # a DICOM row is a line of constant j
        array[:, :, k] |= frame.pixels.T
    return Volume(array, series.volume.affine, "label")


def open_dicom(path: Path) -> Dataset:
    """Return a DICOM file.

    Raises:
        DataError: ``missing_file``, ``unreadable_slice``.
    """
    if not path.is_file():
        raise bad(
            "missing_file", path, expected="a DICOM file", found="no such file",
            next_step="name the .dcm file itself, or fetch the data set",
        )  # fmt: skip
    try:
        file = dcmread(path)
        _ = file.get("SOPClassUID"), file.get("Modality")
    except Exception as error:  # pydicom raises many types on damaged files; all mean the same
        raise bad(
            "unreadable_slice", path, expected="a DICOM file",
            found=f"{type(error).__name__}: {error}", next_step="fetch the file again",
        ) from error  # fmt: skip
    return file


def _names(file: Dataset, path: Path) -> dict[int, str]:
    names = {
        int(s.get("SegmentNumber", -1)): str(s.get("SegmentLabel", "")).strip()
        for s in file.get("SegmentSequence") or []
    }
    if not names:
        raise bad(
            "no_structures", path, expected="named segments", found="none",
            next_step="check which file holds the segments",
        )  # fmt: skip
    if len(set(names.values())) < len(file.SegmentSequence) or not all(names.values()):
        raise bad(
            "bad_tag", path, expected="segments with a number and a name of their own",
            found=f"{names}", next_step="correct the file in the tool that drew it",
        )  # fmt: skip
    return names


def _pixels(file: Dataset, path: Path) -> NDArray[np.bool_]:
    """Return all frames, (frames, rows, columns)."""
    try:
        array = np.asarray(file.pixel_array)
    except Exception as error:  # as above
        raise bad(
            "corrupt", path, expected="frames of one bit a pixel",
            found=f"{type(error).__name__}: {error}", next_step="fetch the file again",
        ) from error  # fmt: skip
    # one frame alone comes without an axis for frames
    return array.reshape(-1, *array.shape[-2:]) > 0


def _corners_mm(own: Dataset, shared: Dataset, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return where three corners of a frame lie, LPS millimetres."""

    def group(name: str) -> Any:
        return (own if name in own else shared)[name][0]

    cosines = np.array(group("PlaneOrientationSequence").ImageOrientationPatient, float)
    down_mm, along_mm = (float(v) for v in group("PixelMeasuresSequence").PixelSpacing)
    first = np.array(own.PlanePositionSequence[0].ImagePositionPatient, float)
    rows, columns = shape
    along, down = cosines[:3] * along_mm * (columns - 1), cosines[3:] * down_mm * (rows - 1)
    return np.stack([first, first + along, first + down])


def _off_grid(
    path: Path, name: str, frame: Frame, index: NDArray[np.float64], shape: tuple[int, ...],
    off: float,
) -> DataError:  # fmt: skip
    rows, columns = frame.pixels.shape
    return bad(
        "grid_mismatch", path,
        expected=f"frames of {name} on the {shape[0]} x {shape[1]} pixels of {shape[2]} slices",
        found=f"one of {columns} x {rows} pixels that begins at voxel "
        f"{np.round(index[0], 2).tolist()}, up to {off:.2f} voxels off",
        next_step="take the series it was drawn on, whole and not resampled, or exclude the case",
    )  # fmt: skip
