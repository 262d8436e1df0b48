"""Hashes of what a result depends on: the library's code, and a folder of data."""

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


@cache
def code_hash(rooms: Sequence[str] = (".",)) -> str:
    """Return a hash (16 hex digits) of the library's ``.py`` files in the named rooms.

    Args:
        rooms: folders or files under ``medkd_lib``; the default is the whole library.
    """
    digest = hashlib.sha256()
    for room in rooms:
        path = PACKAGE / room
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(file.relative_to(PACKAGE).as_posix().encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def content_hash(folders: Sequence[Path]) -> str:
    """Return a hash (16 hex digits) of the names and bytes of all files; for small folders."""
    digest = hashlib.sha256()
    for folder in folders:
        for file in sorted(p for p in folder.rglob("*") if p.is_file()):
            digest.update(file.relative_to(folder).as_posix().encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def folder_fingerprint(folder: Path) -> str:
    """Return a hash of the files' relative paths, sizes and modification times.

    It opens no file, so it is cheap on any data set; a file rewritten with the same size within
    the clock's resolution would escape it.
    """
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        stat = path.stat()
        line = f"{path.relative_to(folder).as_posix()} {stat.st_size} {stat.st_mtime_ns}\n"
        digest.update(line.encode())
    return digest.hexdigest()[:16]
