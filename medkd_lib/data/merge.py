"""What an archive holds, moved into a dataset's folder without replacing anything else there."""

from __future__ import annotations

import filecmp
import shutil
import tempfile
from pathlib import Path

from medkd_lib.data.archive import unpack
from medkd_lib.data.problems import Problem, bad


def unpack_into(
    archive: Path, folder: Path, notes: list[Problem] | None = None
) -> list[dict[str, object]]:
    """Unpack ``archive`` into a folder that may hold other files; return names and sizes.

    A file that is there already with the same bytes stays; another one is ``file_in_the_way`` and
    then nothing is moved.
    """
    folder.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=folder, prefix=".unpack-"))
    try:
        inside = staging / "files"
        found = {path: path.relative_to(inside) for path in unpack(archive, inside, notes=notes)}
        for path, name in found.items():
            place = folder / name
            if place.exists() and not (place.is_file() and filecmp.cmp(path, place, shallow=False)):
                raise bad(
                    "file_in_the_way", place, expected=f"room for {name} of {archive.name}",
                    found="something else of that name",
                    next_step="move it away, or name another folder with --out",
                )  # fmt: skip
        rows: list[dict[str, object]] = [
            {"name": name.as_posix(), "bytes": path.stat().st_size} for path, name in found.items()
        ]
        for path, name in found.items():
            place = folder / name
            place.parent.mkdir(parents=True, exist_ok=True)
            path.replace(place)
        return rows
    finally:
        shutil.rmtree(staging, ignore_errors=True)
