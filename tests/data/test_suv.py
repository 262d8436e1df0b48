"""SUV: worked by hand, then every header that cannot give one."""

from __future__ import annotations

import warnings
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset

from medkd_lib.data.dicom import read_dicom
from medkd_lib.data.pet_header import PETHeader
from medkd_lib.data.problems import DataError
from medkd_lib.data.read import read_volume
from medkd_lib.data.suv import frame_mean, read_pet, slice_factors, suv_factor
from tests.data.bad_files import ramp, series

HALF_LIFE = 6586.2  # fluorine-18, seconds
SCAN = datetime(2024, 5, 2, 10, 0)

# 70 kg, 350 MBq: 1000·70/350e6 = 2e-4 at injection; one half-life later twice that.
GOOD = PETHeader(
    units="BQML", decay_correction="START", corrected=("ATTN", "DECY"), weight_kg=70.0,
    dose_bq=350e6, half_life_s=HALF_LIFE, injected=SCAN - timedelta(seconds=HALF_LIFE),
    series_start=SCAN, acquired=SCAN, frame_s=120.0,
)  # fmt: skip


def kind_of(header: PETHeader | Dataset) -> str:
    with pytest.raises(DataError) as caught:
        suv_factor(header)
    return caught.value.problem.kind


def test_by_hand() -> None:
    assert suv_factor(GOOD) == pytest.approx(4e-4, rel=1e-12)
    assert suv_factor(replace(GOOD, decay_correction="ADMIN")) == pytest.approx(2e-4, rel=1e-12)
    assert suv_factor(replace(GOOD, units="GML")) == 1.0


def test_a_uniform_body_has_suv_one() -> None:
    """All activity spread evenly over the body at 1 g/mL: SUV 1 at whatever time it is scanned."""
    for minutes in (0, 30, 60, 109.77, 300):
        decay = 2.0 ** (-minutes * 60 / HALF_LIFE)
        activity = 350e6 * decay / 70_000  # Bq per mL
        pet = replace(GOOD, injected=SCAN - timedelta(minutes=minutes))
        assert activity * suv_factor(pet) == pytest.approx(1.0, rel=1e-9)


def test_without_decay_correction_every_slice_has_its_own_time() -> None:
    """A body of SUV 1 seen in two beds, each averaged over its frame."""
    lam = np.log(2) / HALF_LIFE
    beds = []
    for start_s in (0.0, 1200.0):
        t = HALF_LIFE + start_s + np.linspace(0, 120, 100_001)
        mean = np.mean(350e6 / 70_000 * np.exp(-lam * t))
        header = replace(
            GOOD, decay_correction="NONE", corrected=("ATTN",),
            acquired=SCAN + timedelta(seconds=start_s),
        )  # fmt: skip
        beds.append((mean, header))
    factors, notes = slice_factors([h for _, h in beds])
    for (mean, _), factor in zip(beds, factors, strict=True):
        assert mean * factor == pytest.approx(1.0, rel=1e-6)
    assert factors[1] > factors[0] and notes == []
    assert frame_mean(HALF_LIFE, 0.0) == 1.0
    assert frame_mean(120.0, 120.0) == pytest.approx(np.log(2) / 0.5)


def test_start_uses_the_series_and_autopet_the_acquisition() -> None:
    late = replace(GOOD, acquired=SCAN + timedelta(seconds=HALF_LIFE))
    assert suv_factor(late) == pytest.approx(4e-4)
    assert suv_factor(late, reference="acquisition") == pytest.approx(8e-4)
    # multi-bed: the earliest acquisition counts for every slice
    factors, _ = slice_factors([late, GOOD], reference="acquisition")
    assert factors == pytest.approx([4e-4, 4e-4])


