"""The elements a CT or PET slice must carry beside its pixels (DICOM PS3.3, type 1 and 2)."""

from __future__ import annotations

from datetime import datetime

from pydicom.dataset import Dataset
from pydicom.valuerep import DSfloat


def series_header(modality: str, patient: str, time: datetime) -> Dataset:
    """Return patient, study, series and equipment; type 2 elements may be empty, not absent."""
    header = Dataset()
    header.SpecificCharacterSet = "ISO_IR 192"
    header.PatientName = patient
    header.PatientID = patient
    header.PatientBirthDate = ""
    header.PatientSex = "O"
    header.StudyDate = header.SeriesDate = header.AcquisitionDate = f"{time:%Y%m%d}"
    header.StudyTime = header.SeriesTime = header.AcquisitionTime = _clock(time)
    header.ContentDate, header.ContentTime = header.StudyDate, header.StudyTime
    header.StudyID = "1"
    header.AccessionNumber = ""
    header.ReferringPhysicianName = ""
    header.Modality = modality
    header.SeriesDescription = f"virtual {modality}"
    header.Manufacturer = "medkd"
    header.ManufacturerModelName = "virtual scanner"
    header.PositionReferenceIndicator = ""
    # With a patient lying on the back, head first: where IOP puts the axes needs no correction.
    header.PatientPosition = "HFS"
    return header


def image_header(slices: int, k: int) -> Dataset:
    """Return the pixels' description: one sample of 16 bits, signed."""
    header = Dataset()
    header.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    header.AcquisitionNumber = 1
    header.ImageIndex = k + 1
    header.SamplesPerPixel = 1
    header.PhotometricInterpretation = "MONOCHROME2"
    header.BitsAllocated = header.BitsStored = 16
    header.HighBit = 15
    header.PixelRepresentation = 1
    header.ImagesInAcquisition = slices
    return header


def pet_header(
    *,
    weight_kg: float | None,
    injected_bq: float | None,
    injection_time: datetime,
    half_life_s: float,
    decay_correction: str,
    units: str,
    slices: int,
    acquisition_time: datetime,
    radiopharmaceutical: str,
) -> Dataset:
    """Return what SUV needs: weight, dose, times, half-life, and to when decay was corrected."""
    header = Dataset()
    header.ImageType = ["ORIGINAL", "PRIMARY"]
    header.Units = units
    header.CountsSource = "EMISSION"
    header.SeriesType = ["STATIC", "IMAGE"]
    header.NumberOfSlices = slices
    header.CorrectedImage = ["ATTN", "DECY", "SCAT", "RAN", "NORM"]
    header.DecayCorrection = decay_correction
    header.CollimatorType = "NONE"
    header.FrameReferenceTime = 0
    header.ActualFrameDuration = 120000
    header.AcquisitionDate = f"{acquisition_time:%Y%m%d}"
    header.AcquisitionTime = _clock(acquisition_time)
    if weight_kg is not None:
        header.PatientWeight = DSfloat(weight_kg, auto_format=True)
    tracer = Dataset()
    tracer.Radiopharmaceutical = radiopharmaceutical
    tracer.RadionuclideHalfLife = DSfloat(half_life_s, auto_format=True)
    # The time alone is what most scanners write; the date decides when midnight lies between.
    tracer.RadiopharmaceuticalStartTime = _clock(injection_time)
    tracer.RadiopharmaceuticalStartDateTime = f"{injection_time:%Y%m%d%H%M%S}"
    if injected_bq is not None:
        tracer.RadionuclideTotalDose = DSfloat(injected_bq, auto_format=True)
    header.RadiopharmaceuticalInformationSequence = [tracer]
    return header


def _clock(time: datetime) -> str:
    return f"{time:%H%M%S.%f}"
