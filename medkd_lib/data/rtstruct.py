r"""RTSTRUCT → masks: the closed contours of a named region, filled on the grid of its CT.

Source: DICOM PS3.3 C.8.8.6 (contours in LPS millimetres, points of one contour in one plane). A
region is the set of points that an odd number of its contours surrounds (even-odd rule), so a hole
is a contour inside another one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.uid import RTStructureSetStorage

from medkd_lib.data.dicom import Series
from medkd_lib.data.even_odd import Points, fill_even_odd
from medkd_lib.data.itk_files import LPS_TO_RAS
from medkd_lib.data.problems import bad
from medkd_lib.data.volume import Volume

CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")
"""Kinds of contour that surround something."""

OFF_PLANE = 0.25
"""How far a point may lie off a slice's plane, in slices: headers round, contours do not float."""


@dataclass(frozen=True)
class StructureSet:
    """Named regions and the frame of reference that their millimetres count in.

    Attributes:
        path: of the file.
        frame: FrameOfReferenceUID per region.
        contours: (N, 3) LPS millimetres, closed without repeating the first point, per region; none
            for a region that was named and never drawn.
    """

    path: Path
    frame: dict[str, str]
    contours: dict[str, tuple[Points, ...]]

    @property
    def names(self) -> list[str]:
        """All regions, in the file's order."""
        return list(self.contours)


def read_rtstruct(path: Path) -> StructureSet:
    """Return the regions of an RTSTRUCT file.

    Raises:
        DataError: ``missing_file``, ``unreadable_slice`` (no DICOM, or damaged), ``no_structures``
            (another kind of DICOM, or one without regions), ``open_contour`` (points, lines),
            ``bad_tag`` (a region without name or frame, twice the same name, or coordinates that
            are no triples).
    """
    path = Path(path)
    file = _open(path)
    frames: dict[int, str] = {}
    names: dict[int, str] = {}
    for roi in file.get("StructureSetROISequence") or []:
        number, name = int(roi.get("ROINumber", -1)), str(roi.get("ROIName", "")).strip()
        frame = str(roi.get("ReferencedFrameOfReferenceUID", "")).strip()
        if not name or not frame or name in names.values():
            raise bad(
                "bad_tag", path, expected="regions with a name of their own and a frame of "
                "reference", found=f"region {number}: name {name!r}, frame {frame!r}",
                next_step="correct the file in the tool that drew it",
            )  # fmt: skip
        names[number], frames[number] = name, frame
    if not names:
        raise bad(
            "no_structures", path, expected="named regions", found="an empty structure set",
            next_step="check which file holds the contours",
        )  # fmt: skip
    drawn: dict[int, tuple[Points, ...]] = {}
    for item in file.get("ROIContourSequence") or []:
        number = int(item.ReferencedROINumber)
        if number in names:
            lines = item.get("ContourSequence") or []
            drawn[number] = tuple(_points(line, names[number], path) for line in lines)
    return StructureSet(
        path,
        {name: frames[number] for number, name in names.items()},
        {name: drawn.get(number, ()) for number, name in names.items()},
    )


def structure_mask(structures: StructureSet, name: str, series: Series) -> Volume:
    r"""Fill one region on the grid of the series it was drawn on.

    A voxel belongs to it if its centre lies inside an odd number of contours of its slice.

    Args:
        structures: from `read_rtstruct`.
        name: of the region.
        series: CT with its headers, from `medkd_lib.data.dicom.read_series`.

    Returns:
        uint8 mask, unit ``"label"``, on the series' grid.

    Raises:
        DataError: ``no_such_region``, ``other_frame`` (the contours count their millimetres in
            another frame of reference), ``contour_off_grid`` (a point between two slices or
            outside the image).
    """
    if name not in structures.contours:
        raise bad(
            "no_such_region", structures.path, expected=f"a region {name!r}",
            found=f"{structures.names}", next_step="choose one of them, or leave the case out",
        )  # fmt: skip
    frames = sorted({s.text("FrameOfReferenceUID") for s in series.slices})
    if frames != [structures.frame[name]]:
        raise bad(
            "other_frame", structures.path, expected=f"the frame of reference of the image, "
            f"{' and '.join(frames)}", found=f"{structures.frame[name]} for {name}",
            next_step="take the series it was drawn on; millimetres of two frames cannot be "
            "compared",
        )  # fmt: skip
    shape = series.volume.shape
    to_voxel = np.linalg.inv(LPS_TO_RAS @ series.volume.affine)
    planes: dict[int, list[Points]] = {}
    for line in structures.contours[name]:
        index = line @ to_voxel[:3, :3].T + to_voxel[:3, 3]
        k = round(float(index[:, 2].mean()))
        off = float(np.abs(index[:, 2] - k).max())
        low, high = index[:, :2].min(axis=0), index[:, :2].max(axis=0)
        # a border may run along the outer edge of the image, half a voxel beyond the centres
        beyond = bool((low < -1.0).any() or (high > shape[:2]).any())
        if off > OFF_PLANE or not 0 <= k < shape[2] or beyond:
            raise bad(
                "contour_off_grid", structures.path,
                expected=f"contours of {name} on the slices of the image",
                found=f"one around voxel {np.round(index.mean(axis=0), 2).tolist()}, {off:.2f} "
                f"slices off its plane, in an image of {shape}",
                next_step="take the series it was drawn on, whole and not resampled",
            )  # fmt: skip
        planes.setdefault(k, []).append(index[:, :2])
    array = np.zeros(shape, np.uint8)
    for k, polygons in planes.items():
        array[:, :, k] = fill_even_odd(polygons, (shape[0], shape[1]))
    return Volume(array, series.volume.affine, "label")


def _open(path: Path) -> Dataset:
    if not path.is_file():
        raise bad(
            "missing_file", path, expected="an RTSTRUCT file", found="no such file",
            next_step="name the .dcm file itself, or fetch the data set",
        )  # fmt: skip
    try:
        file = dcmread(path)
        kind = str(file.get("SOPClassUID", ""))
    except Exception as error:  # pydicom raises many types on damaged files; all mean the same
        raise bad(
            "unreadable_slice", path, expected="a DICOM file",
            found=f"{type(error).__name__}: {error}", next_step="fetch the file again",
        ) from error  # fmt: skip
    if kind != RTStructureSetStorage:
        raise bad(
            "no_structures", path, expected="an RTSTRUCT file",
            found=f"Modality {file.get('Modality', 'none')}",
            next_step="check which file holds the contours",
        )  # fmt: skip
    return file


def _points(line: Dataset, name: str, path: Path) -> Points:
    kind = str(line.get("ContourGeometricType", ""))
    if kind not in CLOSED:
        raise bad(
            "open_contour", path, expected=f"closed contours {CLOSED} of {name}", found=f"{kind!r}",
            next_step="leave the region out: points and lines surround nothing",
        )  # fmt: skip
    try:
        points = np.array([float(v) for v in line.get("ContourData") or []]).reshape(-1, 3)
        whole = len(points) >= 3 and bool(np.isfinite(points).all())
    except ValueError:
        whole = False
    if not whole:
        raise bad(
            "bad_tag", path, expected=f"three or more points of three numbers in {name}",
            found=f"ContourData of {len(line.get('ContourData') or [])} numbers",
            next_step="fetch the file again; its contours are damaged",
        )  # fmt: skip
    return points
