"""The record of what was fetched or brought: which bytes, how they were verified, when, by what."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from medkd_lib import __version__
from medkd_lib.atomic import write_whole
from medkd_lib.data.manifest import Manifest
from medkd_lib.data.problems import bad

RECORD_NAME = ".medkd-verified.json"


def write_record(
    path: Path,
    manifest: Manifest,
    *,
    how: str,
    licence_accepted: str,
    files: Sequence[Mapping[str, Any]],
    unpacked: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    layout: Mapping[str, Any] | None = None,
) -> Path:
    """Write the record.

    Args:
        path: its file.
        manifest: what the files belong to.
        how: ``downloaded`` or ``brought``.
        licence_accepted: who said yes to the licence, and where.
        files: name, bytes, hash and whether that hash was known beforehand.
        unpacked: for each archive, names and bytes of what came out.
        layout: counts found, if the layout was checked.
    """
    content = {
        "dataset": manifest.id,
        "version": manifest.version,
        "how": how,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "licence": {"name": manifest.licence.name, "accepted": licence_accepted},
        "tools": {
            "medkd": __version__, "pooch": version("pooch"), "python": platform.python_version(),
        },
        "files": list(files),
        "unpacked": {name: list(rows) for name, rows in (unpacked or {}).items()},
        "layout": layout,
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_whole(path, (json.dumps(content, indent=1) + "\n").encode())


def read_record(folder: Path) -> dict[str, Any] | None:
    """Return a folder's record, or None if nothing was finished there; kind ``damaged``."""
    path = folder / RECORD_NAME
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        content = error
    if not isinstance(content, dict) or not {"files", "unpacked", "dataset"} <= set(content):
        raise bad(
            "damaged", path, expected="a record of medkd", found=str(content)[:80],
            next_step="remove this file; the data are then verified again",
        )  # fmt: skip
    return content


def still_unpacked(folder: Path, record: Mapping[str, Any] | None, archive: str) -> bool:
    """Whether everything that came out of ``archive`` lies there in its size."""
    rows = (record or {}).get("unpacked", {}).get(archive, [])
    return bool(rows) and all(
        (folder / row["name"]).is_file() and (folder / row["name"]).stat().st_size == row["bytes"]
        for row in rows
    )
