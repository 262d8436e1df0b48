"""The house code of the writers: whole folders or none, order kept, bytes that repeat."""

from __future__ import annotations

import gzip
import os
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK

from medkd_lib.phantom.twin_files import build_folder, in_order, write_nifti, write_table

AFFINE = np.array([[-2.0, 0, 0, 5], [0, -2.0, 0, 7], [0, 0, 3.0, -1], [0, 0, 0, 1]])


def square(number: int) -> tuple[int, int]:
    return number**2, os.getpid()


def test_results_come_in_order_from_other_processes() -> None:
    numbers = list(range(7))
    alone = list(in_order(square, numbers, 1))
    together = list(in_order(square, numbers, 2, chunk=2))
    assert [n for n, _ in alone] == [n for n, _ in together] == [n**2 for n in numbers]
    assert {pid for _, pid in alone} == {os.getpid()}
    assert os.getpid() not in {pid for _, pid in together}


def test_a_folder_is_whole_or_absent(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "set"
    with build_folder(out) as building:
        (building / "a.txt").write_text("a")
        assert not out.exists()
    assert [p.name for p in out.iterdir()] == ["a.txt"]
    assert [p.name for p in out.parent.iterdir()] == ["set"]
    with pytest.raises(FileExistsError, match="empty folder"), build_folder(out):
        raise AssertionError("never entered")
    other = tmp_path / "other"
    with pytest.raises(RuntimeError, match="disk full"), build_folder(other) as building:
        (building / "half").write_text("")
        raise RuntimeError("disk full")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["deep"]


def test_table_has_the_rows_fields_or_some_of_them_as_columns(tmp_path: Path) -> None:
    @dataclass
    class Row:
        b: str
        a: int

    rows = [Row("x,y", 1), Row("z", 2)]
    write_table(tmp_path / "t.csv", Row, rows)
    assert (tmp_path / "t.csv").read_bytes() == b'b,a\n"x,y",1\nz,2\n'
    write_table(tmp_path / "t.csv", Row, rows, only=("a",))
    assert (tmp_path / "t.csv").read_bytes() == b"a\n1\n2\n"


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_nifti_says_what_it_holds_to_two_libraries(tmp_path: Path, dtype: type) -> None:
    array: np.ndarray = np.arange(24).reshape(2, 3, 4).astype(dtype)
    write_nifti(tmp_path / "a.nii.gz", array, AFFINE)
    image = nib.nifti1.Nifti1Image.from_filename(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(np.asanyarray(image.dataobj), array)
    assert image.get_data_dtype() == dtype
    np.testing.assert_allclose(image.affine, AFFINE)
    for matrix, code in (image.get_sform(coded=True), image.get_qform(coded=True)):
        np.testing.assert_allclose(matrix, AFFINE, atol=1e-6)
        assert code == 1
    assert image.header.get_xyzt_units()[0] == "mm"
    assert image.header.get_zooms() == (2.0, 2.0, 3.0)
    assert image.header.endianness == "<"
    itk = SimpleITK.ReadImage(str(tmp_path / "a.nii.gz"))
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(itk), array.transpose(2, 1, 0))
    # ITK's world is LPS
    point = np.array(itk.TransformIndexToPhysicalPoint((1, 2, 3)))
    np.testing.assert_allclose(point * [-1, -1, 1], (AFFINE @ [1, 2, 3, 1])[:3])


def test_nifti_bytes_depend_on_content_alone(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 99, (5, 6, 7)).astype(np.int16)
    write_nifti(tmp_path / "a.nii.gz", array, AFFINE)
    os.utime(tmp_path, (0, 0))
    write_nifti(tmp_path / "another.nii.gz", np.asfortranarray(array), AFFINE)
    first = (tmp_path / "a.nii.gz").read_bytes()
    assert first == (tmp_path / "another.nii.gz").read_bytes()
    assert first[4:8] == b"\0\0\0\0"  # no time
    write_nifti(tmp_path / "small.nii.gz", array, AFFINE, level=9)
    smaller = (tmp_path / "small.nii.gz").read_bytes()
    assert gzip.decompress(smaller) == gzip.decompress(first)
