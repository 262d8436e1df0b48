"""Contours of an RTSTRUCT come back as the masks they were drawn from, or an error says why not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from skimage.measure import grid_points_in_poly

from medkd_lib.data.dicom import Series, read_series
from medkd_lib.data.even_odd import fill_even_odd
from medkd_lib.data.problems import DataError
from medkd_lib.data.rtstruct import read_rtstruct, structure_mask
from medkd_lib.phantom.dicom_files import write_ct_series
from medkd_lib.phantom.rtstruct_files import write_rtstruct

SHAPE = (14, 11, 6)
AFFINE = np.array([[-1.5, 0, 0, 20.5], [0, -2.0, 0, -31.25], [0, 0, 3.0, 100.0], [0, 0, 0, 1]])


def masks() -> dict[str, NDArray[np.bool_]]:
    """A ring that touches the image's border, with an island in its hole; and a diagonal pair."""
    ring = np.zeros(SHAPE, bool)
    ring[0:9, 1:10, 1:4] = True
    ring[2:7, 3:8, 1:4] = False
    ring[4, 5, 2] = True
    pair = np.zeros(SHAPE, bool)
    pair[3, 3, 5] = pair[4, 4, 5] = True
    return {"GTV-1": ring, "Lung-Left": pair, "Heart": np.zeros(SHAPE, bool)}


@pytest.fixture
def drawn(tmp_path: Path) -> tuple[Path, Series]:
    series = write_ct_series(tmp_path / "ct", np.zeros(SHAPE), AFFINE, patient="LUNG1-001")
    write_rtstruct(tmp_path / "rs.dcm", masks(), AFFINE, series)
    return tmp_path / "rs.dcm", read_series(series)


def edited(path: Path, edit: Callable[[pydicom.Dataset], None]) -> Path:
    file = pydicom.dcmread(path)
    edit(file)
    file.save_as(path)
    return path


def kind_of(call: Callable[[], object]) -> str:
    with pytest.raises(DataError) as error:
        call()
    assert error.value.problem.next_step
    return error.value.problem.kind


def test_masks_come_back_with_hole_and_island(drawn: tuple[Path, Series]) -> None:
    path, series = drawn
    structures = read_rtstruct(path)
    assert structures.names == ["GTV-1", "Lung-Left", "Heart"]
    # three slices of a ring are an outer border and a hole each; one has an island besides
    assert len(structures.contours["GTV-1"]) == 7
    for name, mask in masks().items():
        volume = structure_mask(structures, name, series)
        assert volume.unit == "label" and volume.same_grid(series.volume)
        # the loader's slices ascend as the written ones did
        np.testing.assert_array_equal(volume.array, mask.astype(np.uint8))


def test_contours_are_millimetres_of_the_patient(drawn: tuple[Path, Series]) -> None:
    path, _ = drawn
    points = np.concatenate(read_rtstruct(path).contours["GTV-1"])
    # LPS: voxel (0, 1, 1) lies at x −20.5, y 31.25 + 2, z 103; borders are half a voxel outside
    np.testing.assert_allclose(points.min(axis=0), [-20.5 - 0.75, 33.25 - 1.0, 103.0], atol=1e-3)


def test_filling_agrees_with_another_library() -> None:
    rng = np.random.default_rng(5)
    for _ in range(20):
        star = rng.uniform(-3.0, 23.0, (9, 2))  # crosses itself and the border
        ours = fill_even_odd([star], (20, 17))
        theirs = grid_points_in_poly((20, 17), star)
        assert (ours > 0).sum() > 0
        np.testing.assert_array_equal(ours, theirs)


def test_two_contours_cancel_where_they_overlap() -> None:
    def square(low: float, high: float) -> NDArray[np.float64]:
        return np.array([[low, low], [high, low], [high, high], [low, high]])

    both = fill_even_odd([square(0.5, 7.5), square(2.5, 5.5)], (10, 10))
    assert both.sum() == 7 * 7 - 3 * 3
    twice = fill_even_odd([square(0.5, 7.5)] * 2, (10, 10))
    assert twice.sum() == 0


def test_another_frame_of_reference_is_refused(drawn: tuple[Path, Series], tmp_path: Path) -> None:
    path, series = drawn
    other = write_ct_series(tmp_path / "other", np.zeros(SHAPE), AFFINE, patient="LUNG1-002")
    structures = read_rtstruct(path)
    assert kind_of(lambda: structure_mask(structures, "GTV-1", read_series(other))) == "other_frame"
    assert kind_of(lambda: structure_mask(structures, "GTV", series)) == "no_such_region"


def test_a_contour_off_the_slices_is_refused(drawn: tuple[Path, Series]) -> None:
    path, series = drawn

    def moved(axis: int, by_mm: float) -> str:
        def edit(file: pydicom.Dataset) -> None:
            line = file.ROIContourSequence[0].ContourSequence[0]
            data = [float(v) for v in line.ContourData]
            data[axis::3] = [v + by_mm for v in data[axis::3]]
            line.ContourData = data

        structures = read_rtstruct(edited(path, edit))
        return kind_of(lambda: structure_mask(structures, "GTV-1", series))

    assert moved(2, 1.4) == "contour_off_grid"  # between two slices 3 mm apart
    assert moved(2, 298.6) == "contour_off_grid"  # on a plane, beyond the last slice
    assert moved(0, -3.0) == "contour_off_grid"


def test_what_is_no_structure_set_is_told(drawn: tuple[Path, Series], tmp_path: Path) -> None:
    path, series = drawn
    assert kind_of(lambda: read_rtstruct(tmp_path / "none.dcm")) == "missing_file"
    (tmp_path / "text.dcm").write_text("no DICOM")
    assert kind_of(lambda: read_rtstruct(tmp_path / "text.dcm")) == "unreadable_slice"
    assert kind_of(lambda: read_rtstruct(series.slices[0].path)) == "no_structures"

    def empty(file: pydicom.Dataset) -> None:
        file.StructureSetROISequence = []

    assert kind_of(lambda: read_rtstruct(edited(path, empty))) == "no_structures"


@pytest.mark.parametrize(("what", "kind"), [
    ("point", "open_contour"), ("cut", "bad_tag"), ("two", "bad_tag"), ("names", "bad_tag"),
])  # fmt: skip
def test_damaged_contours_are_told(drawn: tuple[Path, Series], what: str, kind: str) -> None:
    path, _ = drawn

    def edit(file: pydicom.Dataset) -> None:
        line = file.ROIContourSequence[0].ContourSequence[0]
        if what == "point":
            line.ContourGeometricType = "POINT"
        elif what == "cut":
            line.ContourData = list(line.ContourData)[:-1]
        elif what == "two":
            line.ContourData = list(line.ContourData)[:6]
        else:
            file.StructureSetROISequence[1].ROIName = "GTV-1"

    assert kind_of(lambda: read_rtstruct(edited(path, edit))) == kind
