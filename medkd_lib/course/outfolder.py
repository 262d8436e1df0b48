"""The folder of one `medkd run`: a given ``--out``, or a stamp under ``runs`` that can go on.

A stamp folder holds ``run.json``: what was asked, by which process, and whether it came to its
end. The same request finds an unfinished one whose process is gone and goes on there.
"""

import datetime as dt
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from medkd_lib.course.job import RunnerError, finished, owner, owner_alive, read_mark
from medkd_lib.course.result import Result, write_atomic, write_result
from medkd_lib.home import medkd_home


@dataclass(frozen=True)
class Place:
    """An output folder; ``request`` is empty for a given ``--out``, which keeps no stamp."""

    folder: Path
    request: str = ""

    def mark(self, state: str) -> None:
        """Note the state, so that a later call knows whether there is something to go on with."""
        record = owner() | {"request": self.request, "state": state}
        write_atomic(self.folder / "run.json", json.dumps(record, indent=1) + "\n")

    def close(self) -> None:
        """Note that everything asked for was done."""
        if self.request:
            self.mark("finished")

    def siblings(self) -> list[Path]:
        """Return the other stamp folders, newest first; none for a given ``--out``."""
        if not self.request:
            return []
        others = (path for path in self.folder.parent.iterdir() if path != self.folder)
        return sorted((p for p in others if (p / "run.json").is_file()), reverse=True)


def open_out(out: Path | None, caller: Path, *, request: str, fresh: bool) -> Place:
    """Return the place to work in: ``out``, the same request's unfinished stamp, or a new stamp.

    Raises:
        RunnerError: ``out`` cannot be made or written.
    """
    if out is not None:
        folder = (caller / out).resolve()
        try:
            _make_writable(folder)
        except OSError as error:
            raise RunnerError(
                f"--out {folder}: expected a folder that can be written: {error}"
            ) from error
        return Place(folder)
    base = caller / "runs"
    try:
        _make_writable(base)
    except OSError:
        # A read-only checkout or course server: results go to the user's own folder instead.
        base = medkd_home() / "runs"
        _make_writable(base)
    place = None if fresh else _unfinished(base, request)
    place = place or Place(_new_stamp(base), request)
    place.mark("running")
    return place


def copy_finished(folder: Path, key: str, lesson: str, siblings: Sequence[Path]) -> Result | None:
    """Copy a finished run with this key from an earlier stamp into ``folder``, if there is one."""
    for sibling in siblings:
        for source in sorted(sibling.glob(f"{lesson}*")):
            if result := finished(source, key):
                origin = result.reused_from or f"../{sibling.name}/{source.name}"
                result = result.model_copy(update={"reused_from": origin})
                # The result goes last: until then the copy does not count as finished.
                shutil.copytree(
                    source,
                    folder,
                    dirs_exist_ok=True,
                    ignore=shutil.ignore_patterns("result.json", "lock.json", "params.json"),
                )
                write_result(folder, result)
                return result
    return None


def _unfinished(base: Path, request: str) -> Place | None:
    for mark_file in sorted(base.glob("*/run.json"), reverse=True):
        mark = read_mark(mark_file)
        same = (mark.get("request"), mark.get("state")) == (request, "running")
        if same and not owner_alive(mark):
            return Place(mark_file.parent, request)
    return None


def _new_stamp(base: Path) -> Path:
    stamp = dt.datetime.now().strftime("%Y%m%d-%H%M%S")
    for count in range(1000):
        folder = base / (f"{stamp}-{count}" if count else stamp)
        try:
            folder.mkdir()
        except FileExistsError:
            continue  # another run began in the same second
        return folder
    raise RunnerError(f"{base}: no free folder name for {stamp}; give --out")


def _make_writable(folder: Path) -> None:
    """Make ``folder`` and try a file in it (permission bits tell little on network drives)."""
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=folder, prefix=".try-")
    os.close(handle)
    Path(name).unlink()
