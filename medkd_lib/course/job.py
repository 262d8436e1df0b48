"""A job is one notebook with its parameters, and the run folder that belongs to it alone.

The folder is claimed by renaming a prepared one into place, so that two runners that share an
``--out`` never write into the same folder, and a killed one leaves nothing half-claimed. A run
counts as finished only when its ``result.json`` carries the job's key, which the runner writes
last and at once.
"""

import hashlib
import json
import os
import shutil
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from medkd_lib.course.locate import Lesson
from medkd_lib.course.processes import same_process_alive
from medkd_lib.course.result import Result, ResultError, read_result, write_atomic
from medkd_lib.fingerprint import PACKAGE, content_hash, folder_fingerprint

# Manifests, claims and recorded tables, which decide what a lesson shows, lie beside the package.
CHECKOUT = PACKAGE.parent
# What a new version of may change a number without a line of ours changing.
NUMERIC_PACKAGES = ("torch", "torchvision", "numpy", "scipy", "scikit-learn", "monai")
OURS = ("result.json", "result.invalid.json", "executed.ipynb", "stdout.log", "stderr.log")


class RunnerError(ValueError):
    """The runner cannot work as asked; the message names the folder and the next step."""


@dataclass(frozen=True)
class Request:
    """A lesson to run, its parameters checked.

    ``parameters`` holds every parameter's value, ``given`` names those that were asked for (the
    notebook's own cell sets the others), ``folders`` names those that are folders of data.
    """

    lesson: Lesson
    parameters: dict[str, Any]
    given: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()

    @property
    def profile(self) -> str:
        """The profile it runs with, or nothing where the notebook has none."""
        return str(self.parameters.get("profile", ""))

    @property
    def identity(self) -> dict[str, Any]:
        """What makes this run another one than a neighbour in the same ``--out``."""
        return {"notebook": str(self.lesson.notebook), "parameters": self.parameters}

    def key_parts(self, code: str) -> dict[str, Any]:
        """Everything the result depends on: notebook, parameters, code, data, packages."""
        return {
            "notebook": self.lesson.source_hash,
            "parameters": self.parameters,
            "code": code,
            "tables": content_hash([CHECKOUT / "data_manifests", CHECKOUT / "notebooks/results"]),
            "data": {
                name: folder_fingerprint(Path(self.parameters[name]))
                for name in self.folders
                if self.parameters[name]
            },
            "versions": package_versions(),
        }


def package_versions() -> dict[str, str]:
    """Return the installed versions of what computes numbers, without importing it."""
    versions = {}
    for name in NUMERIC_PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def digest(value: object) -> str:
    """Return the sha256 of a JSON-able value, independent of key order."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def claim_folder(request: Request, out: Path, taken: Iterable[Path]) -> Path:
    """Return the run folder for ``request`` in ``out``: its own from before, or a new one.

    The lesson's plain name, or with a short hash where that belongs to other parameters.
    """
    short = digest(request.identity)[:8]
    for name in (request.lesson.name, f"{request.lesson.name}-{short}"):
        folder = out / name
        if folder not in taken and (_belongs(folder, request) or _create(folder, request)):
            return folder
    raise RunnerError(
        f"{out / request.lesson.name}-{short}: this folder was not made by `medkd run`; "
        "move it away or give another --out"
    )


def _belongs(folder: Path, request: Request) -> bool:
    try:
        params = json.loads((folder / "params.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return False
    except ValueError as error:
        raise RunnerError(f"{folder / 'params.json'}: not readable: {error}; delete it") from error
    return all(params.get(name) == value for name, value in request.identity.items())


def _create(folder: Path, request: Request) -> bool:
    if folder.exists():
        return False
    staging = folder.with_name(f".new-{folder.name}-{os.getpid()}")
    (staging / "figures").mkdir(parents=True, exist_ok=True)
    try:
        write_params(staging, request)
        staging.rename(folder)
    except FileExistsError:
        return False
    except OSError:
        if folder.exists():  # another runner was faster: some systems say "not empty", some EEXIST
            return False
        raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return True


def write_params(folder: Path, request: Request, **more: object) -> Path:
    """Write ``params.json``: every parameter, which were given, and where the notebook lies."""
    lesson = {"lesson": request.lesson.name, "title": request.lesson.title}
    record = lesson | request.identity | {"given": list(request.given)} | more
    return write_atomic(
        folder / "params.json", json.dumps(record, indent=1, ensure_ascii=False) + "\n"
    )


def finished(folder: Path, key: str) -> Result | None:
    """Return the result of a run that ended well with this key, else None."""
    try:
        result = read_result(folder)
    except ResultError:
        return None  # none, half or foreign: the run is done again
    return result if result.key == key and result.status == "ok" else None


def clear(folder: Path) -> None:
    """Remove an earlier run's files, the result first: without it the run is not finished."""
    for name in OURS:
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / "figures", ignore_errors=True)
    (folder / "figures").mkdir()


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep other runners out of ``folder`` meanwhile.

    Raises:
        RunnerError: one that still runs holds it.
    """
    lock = folder / "lock.json"
    with _alone(folder / "lock.claim"):
        mark = read_mark(lock)
        if owner_alive(mark):
            raise RunnerError(
                f"{folder}: another `medkd run` (process {mark['pid']} on {mark['host']}) works in "
                f"it; wait for it, give another --out, or delete {lock.name} if it is long gone"
            )
        write_atomic(lock, json.dumps(owner()) + "\n")
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)


@contextmanager
def _alone(claim: Path, patience_s: float = 5.0) -> Iterator[None]:
    """Let one runner at a time look at a lock and take it.

    Moving a dead owner's lock away needs this too: a slow runner would move its successor's.
    """
    end = time.monotonic() + patience_s
    while True:
        try:
            os.close(os.open(claim, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            break
        # Windows denies a file that is just being deleted.
        except (FileExistsError, PermissionError) as error:
            if time.monotonic() > end:
                raise RunnerError(
                    f"{claim}: held for {patience_s:g} s by a `medkd run` that is starting, or was "
                    f"killed at that moment; delete this file if none is starting ({error})"
                ) from error
            time.sleep(0.02)
    try:
        yield
    finally:
        claim.unlink()


def read_mark(path: Path) -> dict[str, Any]:
    """Return the JSON object in ``path``, or an empty one if it is missing or half-written."""
    try:
        mark = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return mark if isinstance(mark, dict) else {}


def owner() -> dict[str, Any]:
    """Describe this process so that another can tell whether it still runs."""
    me = psutil.Process()
    return {"pid": me.pid, "started": me.create_time(), "host": socket.gethostname()}


def owner_alive(mark: dict[str, Any]) -> bool:
    """Whether the process described by `owner` still runs; on another host: assumed so."""
    if not {"pid", "started", "host"} <= set(mark):
        return False
    if mark["host"] != socket.gethostname():
        return True
    return same_process_alive(int(mark["pid"]), float(mark["started"]))
