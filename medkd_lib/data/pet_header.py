"""What a PET header says about dose, weight and time, checked and in plain units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import isfinite
from pathlib import Path

from pydicom import Dataset

from medkd_lib.data.dicom_times import clock, date, date_time
from medkd_lib.data.problems import DataError, bad

PHILIPS_CREATOR = "Philips PET Private Group"

WEIGHT_RANGE_KG = (0.5, 500.0)
DOSE_RANGE_BQ = (1e6, 1e11)
"""1 MBq to 100 GBq: a dose entered in MBq or kBq falls below it."""


@dataclass(frozen=True)
class PETHeader:
    """The values an SUV needs; None where the header has none.

    Attributes:
        units: DICOM Units: ``"BQML"``, ``"CNTS"``, ``"GML"`` or another.
        suv_type: what GML means: ``"BW"`` if not said otherwise.
        decay_correction: ``"START"``, ``"ADMIN"``, ``"NONE"`` or None.
        corrected: entries of CorrectedImage, such as ``"DECY"`` and ``"ATTN"``.
        weight_kg: of the patient.
        dose_bq: injected activity at the time of injection.
        half_life_s: of the nuclide.
        injected: RadiopharmaceuticalStartDateTime, a date with its time.
        injected_clock: RadiopharmaceuticalStartTime, seconds after midnight of an unnamed day.
        series_start: SeriesDate and SeriesTime.
        acquired: AcquisitionDate and AcquisitionTime of this slice (or of the earliest).
        frame_s: ActualFrameDuration.
        philips_suv: private (7053,1000), counts → SUV.
        philips_bqml: private (7053,1009), counts → Bq/mL.
        where: file, for messages.
    """

    units: str
    suv_type: str = "BW"
    decay_correction: str | None = None
    corrected: tuple[str, ...] = ()
    weight_kg: float | None = None
    dose_bq: float | None = None
    half_life_s: float | None = None
    injected: datetime | None = None
    injected_clock: float | None = None
    series_start: datetime | None = None
    acquired: datetime | None = None
    frame_s: float | None = None
    philips_suv: float | None = None
    philips_bqml: float | None = None
    where: str = "PET header"

    @classmethod
    def of(cls, header: Dataset, where: Path | str = "PET header") -> PETHeader:
        """Read a slice's data set.

        Raises:
            DataError: ``several_tracers``, ``bad_time``, ``bad_tag``.
        """
        tracers = header.get("RadiopharmaceuticalInformationSequence") or []
        if len(tracers) > 1:
            raise bad(
                "several_tracers", where, expected="one radiopharmaceutical",
                found=f"{len(tracers)}", next_step="use images that are in SUV (Units GML) already",
            )  # fmt: skip
        tracer = tracers[0] if tracers else Dataset()
        start = _text(tracer, "RadiopharmaceuticalStartTime")
        duration = _number(header, "ActualFrameDuration", where)
        private = _philips(header, where)
        corrected = header.get("CorrectedImage") or ()
        return cls(
            units=_text(header, "Units") or "",
            suv_type=_text(header, "SUVType") or "BW",
            decay_correction=_text(header, "DecayCorrection"),
            corrected=(corrected,) if isinstance(corrected, str) else tuple(map(str, corrected)),
            weight_kg=_number(header, "PatientWeight", where),
            dose_bq=_number(tracer, "RadionuclideTotalDose", where),
            half_life_s=_number(tracer, "RadionuclideHalfLife", where),
            injected=date_time(_text(tracer, "RadiopharmaceuticalStartDateTime"), where),
            injected_clock=None if start is None else clock(start, where).total_seconds(),
            series_start=_joined(header, "Series", where),
            acquired=_joined(header, "Acquisition", where),
            frame_s=None if duration is None else duration / 1000.0,
            philips_suv=private[0],
            philips_bqml=private[1],
            where=str(where),
        )

    def grams_per_bq(self) -> float:
        r"""Return :math:`1000\,w / D`, the factor from Bq/mL at injection to SUV.

        Raises:
            DataError: ``no_weight``, ``absurd_weight``, ``no_dose``, ``absurd_dose``.
        """
        weight = self._positive("weight", self.weight_kg, "PatientWeight", WEIGHT_RANGE_KG, "kg")
        dose = self._positive("dose", self.dose_bq, "RadionuclideTotalDose", DOSE_RANGE_BQ, "Bq")
        return 1000.0 * weight / dose

    def half_life(self) -> float:
        """Return the nuclide's half-life in seconds, or raise `DataError` ``no_half_life``."""
        span = (1.0, 1e7)  # rubidium-82 lives 75 s, zirconium-89 three days
        return self._positive("half_life", self.half_life_s, "RadionuclideHalfLife", span, "s")

    def _positive(
        self, name: str, value: float | None, tag: str, span: Sequence[float], unit: str
    ) -> float:
        if value is None or value == 0:
            raise self.error(
                f"no_{name}", f"{tag} in {unit}", "none" if value is None else "0",
                "ask the source for it; no SUV without it",
            )  # fmt: skip
        if not span[0] <= value <= span[1]:
            raise self.error(
                f"absurd_{name}", f"{tag} from {span[0]:g} to {span[1]:g} {unit}", f"{value:g}",
                "check its unit at the source",
            )  # fmt: skip
        return value

    def error(self, kind: str, expected: str, found: str, next_step: str) -> DataError:
        """Return the error for this header."""
        return bad(kind, self.where, expected=expected, found=found, next_step=next_step)


def _text(header: Dataset, keyword: str) -> str | None:
    value = header.get(keyword)
    return None if value is None or str(value).strip() == "" else str(value).strip()


def _number(header: Dataset, keyword: str, where: Path | str) -> float | None:
    try:
        text = _text(header, keyword)
        return None if text is None else _finite(text)
    except ValueError as error:  # pydicom's own, at the first look, or float's
        raise _no_number(keyword, where, error) from error


def _finite(text: str) -> float:
    value = float(text)
    if not isfinite(value):
        raise ValueError(f"{text} is not finite")
    return value


def _no_number(tag: str, where: Path | str, error: Exception) -> DataError:
    return bad(
        "bad_tag", where, expected=f"a number in {tag}", found=str(error),
        next_step="fetch the file again; its header is damaged",
    )  # fmt: skip


def _philips(header: Dataset, where: Path | str) -> tuple[float | None, float | None]:
    """Private scale factors, only where Philips' creator claims the block."""
    if str(header.get((0x7053, 0x0010), Dataset()).value if (0x7053, 0x0010) in header else "") != (
        PHILIPS_CREATOR
    ):
        return None, None
    found: list[float | None] = []
    for element in (0x1000, 0x1009):
        try:
            value = header[0x7053, element].value if (0x7053, element) in header else None
            if isinstance(value, bytes):  # implicit VR: a private tag arrives as bytes
                value = value.decode("ascii").strip(" \0")
            found.append(_finite(str(value)) if value not in (None, "") else None)
        except ValueError as error:
            raise _no_number(f"Philips' (7053,{element:04X})", where, error) from error
    return found[0], found[1]


def _joined(header: Dataset, event: str, where: Path | str) -> datetime | None:
    day, time = _text(header, f"{event}Date"), _text(header, f"{event}Time")
    if day is None or time is None:
        return None
    return date(day, where) + clock(time, where)