def test_a_series_made_after_the_scan_falls_back_and_says_so() -> None:
    derived = replace(GOOD, series_start=SCAN + timedelta(hours=5))
    factors, notes = slice_factors([derived])
    assert factors == pytest.approx([4e-4])
    assert [(p.kind, p.severity) for p in notes] == [("series_time", "repaired")]
    factors, notes = slice_factors([replace(GOOD, series_start=None)])
    assert factors == pytest.approx([4e-4]) and [p.kind for p in notes] == ["series_time"]


def test_midnight_dates_and_clocks() -> None:
    night = datetime(2024, 5, 3, 0, 30)
    clock = (timedelta(days=1, minutes=30) - timedelta(seconds=HALF_LIFE)).total_seconds()
    by_clock = replace(
        GOOD, injected=None, injected_clock=clock, series_start=night, acquired=night
    )
    factors, notes = slice_factors([by_clock])
    assert factors == pytest.approx([4e-4]) and [p.kind for p in notes] == ["midnight"]
    # with the date there is nothing to repair
    dated = replace(by_clock, injected=night - timedelta(seconds=HALF_LIFE), injected_clock=None)
    factors, notes = slice_factors([dated])
    assert factors == pytest.approx([4e-4]) and notes == []
    # a date moved by de-identification: the clock still holds
    moved = replace(GOOD, injected=GOOD.injected.replace(year=1999))  # type: ignore[union-attr]
    factors, notes = slice_factors([moved])
    assert factors == pytest.approx([4e-4]) and [p.kind for p in notes] == ["injection_date"]
    # two tags that differ
    factors, notes = slice_factors([replace(GOOD, injected_clock=3600.0)])
    assert factors == pytest.approx([4e-4]) and [p.kind for p in notes] == ["injection_times"]


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("no_weight", {"weight_kg": None}),
        ("no_weight", {"weight_kg": 0.0}),
        ("absurd_weight", {"weight_kg": 70_000.0}),
        ("no_dose", {"dose_bq": None}),
        ("no_dose", {"dose_bq": 0.0}),
        ("absurd_dose", {"dose_bq": 350.0}),  # MBq
        ("absurd_dose", {"dose_bq": 350e3}),  # kBq
        ("no_half_life", {"half_life_s": None}),
        ("absurd_half_life", {"half_life_s": 1e9}),
        ("no_time", {"injected": None}),
        ("no_time", {"series_start": None, "acquired": None}),
        ("injected_after_scan", {"injected": SCAN + timedelta(hours=1)}),
        ("injected_after_scan", {"injected": None, "injected_clock": 11 * 3600.0}),
        ("implausible_uptake", {"injected": None, "injected_clock": 0.0, "half_life_s": 75.0}),
        ("no_decay_correction", {"decay_correction": None}),
        ("no_decay_correction", {"decay_correction": "MIDDLE"}),
        ("not_decay_corrected", {"corrected": ("ATTN", "SCAT")}),
        ("no_frame_duration", {"decay_correction": "NONE", "frame_s": None}),
        ("units", {"units": "CPS"}),
        ("units", {"units": ""}),
        ("suv_type", {"units": "GML", "suv_type": "LBM"}),
        ("no_calibration", {"units": "CNTS"}),
        ("no_calibration", {"units": "CNTS", "philips_suv": 0.0, "philips_bqml": 0.0}),
    ],
)
def test_a_header_that_cannot_give_an_suv(kind: str, change: dict[str, Any]) -> None:
    assert kind_of(replace(GOOD, **change)) == kind


def test_philips_counts() -> None:
    counts = replace(GOOD, units="CNTS")
    assert suv_factor(replace(counts, philips_suv=0.003, philips_bqml=7.0)) == 0.003
    assert suv_factor(replace(counts, philips_suv=0.0, philips_bqml=7.0)) == pytest.approx(28e-4)


