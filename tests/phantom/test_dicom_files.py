"""DICOM series on disk: what we and SimpleITK read back is what was written, wherever it lies."""

import itertools
from datetime import datetime, timedelta
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from nibabel.orientations import axcodes2ornt, inv_ornt_aff, ornt_transform
from numpy.typing import NDArray

from medkd_lib.data.read import read_volume
from medkd_lib.phantom.dicom_files import write_ct_series, write_pet_series

SHAPE = (5, 7, 12)
LPS = np.array([[-0.9, 0, 0, 30.5], [0, -1.1, 0, -20.25], [0, 0, 3.0, 100.0], [0, 0, 0, 1]])
# All 48 ways to lay three axes along the patient's, and a few that are not mirror images.
AXES = [
    "".join(codes)
    for order in itertools.permutations(("RL", "AP", "SI"))
    for codes in itertools.product(*order)
]
INJECTED = datetime(2020, 1, 1, 23, 30)
SCANNED = INJECTED + timedelta(minutes=60)
HALF_LIFE = 6586.2


def ct_numbers() -> NDArray[np.float64]:
    """Every voxel another whole number, so that no swap goes unseen."""
    return np.arange(np.prod(SHAPE), dtype=float).reshape(SHAPE) - 1000


def turned(axcodes: str) -> NDArray[np.float64]:
    change = ornt_transform(axcodes2ornt(tuple("LPS")), axcodes2ornt(tuple(axcodes)))
    return LPS @ inv_ornt_aff(change, SHAPE)


