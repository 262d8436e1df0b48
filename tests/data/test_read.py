"""One entry for all formats: the same patient in every one of them, PNG stacks, ITK, masks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray
from PIL import Image

from medkd_lib.data.masks import read_mask
from medkd_lib.data.png_stack import read_png_stack
from medkd_lib.data.problems import DataError
from medkd_lib.data.read import read_volume
from tests.data.bad_files import AFFINE, itk, nifti, pngs, ramp, series

AXES = {
    "axial": (1, 0, 0, 0, 1, 0),
    "coronal": (1, 0, 0, 0, 0, -1),
    "sagittal": (0, 1, 0, 0, 0, -1),
}


def kind_of(path: Path, **stated: Any) -> str:
    with pytest.raises(DataError) as caught:
        read_volume(path, **stated)
    problem = caught.value.problem
    assert min(map(len, (problem.where, problem.expected, problem.found, problem.next_step))) > 0
    return problem.kind


@pytest.mark.parametrize("corner", list(np.ndindex(2, 2, 2)), ids=str)
@pytest.mark.parametrize("acquired", AXES)
def test_a_planted_corner_lies_at_one_place_in_every_format(
    tmp_path: Path, acquired: str, corner: tuple[int, ...]
) -> None:
    """The oracle is the DICOM definition itself, worked here in LPS by hand."""
    shape, spacing, origin = (3, 4, 5), (2.0, 3.0, 4.0), np.array([-30.0, 12.0, 7.0])
    row, column = np.array(AXES[acquired][:3]), np.array(AXES[acquired][3:])
    normal = np.cross(row, column)
    index = tuple(c * (n - 1) for c, n in zip(corner, shape, strict=True))
    lps = origin + 2.0 * index[0] * row + 3.0 * index[1] * column + 4.0 * index[2] * normal
    planted = np.zeros(shape, np.int16)
    planted[index] = 1000

    image = sitk.GetImageFromArray(planted.T)
    image.SetSpacing(spacing)
    image.SetOrigin(origin.tolist())
    image.SetDirection(np.stack([row, column, normal], axis=1).ravel().tolist())
    np.testing.assert_allclose(image.TransformIndexToPhysicalPoint(index), lps)
    paths = [tmp_path / f"s.{suffix}" for suffix in ("nii.gz", "nrrd", "nhdr", "mha", "mhd")]
    for path in paths:
        sitk.WriteImage(image, str(path))
    affine = np.eye(4)
    affine[:3, :3] = np.stack([2.0 * row, 3.0 * column, 4.0 * normal], axis=1)
    affine[:3, 3] = origin
    nib.save(nib.Nifti1Image(planted, np.diag([-1, -1, 1, 1]) @ affine), tmp_path / "n.nii.gz")
    folder = series(
        tmp_path / "ct", planted, cosines=AXES[acquired], spacing=spacing, origin=origin.tolist(),
        RescaleIntercept="0",
    )  # fmt: skip
    for path in (*paths, tmp_path / "n.nii.gz", folder):
        for volume in (read_volume(path), read_volume(path).oriented("RAS")):
            at = np.argwhere(volume.array == 1000)
            assert len(at) == 1, path
            ras = (volume.affine @ [*at[0], 1])[:3]
            np.testing.assert_allclose(ras * [-1, -1, 1], lps, atol=1e-4, err_msg=str(path))


@pytest.mark.parametrize("name", ["a.nrrd", "a.nhdr", "a.mha", "a.mhd"])
def test_itk_files_know_their_grid(tmp_path: Path, name: str) -> None:
    volume = read_volume(itk(tmp_path / name))
    np.testing.assert_array_equal(volume.array, ramp())
    np.testing.assert_allclose(volume.affine, [*(AFFINE[:3]), [0, 0, 0, 1]])
    assert volume.array.dtype == np.int16 and volume.problems == ()
    packed = read_volume(itk(tmp_path / name, compress=True))
    np.testing.assert_array_equal(packed.array, ramp())


def test_itk_defects(tmp_path: Path) -> None:
    for name, packed in (("a.nrrd", False), ("b.nrrd", True), ("a.mha", False), ("b.mha", True)):
        path = itk(tmp_path / name, compress=packed)
        path.write_bytes(path.read_bytes()[:-10])
        assert kind_of(path) == "unreadable"
    for name, data in (("c.nhdr", "c.raw"), ("d.mhd", "d.raw")):
        path = itk(tmp_path / name)
        (tmp_path / data).unlink()
        assert kind_of(path) == "missing_pair"
    assert kind_of(itk(tmp_path / "e.nrrd", ramp(dtype="complex64"))) == "complex"
    nan = ramp(dtype="float32")
    nan[0, 0, 0] = np.nan
    assert kind_of(itk(tmp_path / "f.mha", nan)) == "nan_voxels"
    assert kind_of(itk(tmp_path / "g.mha", ramp((4, 5, 6, 2)))) == "four_d"
    vector = sitk.GetImageFromArray(np.zeros((6, 5, 4, 3), np.uint8), isVector=True)
    sitk.WriteImage(vector, str(tmp_path / "h.nrrd"))
    assert kind_of(tmp_path / "h.nrrd") == "colour"
    (tmp_path / "i.nrrd").write_bytes(b"")
    assert kind_of(tmp_path / "i.nrrd") == "empty_file"
    (tmp_path / "i.mha").write_bytes(b"<html>Sign in</html>")
    assert kind_of(tmp_path / "i.mha") == "web_page"


@pytest.mark.parametrize(
    ("kind", "named"),
    [
        ("data_elsewhere", "../secret.raw"),
        ("data_elsewhere", "deep/secret.raw"),
        ("data_elsewhere", "..\\secret.raw"),
        ("data_elsewhere", "C:secret.raw"),
        ("data_elsewhere", "{}/secret.raw"),
        ("data_elsewhere", ".."),
        ("several_files", "LIST"),
        ("several_files", "a%03d.raw 0 5 1"),
        ("missing_pair", "gone.raw"),
    ],
)
@pytest.mark.parametrize("name", ["a.nhdr", "a.mhd"])
def test_a_header_names_no_file_but_one_beside_it(
    tmp_path: Path, name: str, kind: str, named: str
) -> None:
    (tmp_path / "set").mkdir()
    path = itk(tmp_path / "set" / name)
    for place in ("set/secret.raw", "secret.raw"):
        (tmp_path / place).write_bytes(b"S" * ramp().nbytes)
    other = named.format(tmp_path.as_posix()).encode()
    path.write_bytes(path.read_bytes().replace(b"a.raw", other))
    assert kind_of(path) == kind
    beside = path.read_bytes().replace(other, b"./secret.raw")
    path.write_bytes(beside)
    assert set(read_volume(path).array.flat) == {int.from_bytes(b"SS", "little")}


@pytest.mark.parametrize("name", ["a.nhdr", "a.mhd"])
def test_a_long_comment_hides_no_data_file(tmp_path: Path, name: str) -> None:
    path = itk(tmp_path / name)
    lines = path.read_bytes().splitlines(keepends=True)
    filling = b"# " + b"x" * 70_000 + b"\n" if name == "a.nhdr" else b"Comment = ElementDataFile\n"
    path.write_bytes(b"".join([lines[0], filling, *lines[1:]]).replace(b"a.raw", b"../a.raw"))
    assert kind_of(path) == ("unreadable" if name == "a.nhdr" else "data_elsewhere")


@pytest.mark.parametrize(
    ("name", "lost", "instead"),
    [
        ("a.nrrd", r"space: .*", "space dimension: 3"),
        ("a.nrrd", r"space.*\n", ""),
        ("a.mha", r"TransformMatrix.*\n", ""),
        ("a.mha", r"ElementSpacing.*\n", ""),
    ],
)
def test_itk_files_without_a_direction_need_a_statement(
    tmp_path: Path, name: str, lost: str, instead: str
) -> None:
    path = itk(tmp_path / name)
    path.write_bytes(re.sub(lost.encode(), instead.encode(), path.read_bytes()))
    assert kind_of(path) == "no_orientation"
    volume = read_volume(path, axcodes="LAS", spacing_mm=(2, 3, 4))
    np.testing.assert_array_equal(volume.array, ramp())
    assert volume.axcodes == "LAS" and [p.kind for p in volume.problems] == ["stated_geometry"]


def test_missing_and_single_files(tmp_path: Path) -> None:
    assert kind_of(tmp_path / "none.nii.gz") == "missing_file"
    (tmp_path / "empty").mkdir()
    assert kind_of(tmp_path / "empty") == "empty_folder"
    pngs(tmp_path / "stack", ["1.png"])
    assert kind_of(tmp_path / "stack" / "1.png") == "one_slice"


def test_ct_padding_is_mended_in_every_format(tmp_path: Path) -> None:
    array = ramp() - 1000
    array[:2, 0, 0] = -3024, -1100
    for path in (nifti(tmp_path / "a.nii.gz", array), itk(tmp_path / "a.nrrd", array)):
        volume = read_volume(path, unit="HU")
        assert [(p.kind, p.severity) for p in volume.problems] == [
            ("padding", "repaired"),
            ("below_air", "warning"),
        ]
        assert volume.array[0, 0, 0] == -1024 and volume.array[1, 0, 0] == -1100
        np.testing.assert_array_equal(read_volume(path).array, array)  # no unit, no repair
    raw = read_volume(nifti(tmp_path / "b.nii", ramp() + 24), unit="HU")
    assert [p.kind for p in raw.problems] == ["not_hounsfield"]


def test_png_slices_are_ordered_by_number(tmp_path: Path) -> None:
    folder = pngs(tmp_path / "a", [f"{k}.png" for k in range(12)])
    (folder / "notes.txt").write_text("ignored")
    volume = read_volume(folder, axcodes="LPS", spacing_mm=(0.9, 0.9, 1.0))
    assert volume.shape == (5, 4, 12) and volume.array.dtype == np.uint8
    np.testing.assert_array_equal(volume.array[0, 0], np.arange(12))
    assert volume.axcodes == "LPS" and [p.kind for p in volume.problems] == ["stated_geometry"]


def test_png_axes_are_right_down_and_number(tmp_path: Path) -> None:
    picture = np.zeros((4, 5), np.uint16)
    picture[3, 1] = 40000  # fourth row, second column
    for k in range(3):
        Image.fromarray(picture * (k == 2)).save(tmp_path / f"IMG-0002-0000{k}.png")
    volume = read_png_stack(tmp_path, axcodes="LPI", spacing_mm=(1, 2, 3), value_offset=-32768)
    assert np.argwhere(volume.array == 40000 - 32768).tolist() == [[1, 3, 2]]
    np.testing.assert_allclose(np.diag(volume.affine)[:3], [-1, -2, -3])


def test_png_defects(tmp_path: Path) -> None:
    stated = {"axcodes": "LPS", "spacing_mm": (1, 1, 1)}
    whole = pngs(tmp_path / "a", ["1.png", "2.png"])
    assert kind_of(whole, spacing_mm=(1, 1, 1)) == "no_orientation"
    assert kind_of(whole, axcodes="LPS") == "no_spacing"
    gap = pngs(tmp_path / "b", ["1.png", "2.png", "5.png"])
    with pytest.raises(DataError, match="3 to 4") as caught:
        read_volume(gap, **stated)  # type: ignore[arg-type]
    assert caught.value.problem.kind == "gap_in_numbers"
    assert kind_of(pngs(tmp_path / "c", ["1.png", "01.png"]), **stated) == "duplicate_number"
    assert kind_of(pngs(tmp_path / "d", ["a1.png", "b2.png"]), **stated) == "mixed_names"
    assert kind_of(pngs(tmp_path / "e", ["first.png"]), **stated) == "unnumbered"
    pngs(whole, ["3.png"], (9, 9))
    assert kind_of(whole, **stated) == "mixed_matrix"
    Image.new("RGB", (5, 4)).save(whole / "3.png")
    assert kind_of(whole, **stated) == "colour"
    Image.new("P", (5, 4)).save(whole / "3.png")
    assert kind_of(whole, **stated) == "colour"
    blob = (whole / "2.png").read_bytes()
    (whole / "3.png").write_bytes(blob[:-20])
    assert kind_of(whole, **stated) == "unreadable"


def mask_array(dtype: str = "uint8") -> NDArray[Any]:
    array = np.zeros((4, 5, 6), dtype)
    array[1, 1, 1:4] = 1, 2, 3
    return array


def test_masks_are_small_integers(tmp_path: Path) -> None:
    for dtype in ("uint8", "int16", "float32", "float64", "int64"):
        mask = read_mask(nifti(tmp_path / "m.nii.gz", mask_array(dtype)), values=[1, 2, 3])
        np.testing.assert_array_equal(mask.array, mask_array())
        assert mask.array.dtype == np.uint8 and mask.unit == "label" and mask.problems == ()
    wide = read_mask(nifti(tmp_path / "w.nii", mask_array("int32") * 400), values=None)
    assert wide.array.dtype == np.uint16 and int(np.max(wide.array)) == 1200
    folder = pngs(tmp_path / "png", ["0.png", "1.png"])
    stack = read_mask(folder, values={1}, axcodes="LPS", spacing_mm=(1, 1, 1))
    assert np.unique(stack.array).tolist() == [0, 1]


def test_inexact_storage_is_rounded_and_recorded(tmp_path: Path) -> None:
    stored = mask_array("float32") * np.float32(0.99999997)
    stored[1, 1, 1] = np.nextafter(np.float32(1), np.float32(0))
    mask = read_mask(nifti(tmp_path / "m.nii", stored), values=[1, 2, 3])
    np.testing.assert_array_equal(mask.array, mask_array())
    assert [(p.kind, p.severity) for p in mask.problems] == [("near_integer", "repaired")]


def test_an_empty_mask_is_a_warning(tmp_path: Path) -> None:
    mask = read_mask(nifti(tmp_path / "m.nii", mask_array() * 0), values=[1])
    assert [(p.kind, p.severity) for p in mask.problems] == [("empty_mask", "warning")]


@pytest.mark.parametrize(
    ("kind", "spoil", "says"),
    [
        ("non_integer", lambda m: m * np.float32(0.5), "0.5"),
        ("negative_label", lambda m: m.astype(np.int16) - 1, "-1"),
        ("unknown_label", lambda m: np.where(m == 3, 4, m).astype(np.uint8), r"remap \{4: 3\}"),
        ("unknown_label", lambda m: m * np.uint8(70), "210"),
        ("unknown_label", lambda m: m.astype(np.int32) * 70_000, "210000"),
    ],
)
def test_masks_that_mean_something_else(tmp_path: Path, kind: str, spoil: Any, says: str) -> None:
    path = nifti(tmp_path / "m.nii", spoil(mask_array()))
    with pytest.raises(DataError, match=says) as caught:
        read_mask(path, values=[1, 2, 3])
    assert caught.value.problem.kind == kind


@pytest.mark.real_data
def test_real_masks(real_data: Path) -> None:
    folder = real_data / "brats2013_2ch" / "brats_2013_pat0006_1"
    brain = read_mask(folder / "brainmask.nii.gz", values=[1])
    assert np.unique(brain.array).tolist() == [0, 1]  # stored as 0.99999997
    tumour = read_mask(folder / "OTMultiClass.nii.gz", values=[1, 2, 3, 4])
    assert tumour.array.dtype == np.uint8
    with pytest.raises(DataError) as caught:
        read_mask(real_data / "upenn_gbm" / "UPENN-GBM-00002" / "seg.nii.gz", values=[1, 2, 3])
    assert caught.value.problem.kind == "unknown_label"
