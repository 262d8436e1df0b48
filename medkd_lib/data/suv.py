r"""Activity → standardised uptake value, body weight (SUVbw, g/mL).

.. math:: \mathrm{SUV} = A\,\frac{1000\,w}{D\,2^{-\Delta t/T_{1/2}}}

with activity :math:`A` in Bq/mL, weight :math:`w` in kg, dose :math:`D` in Bq at injection, and
:math:`\Delta t` from injection to the moment that the image was decay-corrected to.

Sources. Formula and the habit of taking AcquisitionTime: ``tcia2nifti.py`` of lab-midas/autoPET,
the autoPET organisers' conversion. Which moment, the private Philips factors, GML, slopes per
slice: the vendor-neutral pseudo-code of the Quantitative Imaging Biomarkers Alliance (read in a
copy). Meaning of START, ADMIN and NONE: DICOM PS3.3 C.8.9.1.1.5
(read); mean over a frame: C.8.9.4.1.5 (read). GML is taken as body weight when SUVType is missing:
the pseudo-code assumes it too. Recalled, not checked: which Philips releases write which factor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from pydicom import Dataset

from medkd_lib.data.dicom import read_series
from medkd_lib.data.pet_header import PETHeader
from medkd_lib.data.pet_series import require_one_value
from medkd_lib.data.pet_times import Reference, reference_time, uptake_time
from medkd_lib.data.problems import Problem, bad
from medkd_lib.data.units import in_unit
from medkd_lib.data.volume import Volume


def suv_factor(header: Dataset | PETHeader, *, reference: Reference = "series") -> float:
    """Return what a rescaled voxel is multiplied by to be an SUV.

    Units GML: 1. CNTS (Philips): the private factor to SUV, or the one to Bq/mL and then as BQML.
    BQML: by DecayCorrection. ADMIN: corrected to the injection, no decay is left to undo.
    START: see `reference_time`. NONE: each slice decays from its own AcquisitionTime, and the mean
    over the frame is turned into the value at its start (see `frame_mean`).

    Args:
        header: of one slice. START with multi-bed scans needs the earliest AcquisitionTime: see
            `read_pet`, which looks it up.
        reference: ``"series"`` is right; ``"acquisition"`` takes AcquisitionTime under START, as
            the autoPET organisers do for backward compatibility.

    Raises:
        DataError: ``units``, ``suv_type``, ``no_calibration``, ``no_decay_correction``,
            ``not_decay_corrected``, ``no_weight``, ``absurd_weight``, ``no_dose``,
            ``absurd_dose``, ``no_half_life``, ``absurd_half_life``, ``no_time``, ``bad_time``,
            ``injected_after_scan``, ``implausible_uptake``, ``several_tracers``,
            ``no_frame_duration``.
    """
    pet = header if isinstance(header, PETHeader) else PETHeader.of(header)
    return _factor(pet, reference)[0]


def read_pet(
    folder: Path,
    *,
    series: str | None = None,
    acquisition: int | None = None,
    reference: Reference = "series",
) -> Volume:
    """Return a PET series in SUV, float32; arguments as in `read_dicom` and `suv_factor`.

    Raises:
        DataError: ``not_pet``, or what `read_dicom` and `suv_factor` raise.
    """
    read = read_series(folder, series=series, acquisition=acquisition)
    first = read.slices[0]
    if first.text("Modality") != "PT":
        raise bad(
            "not_pet", folder, expected="Modality PT", found=first.text("Modality") or "none",
            next_step="check the folder's name",
        )  # fmt: skip
    headers = [PETHeader.of(s.header, s.path) for s in read.slices]
    array = read.volume.array.astype(np.float32)
    factors, notes = slice_factors(headers, reference)
    array *= np.array(factors, np.float32)  # the last axis is the slice
    problems = (*read.volume.problems, *notes)
    return in_unit(replace(read.volume, array=array, problems=problems), "SUV", folder)


def slice_factors(
    headers: Sequence[PETHeader], reference: Reference = "series"
) -> tuple[list[float], list[Problem]]:
    """Return one factor per slice (equal unless DecayCorrection is NONE), and what was odd.

    Raises:
        DataError: ``mixed_values``, or what `suv_factor` raises.
    """
    require_one_value(headers)
    times = [h.acquired for h in headers if h.acquired is not None]
    earliest = min(times) if len(times) == len(headers) else None
    factors: list[float] = []
    notes: dict[str, Problem] = {}
    for header in headers:
        own = header.decay_correction == "NONE"
        pet = header if own else replace(header, acquired=earliest)
        factor, odd = _factor(pet, reference)
        factors.append(factor)
        notes |= {p.kind: p for p in odd if p.kind not in notes}
    return factors, list(notes.values())


def frame_mean(half_life_s: float, frame_s: float) -> float:
    r"""Return activity at a frame's start over its mean: :math:`\lambda T/(1 - e^{-\lambda T})`."""
    x = np.log(2.0) * frame_s / half_life_s
    return float(x / -np.expm1(-x)) if x else 1.0


def _factor(pet: PETHeader, reference: Reference) -> tuple[float, list[Problem]]:
    if pet.units == "GML":
        if pet.suv_type != "BW":
            raise pet.error(
                "suv_type", "SUV by body weight (BW)", pet.suv_type,
                "reconstruct it in Bq/mL; lean-mass and surface SUV differ by a patient's height",
            )  # fmt: skip
        return 1.0, []
    calibration = 1.0
    if pet.units == "CNTS":
        if pet.philips_suv:
            return pet.philips_suv, []
        if not pet.philips_bqml:
            raise pet.error(
                "no_calibration", "Philips' private factor (7053,1000) or (7053,1009)",
                "neither (de-identification often removes private tags)",
                "ask the source for them; counts alone are no activity",
            )  # fmt: skip
        calibration = pet.philips_bqml
    elif pet.units != "BQML":
        raise pet.error(
            "units", "Units BQML, CNTS or GML", pet.units or "none",
            "reconstruct the series in Bq/mL",
        )  # fmt: skip
    correction = pet.decay_correction
    if correction not in ("START", "ADMIN", "NONE"):
        raise pet.error(
            "no_decay_correction", "DecayCorrection START, ADMIN or NONE", correction or "none",
            "ask the source; the SUV of FDG after an hour changes by half with it",
        )  # fmt: skip
    if correction != "NONE" and pet.corrected and not {"DECY", "DECAY"} & set(pet.corrected):
        raise pet.error(
            "not_decay_corrected", f"DECY in CorrectedImage, since DecayCorrection is {correction}",
            f"{list(pet.corrected)}", "ask the source which of the two holds",
        )  # fmt: skip
    base = calibration * pet.grams_per_bq()
    if correction == "ADMIN":
        return base, []
    half_life = pet.half_life()
    if correction == "START":
        moment, odd = reference_time(pet, reference)
        mean = 1.0
    else:
        moment, odd = reference_time(pet, "acquisition")
        if pet.frame_s is None:
            raise pet.error(
                "no_frame_duration", "ActualFrameDuration, since nothing was decay-corrected",
                "none", "reconstruct the series with decay correction",
            )  # fmt: skip
        mean = frame_mean(half_life, pet.frame_s)
    uptake, more = uptake_time(pet, moment)
    return base * mean * 2.0 ** (uptake.total_seconds() / half_life), [*odd, *more]
