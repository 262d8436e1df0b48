"""Regions told by name: SEG and RTSTRUCT become one mask, or an error says why not."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import yaml
from numpy.typing import NDArray
from pydicom.uid import CTImageStorage

from medkd_lib.data.dicom import read_series
from medkd_lib.data.dicom_seg import read_seg, segment_mask
from medkd_lib.data.index import index
from medkd_lib.data.manifest import Manifest, load_manifest, manifest_folder
from medkd_lib.data.problems import DataError
from medkd_lib.data.read_case import read_case
from medkd_lib.data.regions import read_regions
from medkd_lib.phantom.dicom_files import write_ct_series
from medkd_lib.phantom.nsclc import write_nsclc
from medkd_lib.phantom.rtstruct_files import write_rtstruct
from medkd_lib.phantom.seg_files import write_seg

SHAPE = (14, 11, 6)
AFFINE = np.array([[-1.5, 0, 0, 20.5], [0, -2.0, 0, -31.25], [0, 0, 3.0, 100.0], [0, 0, 0, 1]])
REGIONS = {"GTV-1": 1, "Heart": 2}


def masks() -> dict[str, NDArray[np.bool_]]:
    """A tumour that no axis mirrors, in a heart's corner, and a lung that nobody asks for."""
    tumour, heart, lung = (np.zeros(SHAPE, bool) for _ in range(3))
    tumour[2:5, 3:7, 1:4] = tumour[5, 3, 2] = True
    heart[4:9, 6:10, 3:5] = True
    lung[10:13, 1:3, 0:6] = True
    return {"GTV-1": tumour, "Lung-Left": lung, "Heart": heart}


@pytest.fixture
def drawn(tmp_path: Path) -> tuple[Path, Path]:
    """SEG and series."""
    series = write_ct_series(tmp_path / "ct", np.zeros(SHAPE), AFFINE, patient="LUNG1-001")
    write_seg(tmp_path / "seg.dcm", masks(), AFFINE, series)
    return tmp_path / "seg.dcm", series


def edited(path: Path, edit: Callable[[Any], None]) -> Path:
    file = pydicom.dcmread(path)
    edit(file)
    file.save_as(path)
    return path


def kind_of(call: Callable[[], object]) -> str:
    with pytest.raises(DataError) as error:
        call()
    assert error.value.problem.next_step
    return error.value.problem.kind


def test_segments_come_back_by_name_on_the_grid_of_the_ct(drawn: tuple[Path, Path]) -> None:
    path, folder = drawn
    found, series = read_seg(path), read_series(folder)
    assert found.names == ("GTV-1", "Lung-Left", "Heart")
    # slices that show nothing are not in the file
    assert len(found.frames) == 3 + 6 + 2
    for name, mask in masks().items():
        volume = segment_mask(found, name, series)
        assert volume.unit == "label" and volume.same_grid(series.volume)
        np.testing.assert_array_equal(volume.array, mask.astype(np.uint8))


def test_a_file_of_one_frame_has_no_axis_for_frames(drawn: tuple[Path, Path]) -> None:
    path, folder = drawn
    alone = {"Heart": np.zeros(SHAPE, bool)}
    alone["Heart"][3, 4, 5] = True
    write_seg(path, alone, AFFINE, folder)
    volume = segment_mask(read_seg(path), "Heart", read_series(folder))
    assert np.argwhere(volume.array).tolist() == [[3, 4, 5]]


@pytest.mark.parametrize("write", [write_seg, write_rtstruct])
def test_both_kinds_of_file_give_one_mask_of_label_ids(
    drawn: tuple[Path, Path], write: Callable[..., object], tmp_path: Path
) -> None:
    _, folder = drawn
    (tmp_path / "one").mkdir()
    write(tmp_path / "one" / "1-1.dcm", masks(), AFFINE, folder)
    (tmp_path / "one" / ".DS_Store").write_text("left by a desktop")
    expected = np.zeros(SHAPE, np.uint8)
    expected[masks()["GTV-1"]] = 1
    expected[masks()["Heart"]] = 2  # the later one stands where both are
    assert (masks()["GTV-1"] & masks()["Heart"]).any()
    found = read_regions(tmp_path / "one", folder, REGIONS)
    np.testing.assert_array_equal(found.array, expected)
    assert found.same_grid(read_series(folder).volume)
    turned = read_regions(tmp_path / "one" / "1-1.dcm", folder, {"Heart": 2, "GTV-1": 1})
    assert (turned.array[masks()["GTV-1"]] == 1).all()
    # regions that a patient lacks are passed over, as long as there is one
    some = read_regions(tmp_path / "one", folder, {"GTV-1": 1, "Esophagus": 3})
    np.testing.assert_array_equal(some.array > 0, masks()["GTV-1"])
    assert kind_of(lambda: read_regions(tmp_path / "one", folder, {"GTV": 1})) == "no_such_region"


def test_a_folder_must_hold_one_file(drawn: tuple[Path, Path], tmp_path: Path) -> None:
    path, folder = drawn
    (tmp_path / "two").mkdir()
    assert kind_of(lambda: read_regions(tmp_path / "two", folder, REGIONS)) == "empty_folder"
    for name in ("a.dcm", "b.dcm"):
        shutil.copy(path, tmp_path / "two" / name)
    assert kind_of(lambda: read_regions(tmp_path / "two", folder, REGIONS)) == "duplicate_role"


def test_another_series_is_refused(drawn: tuple[Path, Path], tmp_path: Path) -> None:
    path, folder = drawn
    other = write_ct_series(tmp_path / "other", np.zeros(SHAPE), AFFINE, patient="LUNG1-002")
    segments = read_seg(path)
    assert kind_of(lambda: segment_mask(segments, "GTV-1", read_series(other))) == "other_frame"
    assert kind_of(lambda: segment_mask(segments, "GTV", read_series(folder))) == "no_such_region"


