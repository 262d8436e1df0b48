"""Dates and times as DICOM writes them (PS3.5 6.2); a damaged one is `DataError` ``bad_time``."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path

from medkd_lib.data.problems import bad


def clock(text: str, where: Path | str) -> timedelta:
    """Return a TM, HHMMSS.FFFFFF, as time since midnight; its end may be left off.

    ACR-NEMA wrote colons.
    """
    parts = re.fullmatch(r"(\d{2})(\d{2})?(\d{2})?(\.\d+)?", text.replace(":", ""))
    if parts is None or int(parts[1]) > 23 or max(int(parts[2] or 0), int(parts[3] or 0)) > 59:
        raise bad(
            "bad_time", where, expected="a time HHMMSS.FFFFFF", found=text,
            next_step="ask the source for the times; no SUV without them",
        )  # fmt: skip
    seconds = int(parts[3] or 0) + float(parts[4] or 0)
    return timedelta(hours=int(parts[1]), minutes=int(parts[2] or 0), seconds=seconds)


def date(text: str, where: Path | str) -> datetime:
    """Return a DA, YYYYMMDD, as its midnight."""
    try:
        return datetime.strptime(text.replace(".", ""), "%Y%m%d")
    except ValueError as error:
        raise bad(
            "bad_time", where, expected="a date YYYYMMDD", found=text,
            next_step="ask the source for the dates; no SUV without them",
        ) from error  # fmt: skip


def date_time(text: str | None, where: Path | str) -> datetime | None:
    """Return a DT without its offset from UTC: every time of a study is local time."""
    if text is None:
        return None
    local = re.sub(r"[+-]\d{4}$", "", text)
    return date(local[:8], where) + clock(local[8:] or "00", where)
