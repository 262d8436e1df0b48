"""NIfTI and Analyze: the values, the world, and every defect by name."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from medkd_lib.data.nifti import nifti_from_bytes, read_bytes, read_nifti
from medkd_lib.data.problems import DataError
from medkd_lib.data.read import read_volume
from tests.data.bad_files import AFFINE, NIFTI_ERRORS, NIFTI_ODD, analyze, nifti, ramp

ERRORS = [(kind, make) for kind, makes in NIFTI_ERRORS.items() for make in makes]


@pytest.mark.parametrize(("kind", "make"), ERRORS, ids=[kind for kind, _ in ERRORS])
def test_a_defect_is_an_error_that_names_it(
    tmp_path: Path, kind: str, make: Callable[[Path], Path]
) -> None:
    path = make(tmp_path)
    with pytest.raises(DataError) as caught:
        read_volume(path)
    problem = caught.value.problem
    assert problem.kind == kind and problem.severity == "error", str(problem)
    assert path.name in problem.where
    assert min(map(len, (problem.expected, problem.found, problem.next_step))) > 0


@pytest.mark.parametrize(("kind", "make"), NIFTI_ODD.items(), ids=[k for k, _ in NIFTI_ODD])
def test_an_oddity_is_read_and_recorded(
    tmp_path: Path, kind: tuple[str, str], make: Callable[[Path], Path]
) -> None:
    volume = read_volume(make(tmp_path))
    assert [(p.kind, p.severity) for p in volume.problems] == [kind]
    assert volume.array.ndim == 3
    np.testing.assert_array_equal(volume.array.ravel(), np.arange(volume.array.size))


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "f4", ">i2", ">f8"])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_every_plain_dtype_is_read_as_it_is(tmp_path: Path, dtype: str, name: str) -> None:
    kind = np.dtype(dtype)
    image = nib.Nifti1Image(ramp().astype(kind), AFFINE, dtype=kind)
    if kind.byteorder == ">":
        image = nib.Nifti1Image(ramp().astype(kind), AFFINE, image.header.as_byteswapped(">"))
    nib.save(image, tmp_path / name)
    volume = read_nifti(tmp_path / name)
    np.testing.assert_array_equal(volume.array, ramp())
    assert volume.array.dtype == (np.float32 if kind.kind == "f" else kind.newbyteorder("="))
    np.testing.assert_array_equal(volume.affine, AFFINE)
    assert volume.problems == () and volume.axcodes == "LPS" and volume.spacing_mm == (2, 3, 4)


def test_nifti_2_is_read(tmp_path: Path) -> None:
    nib.save(nib.Nifti2Image(ramp(), AFFINE), tmp_path / "a.nii.gz")
    volume = read_nifti(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(volume.array, ramp())
    np.testing.assert_array_equal(volume.affine, AFFINE)


@pytest.mark.parametrize(("dtype", "slope", "inter"), [("i2", 0.5, -3.0), ("i4", 2.0**-32, 0.5)])
def test_scale_factors_are_applied_as_nibabel_does(
    tmp_path: Path, dtype: str, slope: float, inter: float
) -> None:
    array = np.linspace(-(2**15), 2**15 - 1, 120).reshape(4, 5, 6).astype(dtype)
    if dtype == "i4":  # near -2^31 the intercept cancels: float32 would leave nothing
        array = (-(2**31) + 1000 * ramp(dtype="i8")).astype("i4")
    path = nifti(tmp_path / "a.nii.gz", array, scl_slope=slope, scl_inter=inter)
    volume = read_nifti(path)
    assert volume.array.dtype == np.float32
    np.testing.assert_allclose(
        volume.array,
        np.asanyarray(nib.Nifti1Image.from_filename(path).dataobj),
        rtol=1e-6,
        atol=0,
    )


def test_the_bytes_of_the_file_are_what_a_cache_may_hash(tmp_path: Path) -> None:
    path = nifti(tmp_path / "a.nii.gz")
    blob = read_bytes(path)
    assert blob == path.read_bytes()
    np.testing.assert_array_equal(nifti_from_bytes(blob, "memory").array, ramp())


@pytest.mark.parametrize("cut", [1, 300, 400])
def test_several_gzip_members_are_one_file(tmp_path: Path, cut: int) -> None:
    plain = gzip.decompress(nifti(tmp_path / "a.nii.gz").read_bytes())
    parts = gzip.compress(plain[:cut]) + gzip.compress(plain[cut:]) + b"\0" * 100
    (tmp_path / "a.nii.gz").write_bytes(parts)
    volume = read_volume(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(volume.array, ramp())
    assert volume.problems == ()


def test_bytes_behind_the_stream_that_look_like_a_length_are_seen(tmp_path: Path) -> None:
    path = nifti(tmp_path / "a.nii.gz")
    path.write_bytes(path.read_bytes() + (400).to_bytes(4, "little"))
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.array, ramp())
    assert [p.kind for p in volume.problems] == ["trailing_bytes"]


def test_two_members_of_equal_length_are_both_read(tmp_path: Path) -> None:
    plain = gzip.decompress(nifti(tmp_path / "a.nii.gz").read_bytes())
    half = len(plain) // 2
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(plain[:half]) + gzip.compress(plain[half:]))
    np.testing.assert_array_equal(read_nifti(tmp_path / "a.nii.gz").array, ramp())


def test_a_name_that_lies_about_packing_is_reported(tmp_path: Path) -> None:
    nifti(tmp_path / "a.nii")
    shutil.copy(tmp_path / "a.nii", tmp_path / "b.nii.gz")
    assert [p.kind for p in read_volume(tmp_path / "b.nii.gz").problems] == ["wrong_suffix"]
    nifti(tmp_path / "c.nii.gz").rename(tmp_path / "c.nii")
    assert [p.kind for p in read_volume(tmp_path / "c.nii").problems] == ["wrong_suffix"]


def test_a_file_without_forms_takes_the_stated_orientation(tmp_path: Path) -> None:
    path = nifti(tmp_path / "a.nii", qform_code=0, sform_code=0)
    volume = read_volume(path, axcodes="LAS")
    assert volume.axcodes == "LAS" and volume.spacing_mm == (2, 3, 4)
    assert [p.kind for p in volume.problems] == ["stated_geometry"]
    with pytest.raises(DataError) as caught:
        read_volume(path, axcodes="LAS", spacing_mm=(2, 3, 5))
    assert caught.value.problem.kind == "spacing_disagrees"


@pytest.mark.parametrize(
    ("stated", "kind"),
    [
        ({"axcodes": "RAS"}, "axcodes_disagree"),
        ({"spacing_mm": (2, 3, 4.2)}, "spacing_disagrees"),
    ],
)
def test_a_statement_that_contradicts_the_file_is_an_error(
    tmp_path: Path, stated: dict[str, str], kind: str
) -> None:
    path = nifti(tmp_path / "a.nii")
    assert read_volume(path, axcodes="LPS", spacing_mm=(2, 3, 4.02)).problems == ()
    with pytest.raises(DataError) as caught:
        read_volume(path, **stated)  # type: ignore[arg-type]
    assert caught.value.problem.kind == kind


def test_forms_that_agree_and_a_qfac_of_zero_are_silent(tmp_path: Path) -> None:
    image = nib.Nifti1Image(ramp(), AFFINE)
    image.set_qform(AFFINE, 1)
    image.set_sform(AFFINE, 2)
    nib.save(image, tmp_path / "a.nii")
    assert read_volume(tmp_path / "a.nii").problems == ()
    right = np.diag([2.0, 3.0, 4.0, 1.0])
    path = nifti(
        tmp_path / "b.nii", None, right, sform_code=0, qform_code=1,
        pixdim=[0, 2, 3, 4, 1, 1, 1, 1],
    )  # fmt: skip
    np.testing.assert_allclose(read_volume(path).affine[:3, :3], right[:3, :3])


def test_the_sform_wins_over_a_qform_elsewhere(tmp_path: Path) -> None:
    volume = read_volume(NIFTI_ODD["forms_disagree", "warning"](tmp_path))
    assert volume.affine[0, 3] == 35  # the qform says 30


def test_analyze_needs_the_stated_orientation(tmp_path: Path) -> None:
    path = analyze(tmp_path)
    with pytest.raises(DataError) as caught:
        read_volume(path)
    assert caught.value.problem.kind == "no_orientation"
    for named in (path, path.with_suffix(".img")):
        volume = read_volume(named, axcodes="LAS")
        np.testing.assert_array_equal(volume.array, ramp())
        assert volume.axcodes == "LAS" and volume.spacing_mm == (2, 3, 4)
        # the middle lies at the origin
        middle = volume.affine @ [1.5, 2, 2.5, 1]
        np.testing.assert_allclose(middle[:3], 0, atol=1e-12)
    with pytest.raises(DataError) as caught:
        read_volume(path, axcodes="LAR")
    assert caught.value.problem.kind == "bad_axcodes"


def test_analyze_defects(tmp_path: Path) -> None:
    cases: list[tuple[str, dict[str, object], str | None]] = [
        ("no_spacing", {"pixdim": [0] * 8}, None),
        ("bad_scale", {"scl_slope": 1e20}, None),
        ("unsupported_dtype", {"datatype": 1}, None),
        ("too_few_voxels", {"dim": [3, 4, 5, 7, 1, 1, 1, 1]}, None),
        ("missing_pair", {}, ".img"),
        ("missing_pair", {}, ".hdr"),
        ("not_analyze", {}, "text"),
    ]
    for i, (kind, header, damage) in enumerate(cases):
        folder = tmp_path / str(i)
        folder.mkdir()
        named = analyze(folder)
        blob = nib.Spm2AnalyzeHeader(named.read_bytes()[:348], check=False)
        for name, value in header.items():
            blob[name] = value
        named.write_bytes(blob.binaryblock)
        if damage == "text":
            named.write_text("ENVI\nsamples = 4")
        elif damage:
            (folder / f"a{damage}").unlink()
            named = folder / ("a.hdr" if damage == ".img" else "a.img")
        with pytest.raises(DataError) as caught:
            read_volume(named, axcodes="LAS")
        assert caught.value.problem.kind == kind, str(caught.value)


def test_spm_scale_is_applied_and_reported(tmp_path: Path) -> None:
    path = analyze(tmp_path)
    header = nib.Spm2AnalyzeHeader(path.read_bytes()[:348], check=False)
    header["scl_slope"] = 0.25
    path.write_bytes(header.binaryblock)
    volume = read_volume(path, axcodes="LAS")
    np.testing.assert_allclose(volume.array, ramp() * 0.25)
    assert "spm_scale" in [p.kind for p in volume.problems]


def test_nifti_pair_knows_its_orientation(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Pair(ramp(), AFFINE), tmp_path / "a.img")
    for name in ("a.hdr", "a.img"):
        volume = read_volume(tmp_path / name)
        np.testing.assert_array_equal(volume.array, ramp())
        np.testing.assert_array_equal(volume.affine, AFFINE)


@pytest.mark.real_data
def test_real_files_agree_with_nibabel_and_simpleitk(real_data: Path) -> None:
    chosen = [
        "totalseg_ct/example_ct.nii.gz",  # int32
        "brats2013_2ch/brats_2013_pat0006_1/brainmask.nii.gz",  # scaled by 2^-32
        "openms_4ch/patient19/T2.nii.gz",  # LAS, qform only
        "sts_petctmr/STS_003/PET_image.nii.gz",
    ]
    for name in chosen:
        path = real_data / name
        volume, image = read_volume(path), nib.Nifti1Image.from_filename(path)
        assert volume.problems == ()
        np.testing.assert_allclose(volume.array, np.asanyarray(image.dataobj), rtol=1e-6)
        np.testing.assert_allclose(volume.affine, image.affine, atol=1e-6)
        other = sitk.ReadImage(str(path))
        last = [n - 1 for n in volume.shape]
        lps = other.TransformIndexToPhysicalPoint(last)
        ras = volume.affine @ [*last, 1]
        np.testing.assert_allclose(ras[:3], np.array(lps) * [-1, -1, 1], atol=1e-3)