def shift(by_mm: tuple[float, float, float]) -> Callable[[Any], None]:
    def edit(file: Any) -> None:
        for group in file.PerFrameFunctionalGroupsSequence:
            place = group.PlanePositionSequence[0]
            place.ImagePositionPatient = [
                float(v) + by for v, by in zip(place.ImagePositionPatient, by_mm, strict=True)
            ]

    return edit


def test_frames_beside_the_slices_are_refused(drawn: tuple[Path, Path]) -> None:
    path, folder = drawn
    series = read_series(folder)
    whole = path.read_bytes()

    def moved(*by_mm: float) -> str:
        path.write_bytes(whole)
        x, y, z = by_mm
        segments = read_seg(edited(path, shift((x, y, z))))
        return kind_of(lambda: segment_mask(segments, "GTV-1", series))

    assert moved(0.6, 0, 0) == "grid_mismatch"  # 0.4 of a pixel
    assert moved(0, 0, 1.4) == "grid_mismatch"  # between two slices
    assert moved(0, 0, 300) == "grid_mismatch"  # beyond the last one
    path.write_bytes(whole)
    # a header may round a little
    segments = read_seg(edited(path, shift((0.1, -0.1, 0.2))))
    mask = segment_mask(segments, "GTV-1", series)
    np.testing.assert_array_equal(mask.array > 0, masks()["GTV-1"])

    def turned(file: Any) -> None:
        orientation = file.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0]
        orientation.ImageOrientationPatient = [-v for v in orientation.ImageOrientationPatient]

    path.write_bytes(whole)
    segments = read_seg(edited(path, turned))
    assert kind_of(lambda: segment_mask(segments, "GTV-1", series)) == "grid_mismatch"


def test_fewer_rows_than_the_ct_are_refused(drawn: tuple[Path, Path]) -> None:
    path, folder = drawn
    write_seg(path, {n: m[:, :9] for n, m in masks().items()}, AFFINE, folder)
    segments = read_seg(path)
    assert kind_of(lambda: segment_mask(segments, "GTV-1", read_series(folder))) == "grid_mismatch"


@pytest.mark.parametrize(("what", "kind"), [
    ("fractional", "non_integer"), ("unnamed", "bad_tag"), ("twice", "bad_tag"),
    ("no segments", "no_structures"), ("no places", "bad_tag"), ("unknown segment", "bad_tag"),
    ("another kind", "no_structures"), ("cut pixels", "corrupt"),
])  # fmt: skip
def test_damaged_segments_are_told(drawn: tuple[Path, Path], what: str, kind: str) -> None:
    path, _ = drawn

    def edit(file: Any) -> None:
        frame = file.PerFrameFunctionalGroupsSequence[2]
        match what:
            case "fractional":
                file.SegmentationType = "FRACTIONAL"
            case "unnamed":
                file.SegmentSequence[1].SegmentLabel = ""
            case "twice":
                file.SegmentSequence[1].SegmentLabel = "GTV-1"
            case "no segments":
                file.SegmentSequence = []
            case "no places":
                del frame.PlanePositionSequence
            case "unknown segment":
                frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber = 9
            case "another kind":
                file.SOPClassUID = file.file_meta.MediaStorageSOPClassUID = CTImageStorage
            case "cut pixels":
                file.PixelData = file.PixelData[:20]

    assert kind_of(lambda: read_seg(edited(path, edit))) == kind


def test_what_is_no_dicom_is_told(tmp_path: Path) -> None:
    assert kind_of(lambda: read_seg(tmp_path / "none.dcm")) == "missing_file"
    (tmp_path / "text.dcm").write_text("no DICOM")
    assert kind_of(lambda: read_seg(tmp_path / "text.dcm")) == "unreadable_slice"


def test_the_tumour_of_the_twin_comes_back_from_both_files(tmp_path: Path) -> None:
    root = write_nsclc(tmp_path / "twin", patients=2, seed=5)
    found = index(load_manifest("nsclc_radiomics"), root)
    assert [c.id for c in found.cases] == ["LUNG1-001", "LUNG1-002"]
    assert not any("cannot be read" in note for note in found.notes)
    for case in found.cases:
        volumes = read_case(case, found.manifest)
        assert set(volumes) == {"ct", "seg", "rtstruct"}
        assert volumes["ct"].unit == "HU" and volumes["seg"].same_grid(volumes["ct"])
        assert set(np.unique(volumes["seg"].array)) == {0, 1}
        np.testing.assert_array_equal(volumes["seg"].array, volumes["rtstruct"].array)


def test_a_manifest_says_on_what_regions_were_drawn() -> None:
    text = (manifest_folder() / "nsclc_radiomics.yaml").read_text(encoding="utf-8")

    def loaded(edit: Callable[[Any], None]) -> Manifest:
        content = yaml.safe_load(text)
        edit(content["layout"])
        return Manifest.model_validate(content)

    def drop(layout: Any) -> None:
        del layout["annotations"]["seg"]["slices_of"]

    def none(layout: Any) -> None:
        layout["annotations"]["seg"]["regions"] = {}

    def image(layout: Any) -> None:
        layout["images"]["ct"] |= {"regions": {"GTV-1": 1}, "slices_of": "ct"}

    assert loaded(lambda layout: None).id == "nsclc_radiomics"
    for edit in (drop, none):
        with pytest.raises(ValueError, match="expected names with their label ids, and `slices_of"):
            loaded(edit)
    with pytest.raises(ValueError, match=r"layout.ct.regions: expected with annotations alone"):
        loaded(image)