def pet_slice(ds: Dataset, k: int = 0, **tags: object) -> None:
    ds.Modality, ds.Units, ds.DecayCorrection = "PT", "BQML", "START"
    ds.CorrectedImage = ["ATTN", "DECY"]
    ds.RescaleSlope, ds.RescaleIntercept = str(10 * (k + 1)), "0"
    ds.PatientWeight = "70"
    ds.SeriesDate = ds.AcquisitionDate = "20240502"
    ds.SeriesTime, ds.AcquisitionTime = "100000.00", f"10{2 * k:02d}00"
    ds.ActualFrameDuration = "120000"
    tracer = Dataset()
    tracer.RadionuclideTotalDose, tracer.RadionuclideHalfLife = "350000000", "6586.2"
    tracer.RadiopharmaceuticalStartTime = "081013.8"
    ds.RadiopharmaceuticalInformationSequence = [tracer]
    for name, value in tags.items():
        setattr(ds, name, value)


def test_a_series_becomes_suv_with_each_slice_s_slope(tmp_path: Path) -> None:
    folder = series(tmp_path / "pet", ramp(dtype="uint16"), edit=pet_slice)
    activity = ramp() * 10.0 * np.arange(1, 7)
    plain = read_dicom(folder)
    assert plain.unit == "Bq/mL"
    np.testing.assert_allclose(plain.array, activity)
    for volume in (read_pet(folder), read_volume(folder, unit="SUV")):
        assert volume.unit == "SUV" and volume.array.dtype == np.float32
        np.testing.assert_allclose(volume.array, activity * 4e-4, rtol=1e-6)
        assert volume.problems == ()


def test_private_factors_count_only_from_philips(tmp_path: Path) -> None:
    def philips(creator: str) -> Any:
        def edit(ds: Dataset, k: int) -> None:
            pet_slice(ds, k, Units="CNTS")
            block = ds.private_block(0x7053, creator, create=True)
            block.add_new(0x00, "DS", "0.002")
            block.add_new(0x09, "DS", "5")

        return edit

    folder = series(tmp_path / "a", ramp(dtype="uint16"), edit=philips("Philips PET Private Group"))
    expected = ramp() * 10.0 * np.arange(1, 7) * 0.002
    np.testing.assert_allclose(read_pet(folder).array, expected, rtol=1e-6)
    other = series(tmp_path / "b", ramp(dtype="uint16"), edit=philips("SOMEONE ELSE"))
    with pytest.raises(DataError) as caught:
        read_pet(other)
    assert caught.value.problem.kind == "no_calibration"


def test_headers_are_parsed_strictly() -> None:
    ds = Dataset()
    pet_slice(ds)
    assert suv_factor(ds) == pytest.approx(4e-4, rel=1e-9)
    ds.RadiopharmaceuticalInformationSequence[
        0
    ].RadiopharmaceuticalStartDateTime = "20240502081013.8+0200"
    assert suv_factor(ds) == pytest.approx(4e-4, rel=1e-9)
    for name, value, kind in (
        ("SeriesTime", "25:99", "bad_time"),
        ("SeriesTime", "107599", "bad_time"),
        ("SeriesTime", "100075", "bad_time"),
        ("SeriesTime", "1060", "bad_time"),
        ("SeriesDate", "20241399", "bad_time"),
        (
            "RadiopharmaceuticalInformationSequence",
            [Dataset(), Dataset()],
            "several_tracers",
        ),
        ("RadiopharmaceuticalInformationSequence", [], "no_dose"),
        ("PatientWeight", "", "no_weight"),
    ):
        broken = Dataset()
        pet_slice(broken)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom warns of the value too
            setattr(broken, name, value)
        assert kind_of(broken) == kind


def test_huge_values_called_suv_are_reported(tmp_path: Path) -> None:
    def gml(ds: Dataset, k: int) -> None:
        pet_slice(ds, k, Units="GML")

    folder = series(tmp_path / "pet", ramp(dtype="uint16"), edit=gml)
    volume = read_volume(folder, unit="SUV")
    assert [p.kind for p in volume.problems] == ["not_suv"]  # 119 · 60
    assert read_dicom(folder).unit == "SUV"


