"""DICOM series: world coordinates, the order of slices, every mixture and defect by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import (
    MPEG2MPML,
    BasicTextSRStorage,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from medkd_lib.data.dicom import read_dicom
from medkd_lib.data.problems import DataError
from medkd_lib.data.read import read_volume
from tests.data.bad_files import Edit, dicom_slice, ramp, series

# pydicom warns of the damage that these tests plant
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")

AXIAL, CORONAL, SAGITTAL = (1, 0, 0, 0, 1, 0), (1, 0, 0, 0, 0, -1), (0, 1, 0, 0, 0, -1)
OBLIQUE = (0.8, 0.6, 0, 0, 0, -1)


def kind_of(folder: Path, **choice: Any) -> str:
    with pytest.raises(DataError) as caught:
        read_dicom(folder, **choice)
    problem = caught.value.problem
    assert min(map(len, (problem.where, problem.expected, problem.found, problem.next_step))) > 0
    return problem.kind


def kinds(folder: Path, **choice: Any) -> list[tuple[str, str]]:
    return [(p.kind, p.severity) for p in read_dicom(folder, **choice).problems]


def only(k: int, **tags: object) -> Edit:
    """Set tags on slice ``k``; None deletes."""

    def edit(ds: Dataset, at: int) -> None:
        for name, value in tags.items():
            if at == k and value is None:
                delattr(ds, name)
            elif at == k:
                setattr(ds, name, value)

    return edit


def every(**tags: object) -> Edit:
    return lambda ds, k: only(k, **tags)(ds, k)


@pytest.mark.parametrize("cosines", [AXIAL, CORONAL, SAGITTAL, OBLIQUE])
def test_values_and_world_agree_with_simpleitk(tmp_path: Path, cosines: Sequence[float]) -> None:
    folder = series(tmp_path / "ct", cosines=cosines)
    volume = read_dicom(folder)
    np.testing.assert_array_equal(volume.array, ramp() - 1024)
    assert volume.unit == "HU" and volume.array.dtype == np.int16
    np.testing.assert_allclose(volume.spacing_mm, (2, 3, 4))
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image).T, volume.array)
    for corner in np.ndindex(2, 2, 2):
        index = [c * (n - 1) for c, n in zip(corner, volume.shape, strict=True)]
        lps = np.array(image.TransformIndexToPhysicalPoint(index))
        ras = (volume.affine @ [*index, 1])[:3]
        np.testing.assert_allclose(ras, lps * [-1, -1, 1], atol=1e-6)
    oblique = cosines == OBLIQUE
    assert [p.kind for p in volume.problems] == (["oblique"] if oblique else [])


def shifted(ds: Dataset, mm: float) -> None:
    x, y, z = (float(p) for p in ds.ImagePositionPatient)
    ds.ImagePositionPatient = [f"{x:g}", f"{y:g}", f"{z + mm:.6f}"]


def offset(k: int, mm: float) -> Edit:
    return lambda ds, at: shifted(ds, mm) if at == k else None


def palette(ds: Dataset, k: int) -> None:
    ds.PhotometricInterpretation = "PALETTE COLOR"


# kind → how the slices are spoiled
ERRORS: list[tuple[str, Edit]] = [
    ("no_position", only(2, ImagePositionPatient=None)),
    ("no_position", every(ImageOrientationPatient=None)),
    ("mixed_orientation", only(3, ImageOrientationPatient=["1", "0", "0", "0", "0", "-1"])),
    ("bad_orientation", every(ImageOrientationPatient=["1", "0", "0", "0", "2", "0"])),
    ("bad_orientation", every(ImageOrientationPatient=["1", "0", "0", "1", "0", "0"])),
    ("bad_tag", only(1, BitsAllocated=None)),
    ("bad_tag", only(2, ImagePositionPatient=["0", "0", "nan"])),
    ("mixed_spacing", only(1, PixelSpacing=["1", "1"])),
    ("no_spacing", every(PixelSpacing=None)),
    ("singular_affine", every(PixelSpacing=["0", "2"])),
    ("absurd_spacing", every(PixelSpacing=["80", "80"])),
    ("mixed_patients", only(1, PatientID="P2")),
    ("mixed_series", only(1, SeriesInstanceUID="1.2.9")),
    ("mixed_series", only(1, Modality="MR")),
    ("no_rescale", only(4, RescaleSlope=None)),
    ("no_rescale", every(RescaleIntercept=None)),
    ("bad_scale", every(RescaleSlope="0")),
    ("modality_lut", every(ModalityLUTSequence=[Dataset()])),
    ("irregular_spacing", offset(3, 1.5)),
    ("irregular_spacing", only(2, ImagePositionPatient=["-20", "-20", "-2"])),
    ("no_pixel_data", only(1, PixelData=None)),
    ("corrupt", only(1, PixelData=b"\0" * 38)),
    ("multiframe", every(NumberOfFrames=2)),
    ("colour", palette),
    ("transfer_syntax", lambda ds, k: setattr(ds.file_meta, "TransferSyntaxUID", "1.2.3.4")),
]


@pytest.mark.parametrize(("kind", "edit"), ERRORS, ids=[kind for kind, _ in ERRORS])
def test_a_spoiled_series_is_an_error_that_names_it(tmp_path: Path, kind: str, edit: Edit) -> None:
    assert kind_of(series(tmp_path / "ct", edit=edit)) == kind


def test_mixed_matrix_colour_and_gaps(tmp_path: Path) -> None:
    mixed = series(tmp_path / "a", ramp((4, 5, 3)))
    series(mixed, ramp((5, 5, 3)), origin=(-30, -20, 50), prefix="b")
    assert kind_of(mixed) == "mixed_matrix"
    gap = series(tmp_path / "b", ramp((4, 5, 7)))
    next(gap.glob("*_3.dcm")).unlink()
    assert kind_of(gap) == "missing_slices"
    rgb = tmp_path / "c"
    rgb.mkdir()
    picture = dicom_slice(
        np.zeros((5, 4, 3), np.uint8), SamplesPerPixel=3, PhotometricInterpretation="RGB",
        PlanarConfiguration=0, ImagePositionPatient=[0, 0, 0], PixelSpacing=[1, 1],
        ImageOrientationPatient=list(AXIAL),
    )  # fmt: skip
    picture.save_as(rgb / "a.dcm", enforce_file_format=True)
    assert kind_of(rgb) == "colour"


def test_folders_without_a_series(tmp_path: Path) -> None:
    assert kind_of(tmp_path / "none") == "missing_file"
    (tmp_path / "outer" / "inner").mkdir(parents=True)
    assert kind_of(tmp_path / "outer") == "empty_folder"
    (tmp_path / "outer" / "notes.txt").write_text("no image")
    assert kind_of(tmp_path / "outer") == "no_dicom"
    with pytest.raises(DataError, match="inner"):
        read_dicom(tmp_path / "outer" / "inner" / "..")  # the message names what lies there


def test_bystanders_are_noted_and_damaged_files_are_not(tmp_path: Path) -> None:
    folder = series(tmp_path / "ct")
    for name in ("DICOMDIR", "Thumbs.db", "._0_1.dcm", "readme.txt"):
        (folder / name).write_bytes(b"\0" * 300)
    report = dicom_slice(
        np.zeros((5, 4), np.int16), Modality="SR", SOPClassUID=BasicTextSRStorage,
        SeriesInstanceUID="1.2.8",
    )  # fmt: skip
    del report.PixelData, report.Rows
    report.save_as(folder / "report.dcm", enforce_file_format=True)
    volume = read_dicom(folder)
    assert [p.kind for p in volume.problems] == ["bystander"] and volume.shape == (4, 5, 6)
    assert "readme.txt" in volume.problems[0].found and "SR" in volume.problems[0].found
    for name, content in (("x.dcm", b"\0" * 300), ("IM0001", b""), ("y.dcm", b"\1" * 5)):
        (folder / name).write_bytes(content)
        assert kind_of(folder) == "unreadable_slice"
        (folder / name).unlink()


@pytest.mark.parametrize("number", [b"-1024", b"-30\\-20"])
def test_a_number_that_cannot_be_parsed_names_its_tag(tmp_path: Path, number: bytes) -> None:
    folder = series(tmp_path / "ct")
    path = next(folder.glob("*_2.dcm"))
    path.write_bytes(path.read_bytes().replace(number, b"x" + number[1:]))
    with pytest.raises(DataError, match=r"RescaleIntercept|ImagePositionPatient") as caught:
        read_dicom(folder)
    assert caught.value.problem.kind == "bad_tag"


@pytest.mark.parametrize("keep", [0.05, 0.2, 0.3, 0.5, 0.7, 0.9, 0.98])
def test_a_file_cut_off_is_never_read(tmp_path: Path, keep: float) -> None:
    folder = series(tmp_path / "ct")
    path = next(folder.glob("*_2.dcm"))
    blob = path.read_bytes()
    path.write_bytes(blob[: int(len(blob) * keep)])
    assert kind_of(folder) in {"unreadable_slice", "corrupt", "no_pixel_data"}


def test_a_file_without_preamble_is_read(tmp_path: Path) -> None:
    def implicit(ds: Dataset, k: int) -> None:
        ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian

    folder = series(tmp_path / "ct", edit=implicit)
    path = next(folder.glob("*_2.dcm"))
    blob = path.read_bytes()
    path.write_bytes(blob[blob.index(b"\x08\x00\x08\x00") :])  # the data set itself
    np.testing.assert_array_equal(read_dicom(folder).array, ramp() - 1024)


def two_phases(folder: Path) -> Path:
    series(folder, ramp(), AcquisitionNumber=3)
    return series(folder, ramp() + 500, AcquisitionNumber=7, prefix="late")


def test_two_phases_at_one_place_are_named_and_chosen(tmp_path: Path) -> None:
    folder = two_phases(tmp_path / "ct")
    with pytest.raises(DataError, match=r"3 \(6 slices\), 7 \(6 slices\)") as caught:
        read_dicom(folder)
    assert caught.value.problem.kind == "two_phases"
    assert "read_dicom(folder, acquisition=NUMBER)" in caught.value.problem.next_step
    late = read_dicom(folder, acquisition=7)
    np.testing.assert_array_equal(late.array, ramp() + 500 - 1024)
    assert kind_of(folder, acquisition=4) == "no_such_acquisition"


def test_phases_whose_slices_alternate_are_not_one_image(tmp_path: Path) -> None:
    folder = series(tmp_path / "ct", AcquisitionNumber=1)
    series(folder, ramp() + 500, AcquisitionNumber=2, prefix="b", origin=(-30, -20, -8))
    assert kind_of(folder) == "two_phases"  # 2 mm apart, evenly
    assert read_dicom(folder, acquisition=2).spacing_mm == (2, 3, 4)
    stepped = series(tmp_path / "b", edit=lambda ds, k: setattr(ds, "AcquisitionNumber", k // 2))
    assert kinds(stepped) == []


def test_images_at_one_place_told_apart_by_another_tag(tmp_path: Path) -> None:
    folder = series(tmp_path / "mr", EchoTime="10")
    series(folder, ramp() + 1, EchoTime="80", prefix="second")
    with pytest.raises(DataError, match="EchoTime") as caught:
        read_dicom(folder)
    assert caught.value.problem.kind == "same_position"


def test_copies_of_a_slice_are_dropped_and_counted(tmp_path: Path) -> None:
    folder = series(tmp_path / "ct")
    one = next(folder.glob("*_2.dcm"))
    (folder / "copy.dcm").write_bytes(one.read_bytes())
    assert kinds(folder) == [("duplicate_slices", "repaired")]
    np.testing.assert_array_equal(read_dicom(folder).array, ramp() - 1024)


def test_equal_pixels_scaled_otherwise_are_no_copy(tmp_path: Path) -> None:
    folder = series(tmp_path / "ct")
    one = dcmread(next(folder.glob("*_2.dcm")))
    one.RescaleSlope = "1.0"
    one.save_as(folder / "copy.dcm")
    assert kinds(folder) == [("duplicate_slices", "repaired")]
    one.RescaleSlope = "2"
    one.save_as(folder / "copy.dcm")
    with pytest.raises(DataError, match="RescaleSlope") as caught:
        read_dicom(folder)
    assert caught.value.problem.kind == "same_position"


def test_one_series_of_several_is_chosen(tmp_path: Path) -> None:
    folder = series(tmp_path / "ct", SeriesInstanceUID="1.5", SeriesDescription="thin")
    series(folder, ramp() + 9, SeriesInstanceUID="1.6", SeriesNumber=4, prefix="b")
    with pytest.raises(DataError, match=r"read_dicom\(folder, series=") as caught:
        read_dicom(folder)
    assert caught.value.problem.kind == "mixed_series"
    assert kind_of(folder, series="thick") == "no_such_series"
    for name in ("1.5", "thin"):
        np.testing.assert_array_equal(read_dicom(folder, series=name).array, ramp() - 1024)
    np.testing.assert_array_equal(read_dicom(folder, series="4").array, ramp() + 9 - 1024)


def test_localizers_are_left_out_and_counted(tmp_path: Path) -> None:
    folder = series(tmp_path / "ct")
    scout = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    series(
        folder, ramp((9, 8, 2)), cosines=CORONAL, ImageType=scout, SeriesInstanceUID="1.7",
        prefix="s",
    )  # fmt: skip
    assert kinds(folder) == [("localizer", "repaired")]
    assert read_dicom(folder).shape == (4, 5, 6)


def test_a_tilted_gantry_shears_the_affine_exactly(tmp_path: Path) -> None:
    lean = np.radians(15)
    cosines = (1, 0, 0, 0, np.cos(lean), -np.sin(lean))
    folder = series(tmp_path / "ct", cosines=cosines, step=(0, 0, 4.0))
    volume = read_dicom(folder)
    assert [(p.kind, p.severity) for p in volume.problems] == [("gantry_tilt", "warning")]
    assert "15.0°" in volume.problems[0].found
    # the third axis is the table, the second leans
    np.testing.assert_allclose(volume.affine[:3, 2], [0, 0, 4], atol=1e-6)
    np.testing.assert_allclose(
        volume.affine[:3, 1], [0, -3 * np.cos(lean), -3 * np.sin(lean)], atol=1e-6
    )


def test_slightly_uneven_slices_are_read_and_reported(tmp_path: Path) -> None:
    assert kinds(series(tmp_path / "a", edit=offset(3, 0.2))) == [("uneven_spacing", "warning")]
    assert kinds(series(tmp_path / "b", edit=offset(3, 0.02))) == []


def test_a_single_slice_needs_its_thickness(tmp_path: Path) -> None:
    alone = series(tmp_path / "a", ramp((4, 5, 1)))
    assert kind_of(alone) == "no_spacing"
    thick = series(tmp_path / "b", ramp((4, 5, 1)), SliceThickness="4")
    assert kinds(thick) == [("single_slice", "warning")]
    assert read_dicom(thick).spacing_mm == (2, 3, 4)


@pytest.mark.parametrize(
    ("tags", "warned"),
    [
        ({"SliceThickness": "2"}, True),
        ({"SliceThickness": "3"}, False),  # a gap of a third, as MR has
        ({"SliceThickness": "4"}, False),
        ({"SliceThickness": "8"}, False),  # overlapping
        ({"SliceThickness": "0"}, False),
        ({"SliceThickness": ""}, False),
        ({"SpacingBetweenSlices": "2", "SliceThickness": "8"}, True),
        ({"SpacingBetweenSlices": "-4", "SliceThickness": "1"}, False),
    ],
)
def test_slices_far_apart_for_their_thickness(
    tmp_path: Path, tags: dict[str, Any], warned: bool
) -> None:
    found = kinds(series(tmp_path / "ct", **tags))
    assert found == ([("thickness_disagrees", "warning")] if warned else [])


def test_every_second_slice_gone_is_seen_by_thickness_and_number(tmp_path: Path) -> None:
    folder = series(tmp_path / "ct", ramp((4, 5, 10)), SliceThickness="4")
    assert kinds(folder) == []
    for k in range(1, 10, 2):
        next(folder.glob(f"*_{k}.dcm")).unlink()
    assert [k for k, _ in kinds(folder)] == ["thickness_disagrees", "fewer_slices"]


@pytest.mark.parametrize("keyword", ["ImagesInAcquisition", "NumberOfSlices"])
def test_slices_cut_off_at_an_end_are_seen_where_a_tag_counts(tmp_path: Path, keyword: str) -> None:
    folder = series(tmp_path / "ct", edit=every(**{keyword: 6}))
    assert kinds(folder) == []
    next(folder.glob("*_5.dcm")).unlink()
    (problem,) = read_dicom(folder).problems
    assert (problem.kind, problem.severity) == ("fewer_slices", "warning")
    assert f"5 slices; {keyword} 6" in problem.found
    silent = series(tmp_path / "silent")
    next(silent.glob("*_5.dcm")).unlink()
    assert kinds(silent) == []  # no tag tells


def test_counts_of_what_was_not_chosen_are_not_missed(tmp_path: Path) -> None:
    folder = series(tmp_path / "ct", AcquisitionNumber=1, NumberOfSlices=12, ImagesInAcquisition=6)
    series(
        folder, ramp() + 500, AcquisitionNumber=2, NumberOfSlices=12, ImagesInAcquisition=6,
        prefix="b", edit=lambda ds, k: setattr(ds, "InstanceNumber", 20 + 3 * k),
    )  # fmt: skip
    assert kinds(folder, acquisition=2) == []


def padded(low: int, dtype: str = "int16") -> NDArray[Any]:
    stored = ramp(dtype=dtype) + np.array(900, dtype)
    stored[0, 0, :] = low
    return stored


@pytest.mark.parametrize(
    ("stored", "tags", "expected", "found"),
    [
        (padded(-2000), {}, -1024, [("padding", "repaired")]),
        (padded(-2000), {"PixelPaddingValue": 63536}, -1024, [("padding", "repaired")]),
        (padded(-100), {}, -1124, [("below_air", "warning")]),
        (padded(-100), {"PixelPaddingValue": 65436}, -1024, [("padding", "repaired")]),
        (padded(20, "uint16"), {"PixelPaddingValue": 20}, -1024, [("padding", "repaired")]),
        (padded(1000), {"PixelPaddingValue": 1000}, -24, [("padding", "warning")]),
    ],
)
def test_padding_becomes_air_and_noise_stays(
    tmp_path: Path,
    stored: NDArray[Any],
    tags: dict[str, int],
    expected: int,
    found: list[tuple[str, str]],
) -> None:
    signed = stored.dtype.kind == "i"

    def edit(ds: Dataset, k: int) -> None:
        for name, value in tags.items():
            ds.add_new(name, "SS" if signed and value < 32768 else "US", value)

    folder = series(tmp_path / "ct", stored, edit=edit)
    volume = read_dicom(folder)
    assert set(volume.array[0, 0].tolist()) == {expected}
    np.testing.assert_array_equal(volume.array[1:], stored[1:].astype(int) - 1024)
    assert [(p.kind, p.severity) for p in volume.problems] == found


def test_rescale_is_each_slice_s_own(tmp_path: Path) -> None:
    def edit(ds: Dataset, k: int) -> None:
        ds.RescaleSlope = str(0.5 * (k + 1))

    volume = read_dicom(series(tmp_path / "ct", edit=edit))
    expected = ramp() * (0.5 * np.arange(1, 7)) - 1024
    np.testing.assert_allclose(volume.array, expected)
    assert volume.array.dtype == np.float32


def test_mr_needs_no_rescale_and_ct_reports_its_type(tmp_path: Path) -> None:
    plain: Edit = every(Modality="MR", RescaleSlope=None, RescaleIntercept=None)
    volume = read_dicom(series(tmp_path / "mr", edit=plain))
    assert volume.unit is None
    np.testing.assert_array_equal(volume.array, ramp())
    assert kinds(series(tmp_path / "b", RescaleType="US")) == [("rescale_type", "warning")]
    shown = series(tmp_path / "c", PhotometricInterpretation="MONOCHROME1")
    assert kinds(shown) == [("monochrome1", "warning")]
    np.testing.assert_array_equal(read_dicom(shown).array, ramp() - 1024)


def test_bits_above_the_stored_ones_are_no_pixels(tmp_path: Path) -> None:
    stored = ramp(dtype="uint16")
    overlay = stored | np.uint16(0xF000)
    folder = series(tmp_path / "ct", overlay, BitsStored=12, HighBit=11)
    np.testing.assert_array_equal(read_dicom(folder).array, stored.astype(int) - 1024)


def test_compressed_pixels_are_decoded_or_the_package_is_named(tmp_path: Path) -> None:
    def packed(ds: Dataset, k: int) -> None:
        ds.compress(RLELossless)

    folder = series(tmp_path / "rle", edit=packed)
    np.testing.assert_array_equal(read_dicom(folder).array, ramp() - 1024)

    def cannot(ds: Dataset, k: int) -> None:
        ds.PixelData = encapsulate([b"\0" * 20])
        ds["PixelData"].is_undefined_length = True
        ds.file_meta.TransferSyntaxUID = HTJ2KLossless

    with pytest.raises(DataError, match="High-Throughput") as caught:
        read_dicom(series(tmp_path / "ht", edit=cannot))
    assert caught.value.problem.kind in {"transfer_syntax", "corrupt"}  # with openjpeg installed

    def video(ds: Dataset, k: int) -> None:
        cannot(ds, k)
        ds.file_meta.TransferSyntaxUID = MPEG2MPML

    with pytest.raises(DataError, match="MPEG2") as caught:
        read_dicom(series(tmp_path / "video", edit=video))
    assert caught.value.problem.kind == "transfer_syntax"

    def damaged(ds: Dataset, k: int) -> None:
        cannot(ds, k)
        ds.file_meta.TransferSyntaxUID = JPEG2000Lossless

    assert kind_of(series(tmp_path / "j2k", edit=damaged)) == "corrupt"


def test_the_one_entry_reads_a_series_and_compares_statements(tmp_path: Path) -> None:
    folder = series(tmp_path / "ct")
    assert read_volume(folder, unit="HU", axcodes="LPS", spacing_mm=(2, 3, 4)).unit == "HU"
    wrong: list[tuple[str, Callable[[], object]]] = [
        ("unit_disagrees", lambda: read_volume(folder, unit="Bq/mL")),
        ("not_pet", lambda: read_volume(folder, unit="SUV")),
        ("axcodes_disagree", lambda: read_volume(folder, axcodes="RAS")),
        ("spacing_disagrees", lambda: read_volume(folder, spacing_mm=(1, 1, 1))),
        ("one_slice", lambda: read_volume(next(folder.glob("*.dcm")))),
    ]
    no_scale = every(Modality="MR", RescaleSlope=None, RescaleIntercept=None)
    for name, edit in (("scaled", every(Modality="MR")), ("plain", no_scale)):
        mr = series(tmp_path / name, edit=edit)
        assert read_volume(mr).unit is None and read_volume(mr, unit="mm2/s").unit == "mm2/s"
        for unit in ("HU", "Bq/mL"):
            wrong.append(("unit_disagrees", partial(read_volume, mr, unit=unit)))
        wrong.append(("not_pet", partial(read_volume, mr, unit="SUV")))
    for kind, read in wrong:
        with pytest.raises(DataError) as caught:
            read()
        assert caught.value.problem.kind == kind


@pytest.mark.real_data
def test_a_real_series_without_identifiers(real_data: Path, tmp_path: Path) -> None:
    folder = real_data / "totalseg_ct" / "example_ct_dicom"  # JPEG 2000, UIDs and PatientID empty
    volume = read_volume(folder, unit="HU")
    assert volume.shape == (512, 512, 20) and volume.axcodes == "LPS" and volume.problems == ()
    np.testing.assert_allclose(volume.spacing_mm, (0.9765625, 0.9765625, 2.0))
    assert -1024 <= volume.array.min() < -1000 and volume.array.max() > 1000
    mask = read_volume(real_data / "totalseg_ct" / "example_seg_dicom.nii.gz")
    assert mask.axcodes == "LAS" and not mask.same_grid(volume)
    assert mask.oriented("LPS").same_grid(volume)  # the same places, one axis counted backwards
