"""From injection to scan: which moment an image is corrected to, and dates that cannot be right."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from medkd_lib.data.pet_header import PETHeader
from medkd_lib.data.problems import Problem

Reference = Literal["series", "acquisition"]

LONGEST_HALF_LIVES = 10
"""After ten half-lives a thousandth is left: a longer interval is a wrong date."""

SAME_MOMENT_S = 60.0
"""Two tags that tell the injection's time may round to the minute."""

LONGEST_OVER_MIDNIGHT = timedelta(hours=12)
"""A clock without a date that lies after the scan means the day before, if that is this recent."""


def reference_time(pet: PETHeader, reference: Reference) -> tuple[datetime, list[Problem]]:
    """Return the moment that START corrects to.

    SeriesTime, unless it lies after the (earliest) AcquisitionTime: then the series was made later
    from an older scan, and the AcquisitionTime is taken and reported.

    Raises:
        DataError: ``no_time``.
    """
    start, acquired = pet.series_start, pet.acquired
    if reference == "acquisition" or start is None:
        if acquired is None:
            wanted = "AcquisitionDate and AcquisitionTime"
            raise pet.error("no_time", wanted, "none", "ask the source for the times")
        if reference == "acquisition":
            return acquired, []
        note = _repair(pet, "series_time", "SeriesTime", "none", "AcquisitionTime is taken")
        return acquired, [note]
    if acquired is not None and start > acquired:
        found = f"{start}, after the acquisition at {acquired}"
        done = "AcquisitionTime is taken: the series was made from an older scan"
        expected = "a SeriesTime before the acquisition"
        return acquired, [_repair(pet, "series_time", expected, found, done)]
    return start, []


def uptake_time(pet: PETHeader, scanned: datetime) -> tuple[timedelta, list[Problem]]:
    """Return the time from injection to ``scanned``.

    StartDateTime is taken when it makes sense. Otherwise the clock alone (StartTime, or
    StartDateTime's own), on the scan's day, or on the day before if that lies at most 12 h back.

    Raises:
        DataError: ``no_time``, ``injected_after_scan``, ``implausible_uptake``.
    """
    longest = timedelta(seconds=LONGEST_HALF_LIVES * pet.half_life())
    clock = pet.injected_clock
    if pet.injected is not None and timedelta(0) <= scanned - pet.injected <= longest:
        stated = (pet.injected - _midnight(pet.injected)).total_seconds()
        if clock is None or abs(clock - stated) <= SAME_MOMENT_S:
            return scanned - pet.injected, []
        expected, found = f"StartTime as in {pet.injected}", f"{timedelta(seconds=clock)}"
        done = "StartDateTime is taken"
        return scanned - pet.injected, [_repair(pet, "injection_times", expected, found, done)]
    if clock is None and pet.injected is not None:
        clock = (pet.injected - _midnight(pet.injected)).total_seconds()
    if clock is None:
        wanted = "RadiopharmaceuticalStartDateTime or RadiopharmaceuticalStartTime"
        raise pet.error("no_time", wanted, "neither", "ask the source for the injection's time")
    problems: list[Problem] = []
    if pet.injected is not None:
        expected, found = "an injection before the scan", f"{pet.injected} for one at {scanned}"
        done = "its date is ignored, the clock is taken"
        problems.append(_repair(pet, "injection_date", expected, found, done))
    uptake = scanned - (_midnight(scanned) + timedelta(seconds=clock))
    if uptake < timedelta(0):
        uptake += timedelta(days=1)
        if uptake > LONGEST_OVER_MIDNIGHT:
            raise pet.error(
                "injected_after_scan", f"an injection before {scanned}",
                f"{timedelta(seconds=clock)} on the clock",
                "check both times at the source",
            )  # fmt: skip
        found = f"one at {timedelta(seconds=clock)} for a scan at {scanned}"
        expected = "an injection on the day of the scan"
        problems.append(_repair(pet, "midnight", expected, found, "taken as the day before"))
    if uptake > longest:
        raise pet.error(
            "implausible_uptake", f"at most {LONGEST_HALF_LIVES} half-lives from injection to scan",
            f"{uptake}", "check both times at the source",
        )  # fmt: skip
    return uptake, problems


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def _repair(pet: PETHeader, kind: str, expected: str, found: str, done: str) -> Problem:
    return Problem(kind, pet.where, expected, found, f"nothing to do: {done}", severity="repaired")
