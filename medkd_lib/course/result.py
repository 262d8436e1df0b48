"""`result.json`: the one file of a run that the report, the tables and the ledger read.

A notebook writes what it measured::

    write_result(run_folder("04_born_again"), Result(lesson="04_born_again", metrics=[...]))

and the runner completes it (status, seconds, memory, failure, key). Numbers are finite or absent:
a metric that could not be computed is left out, never written as NaN.
"""

import datetime as dt
import json
import math
import numbers
import os
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from medkd_lib.atomic import write_whole
from medkd_lib.home import medkd_home

FILE_NAME = "result.json"

Status = Literal["ok", "failed", "timeout", "kernel_died", "skipped"]
Evidence = Literal["phantom", "stand-in", "original"]
Scalar = bool | int | float | str | None
Text = Annotated[str, Field(min_length=1)]


class ResultError(ValueError):
    """A result file is missing, broken or not of the schema; the message names the file."""


def _nonfinite(value: object, where: str) -> str | None:
    """Name the first number in nested ``value`` that is not finite."""
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        return None if math.isfinite(value) else f"{where}: expected a finite number, found {value}"
    pairs: list[tuple[str, object]] = []
    if isinstance(value, dict):
        pairs = [(f"{where}.{key}", item) for key, item in value.items()]
    elif isinstance(value, list | tuple):
        pairs = [(f"{where}[{index}]", item) for index, item in enumerate(value)]
    return next((found for name, item in pairs if (found := _nonfinite(item, name))), None)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _finite(cls, data: object) -> object:
        if isinstance(data, dict):
            label = f"{cls.__name__} {data['name']!r}" if data.get("name") else cls.__name__
            if found := _nonfinite(data, label):
                raise ValueError(f"{found}; leave out what could not be computed")
        return data


class Metric(_Part):
    """One measured number with what is needed to believe it.

    ``interval`` is (low, high), and ``interval_kind`` says what it is ("95 % bootstrap over
    patients"). ``n`` counts what the number is a mean over, in most cases patients.
    """

    name: Text
    value: float
    unit: str = ""
    n: int | None = Field(default=None, ge=1)
    seed: int | None = None
    interval: tuple[float, float] | None = None
    interval_kind: str = ""
    dataset: str = ""
    arm: str = ""
    evidence: Evidence
    split_hash: str = ""

    @model_validator(mode="after")
    def _interval_is_whole(self) -> "Metric":
        if self.interval and self.interval[0] > self.interval[1]:
            raise ValueError(
                f"metric {self.name}: expected interval [low, high], found {self.interval}"
            )
        if self.interval and not self.interval_kind:
            raise ValueError(
                f"metric {self.name}: an interval needs interval_kind, "
                "for example '95 % bootstrap over patients'"
            )
        return self


class Headline(_Part):
    """The one sentence of the lesson's card, and the metric it rests on."""

    text: Text
    metric: str = ""


class Figure(_Part):
    """An image in the run folder, with the text for those who cannot see it."""

    file: Text
    alt: Text

    @field_validator("file")
    @classmethod
    def _inside_the_run_folder(cls, value: str) -> str:
        path = PurePosixPath(value.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
            raise ValueError(
                f"figure file: expected a path inside the run folder such as figures/loss.png, "
                f"found {value!r}"
            )
        return path.as_posix()


class Claim(_Part):
    """What this run says about one claim of a paper."""

    id: Text
    verdict: Text
    note: str = ""


class Failure(_Part):
    """Where a run ended: ``cell`` counts the notebook's cells from 1, as the progress line does."""

    cell: int | None = None
    source: str = ""
    error: Text
    traceback: str = ""


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")


class Result(_Part):
    """All that is kept of a run. ``key`` and what follows it is set by the runner alone."""

    lesson: Text
    title: str = ""
    profile: str = ""
    status: Status = "ok"
    metrics: list[Metric] = []
    headline: Headline | None = None
    figures: list[Figure] = []
    claims: list[Claim] = []
    params: dict[str, Scalar] = {}
    versions: dict[str, str] = {}
    truncated: bool = False
    exercises: dict[str, Scalar] = {}
    created: str = Field(default_factory=_now)
    seconds: float | None = Field(default=None, ge=0)
    peak_memory_mb: float | None = Field(default=None, ge=0)
    failure: Failure | None = None
    key: str = ""
    budget_seconds: float | None = None
    reused_from: str | None = None


def run_folder(lesson: str) -> Path:
    """Return (and make) the folder a notebook writes to.

    It is the one named by ``MEDKD_RUN_DIR`` (the runner sets it), else an interactive one in
    the medkd home, so that "Run all" works from any folder.
    """
    named = os.environ.get("MEDKD_RUN_DIR")
    folder = Path(named) if named else medkd_home() / "runs" / lesson / "interactive"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def write_atomic(path: Path, text: str, *, durable: bool = True) -> Path:
    """Write ``text`` so that a reader finds the old file or the whole new one, never a half.

    ``durable`` also waits for the disk, so that the file survives a power cut.
    """
    return write_whole(path, text.encode(), durable=durable)


def write_result(folder: Path, result: Result) -> Path:
    """Write ``result.json`` into ``folder``, checked once more because models can be edited."""
    checked = Result.model_validate(result.model_dump())
    text = json.dumps(checked.model_dump(mode="json"), indent=1, ensure_ascii=False)
    return write_atomic(folder / FILE_NAME, text + "\n")


def read_result(path: Path) -> Result:
    """Read a ``result.json`` (or the one in a run folder).

    Raises:
        ResultError: not there, not JSON, or not of the schema.
    """
    file = path / FILE_NAME if path.is_dir() else path
    try:
        return Result.model_validate(json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise ResultError(f"{file}: expected a result file, found none") from None
    except ValidationError as error:
        raise ResultError(f"{file}: not a valid result: {complaints(error)}") from error
    except (OSError, ValueError) as error:
        raise ResultError(f"{file}: not readable as JSON: {error}") from error


def complaints(error: ValidationError) -> str:
    """Say in one line each what pydantic found, without its links and echoes of the input."""
    found = []
    for item in error.errors(include_url=False, include_input=False):
        where = ".".join(str(part) for part in item["loc"])
        message = item["msg"].removeprefix("Value error, ")
        found.append(f"{where}: {message}" if where else message)
    return "; ".join(found)


def result_schema() -> dict[str, object]:
    """Return the JSON Schema of ``result.json``, for readers in other languages."""
    return Result.model_json_schema() | {"$schema": "https://json-schema.org/draft/2020-12/schema"}