def by_simpleitk(folder: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Voxels (I, J, K) and RAS affine, as an independent library reads them."""
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()
    direction = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = direction, image.GetOrigin()
    return sitk.GetArrayFromImage(image).transpose(2, 1, 0), np.diag([-1, -1, 1, 1]) @ affine


def in_ras(array: NDArray[np.generic], affine: NDArray[np.float64]) -> nib.Nifti1Image:
    image = nib.as_closest_canonical(nib.Nifti1Image(np.asarray(array, float), affine))
    assert isinstance(image, nib.Nifti1Image)
    return image


def assert_same(
    one: tuple[NDArray[np.generic], NDArray[np.float64]],
    other: tuple[NDArray[np.generic], NDArray[np.float64]],
    tolerance: float = 0.0,
) -> None:
    a, b = in_ras(*one), in_ras(*other)
    np.testing.assert_allclose(a.affine, b.affine, atol=1e-6)
    np.testing.assert_allclose(a.get_fdata(), b.get_fdata(), rtol=tolerance)


@pytest.mark.parametrize("axcodes", AXES)
def test_every_orientation_comes_back(tmp_path: Path, axcodes: str) -> None:
    affine = turned(axcodes)
    assert "".join(nib.aff2axcodes(affine)) == axcodes
    write_ct_series(tmp_path / "ct", ct_numbers(), affine, seed=3, shuffle_instances=True)
    assert_same(by_simpleitk(tmp_path / "ct"), (ct_numbers(), affine))
    ours = read_volume(tmp_path / "ct", unit="HU")
    assert_same((ours.array, ours.affine), (ct_numbers(), affine))


def test_a_tilted_patient_comes_back(tmp_path: Path) -> None:
    c, s = np.cos(0.2), np.sin(0.2)
    tilt = np.array([[1, 0, 0, 0], [0, c, -s, 0], [0, s, c, 0], [0, 0, 0, 1]])
    write_ct_series(tmp_path / "ct", ct_numbers(), tilt @ LPS)
    assert_same(by_simpleitk(tmp_path / "ct"), (ct_numbers(), tilt @ LPS))


def test_names_say_nothing_about_places(tmp_path: Path) -> None:
    write_ct_series(tmp_path / "ct", ct_numbers(), LPS, shuffle_instances=True)
    slices = [pydicom.dcmread(p) for p in sorted((tmp_path / "ct").iterdir())]
    assert [Path(str(s.filename)).name for s in slices][::11] == ["1-01.dcm", "1-12.dcm"]
    places = [float(s.ImagePositionPatient[2]) for s in slices]
    numbers = [float(s.InstanceNumber) for s in slices]
    assert sorted(numbers) == [*range(1, 13)]
    for order in (places, numbers, [numbers[i] for i in np.argsort(places)]):
        assert order != sorted(order) and order != sorted(order, reverse=True)


def test_the_bytes_depend_on_the_arguments_alone(tmp_path: Path) -> None:
    def blobs(name: str, seed: int, patient: str = "A") -> dict[str, bytes]:
        folder = write_ct_series(tmp_path / name, ct_numbers(), LPS, seed=seed, patient=patient)
        return {p.name: p.read_bytes() for p in folder.iterdir()}

    one = blobs("one", 0)
    assert one == blobs("same", 0)
    assert one != blobs("seed", 1) and one != blobs("patient", 0, "B")


def test_identifiers_belong_together_and_to_nobody_else(tmp_path: Path) -> None:
    def slices(name: str, patient: str) -> list[pydicom.FileDataset]:
        write_ct_series(tmp_path / name, ct_numbers(), LPS, patient=patient)
        pet(tmp_path / f"{name}-pet", patient=patient)
        return [
            pydicom.dcmread(p)
            for folder in (name, f"{name}-pet")
            for p in (tmp_path / folder).iterdir()
        ]

    ours, theirs = slices("a", "A"), slices("b", "B")
    for element, count in (("StudyInstanceUID", 1), ("SeriesInstanceUID", 2)):
        assert len({getattr(s, element) for s in ours}) == count
        assert not {s[element].value for s in ours} & {s[element].value for s in theirs}
    assert len({s.FrameOfReferenceUID for s in ours}) == 1
    assert len({s.SOPInstanceUID for s in ours + theirs}) == 4 * SHAPE[2]
    for s in ours:
        assert s.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
        assert s.file_meta.MediaStorageSOPInstanceUID == s.SOPInstanceUID
        assert all(
            pydicom.uid.UID(s[e].value).is_valid for e in ("SOPInstanceUID", "StudyInstanceUID")
        )


def pet(folder: Path, patient: str = "A", correction: str = "START") -> NDArray[np.float64]:
    """Write activity that is SUV 1…; return the SUV."""
    suv = np.linspace(0, 20, int(np.prod(SHAPE))).reshape(SHAPE)
    passed = (SCANNED - INJECTED).total_seconds() if correction == "START" else 0.0
    activity = suv * 370e6 * 0.5 ** (passed / HALF_LIFE) / 70e3
    write_pet_series(
        folder, activity, LPS, weight_kg=70.0, injected_bq=370e6, injection_time=INJECTED,
        series_time=SCANNED, half_life_s=HALF_LIFE, patient=patient,
        decay_correction="START" if correction == "START" else "ADMIN",
        acquisition_time=SCANNED + timedelta(minutes=9),
    )  # fmt: skip
    return suv


@pytest.mark.parametrize("correction", ["START", "ADMIN"])
def test_suv_comes_back(tmp_path: Path, correction: str) -> None:
    suv = pet(tmp_path / "pet", correction=correction)
    ours = read_volume(tmp_path / "pet", unit="SUV")
    # Half a step of int16, relative to each slice's peak.
    atol = 0.51 / 32767 * float(np.max(suv))
    got, wanted = in_ras(ours.array, ours.affine), in_ras(suv, LPS)
    np.testing.assert_allclose(got.get_fdata(), wanted.get_fdata(), atol=atol, rtol=1e-6)
    np.testing.assert_allclose(got.affine, wanted.affine, atol=1e-6)


def test_each_slice_has_its_own_slope_and_simpleitk_agrees(tmp_path: Path) -> None:
    suv = pet(tmp_path / "pet")
    slopes = {float(pydicom.dcmread(p).RescaleSlope) for p in (tmp_path / "pet").iterdir()}
    assert len(slopes) == SHAPE[2]
    array, affine = by_simpleitk(tmp_path / "pet")
    factor = 370e6 * 0.5 ** (3600 / HALF_LIFE) / 70e3
    got, wanted = in_ras(array / factor, affine), in_ras(suv, LPS)
    np.testing.assert_allclose(
        got.get_fdata(), wanted.get_fdata(), atol=0.51 / 32767 * float(np.max(suv))
    )


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="int16 can hold"):
        write_ct_series(tmp_path / "ct", ct_numbers() + 40000, LPS)
    with pytest.raises(ValueError, match="int16 can hold"):
        write_ct_series(tmp_path / "ct", np.full(SHAPE, np.nan), LPS)
    sheared = LPS.copy()
    sheared[0, 2] = 1.0
    with pytest.raises(ValueError, match="right angles"):
        write_ct_series(tmp_path / "ct", ct_numbers(), sheared)
    assert not list(tmp_path.iterdir())
    write_ct_series(tmp_path / "ct", ct_numbers(), LPS)
    with pytest.raises(FileExistsError, match="content"):
        write_ct_series(tmp_path / "ct", ct_numbers(), LPS)
