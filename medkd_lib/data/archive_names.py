"""Names inside an archive: which are safe on every system, and which get in each other's way."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from medkd_lib.data.problems import bad

JUNK = re.compile(r"(^|/)(__MACOSX(/|$)|\._[^/]*$|\.DS_Store$|Thumbs\.db$)")
ASK = "do not unpack this file by other means; ask its origin"


def safe_name(name: str, where: Path | str) -> str:
    """Return a member's name as a clean relative path, or raise ``unsafe_name``.

    Refused: absolute paths, ``..``, backslashes and drive letters (harmless here, a way out on
    Windows), control characters. The archive's own folder ``./`` becomes the empty name.
    """
    parts = [part for part in PurePosixPath(name).parts if part != "."]
    unsafe = (
        name.startswith("/")
        or "\\" in name
        or ".." in parts
        or re.match(r"[A-Za-z]:", name)
        or any(ord(c) < 32 for c in name)
    )
    if unsafe:
        raise bad(
            "unsafe_name", where, expected="relative names with / inside the folder",
            found=repr(name), next_step=ASK,
        )  # fmt: skip
    return "/".join(parts)


def inside(target: str) -> str | None:
    """Return what a link points to as a clean name, or None if that leaves the archive."""
    if target.startswith("/") or "\\" in target:
        return None
    parts: list[str] = []
    for part in PurePosixPath(target).parts:
        if part != "..":
            parts.append(part)
        elif parts:
            parts.pop()
        else:
            return None
    return "/".join(parts)


@dataclass
class Names:
    """The files and folders an archive has claimed so far.

    Attributes:
        collisions: pairs of file names that differ in case (or in Unicode composition) only.
    """

    archive: Path
    files: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)
    collisions: list[tuple[str, str]] = field(default_factory=list)
    _spelling: dict[str, str] = field(default_factory=dict)

    def claim_folder(self, name: str) -> None:
        """Take a folder and the folders above it; they may come again, but not as a file."""
        while name and name not in self.folders:
            if name in self.files:
                raise self._twice(f"{name!r} is file and folder")
            self.folders.add(name)
            name = name.rpartition("/")[0]

    def claim_file(self, name: str) -> None:
        """Take a file name; a second time, or as a folder too, is ``duplicate_name``."""
        if name in self.files:
            raise self._twice(f"{name!r} twice")
        if name in self.folders:
            raise self._twice(f"{name!r} is file and folder")
        self.claim_folder(name.rpartition("/")[0])
        self.files.add(name)
        earlier = self._spelling.setdefault(unicodedata.normalize("NFC", name).casefold(), name)
        if earlier != name:
            self.collisions.append((earlier, name))

    def _twice(self, found: str) -> Exception:
        return bad(
            "duplicate_name", self.archive, expected="each name once", found=found,
            next_step="which of them counts is not certain; ask the origin",
        )  # fmt: skip