def tracer_of(ds: Dataset) -> Dataset:
    return ds.RadiopharmaceuticalInformationSequence[0]


@pytest.mark.parametrize(
    ("change", "tag", "values"),
    [
        (lambda ds: setattr(ds, "PatientWeight", "35"), "PatientWeight", ("70", "35")),
        (lambda ds: delattr(ds, "PatientWeight"), "PatientWeight", ("70", "none")),
        (lambda ds: setattr(ds, "DecayCorrection", "ADMIN"), "DecayCorrection", ("START", "ADMIN")),
        (lambda ds: setattr(ds, "SeriesTime", "110000"), "SeriesTime", ("10:00", "11:00")),
        (
            lambda ds: setattr(tracer_of(ds), "RadionuclideTotalDose", "250000000"),
            "RadionuclideTotalDose", ("3.5e+08", "2.5e+08"),
        ),
        (
            lambda ds: setattr(tracer_of(ds), "RadionuclideHalfLife", "1223.4"),
            "RadionuclideHalfLife", ("6586.2", "1223.4"),
        ),
        (
            lambda ds: setattr(tracer_of(ds), "RadiopharmaceuticalStartTime", "091013"),
            "RadiopharmaceuticalStartTime", ("29413.8", "33013"),
        ),
    ],
)  # fmt: skip
def test_a_series_has_one_weight_one_dose_one_clock(
    tmp_path: Path, change: Any, tag: str, values: tuple[str, str]
) -> None:
    def edit(ds: Dataset, k: int) -> None:
        pet_slice(ds, k)
        if k == 3:
            change(ds)

    folder = series(tmp_path / "pet", ramp(dtype="uint16"), edit=edit)
    with pytest.raises(DataError, match=tag) as caught:
        read_pet(folder)
    problem = caught.value.problem
    assert problem.kind == "mixed_values"
    assert values[0] in problem.expected and values[1] in problem.found
    assert problem.where.endswith("_3.dcm")


@pytest.mark.parametrize("unit", ["SUV", "Bq/mL", None])
def test_units_are_not_mixed_in_any_unit(tmp_path: Path, unit: str | None) -> None:
    def edit(ds: Dataset, k: int) -> None:
        pet_slice(ds, k, Units="GML" if k else "BQML")

    folder = series(tmp_path / "pet", ramp(dtype="uint16"), edit=edit)
    with pytest.raises(DataError, match=r"BQML.*1|GML.*5") as caught:
        read_volume(folder, unit=unit)
    assert caught.value.problem.kind == "mixed_units"


@pytest.mark.parametrize("value", ["n/a", "nan", b"\xff\xfe"])
def test_a_private_factor_that_is_no_number_names_tag_and_file(value: str | bytes) -> None:
    ds = Dataset()
    pet_slice(ds, Units="CNTS")
    block = ds.private_block(0x7053, "Philips PET Private Group", create=True)
    block.add_new(0x09, "UN" if isinstance(value, bytes) else "LO", value)
    with pytest.raises(DataError, match=r"7053,1009") as caught:
        PETHeader.of(ds, "pet/3.dcm")
    assert (caught.value.problem.kind, caught.value.problem.where) == ("bad_tag", "pet/3.dcm")


def test_a_dose_that_is_no_number_names_tag_and_file() -> None:
    ds = Dataset()
    pet_slice(ds)
    del tracer_of(ds).RadionuclideTotalDose
    tracer_of(ds).add_new((0x0018, 0x1074), "LO", "abc")
    with pytest.raises(DataError, match=r"RadionuclideTotalDose, found .*'abc'") as caught:
        PETHeader.of(ds, "pet/3.dcm")
    assert (caught.value.problem.kind, caught.value.problem.where) == ("bad_tag", "pet/3.dcm")
