"""Names inside an archive: which are safe on every system, and which get in each other's way."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from medkd_lib.data.problems import bad

JUNK = re.compile(r"(^|/)(__MACOSX(/|$)|\._[^/]*$|\.DS_Store$|Thumbs\.db$)")
ASK = "do not unpack this file by other means; ask its origin"
RENAME = "unpack it yourself, give these names that every system can hold, then use --from FOLDER"
# Windows opens a device under these names, whatever their case and suffix.
DEVICES = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³]) *(\.|$)", re.I)


def safe_name(name: str, where: Path | str) -> str:
    """Return a member's name as a clean relative path; the same names on every system.

    Refused as ``unsafe_name``: absolute paths, ``..``, backslashes and colons (harmless here; on
    Windows a way out, a drive or a hidden stream of another file), control characters. Refused as
    ``unportable_name``: what Windows takes for a device (``CON``, ``nul.txt``) or writes without
    its end (trailing dots and spaces). The archive's own folder ``./`` becomes the empty name.
    """
    parts = [part for part in PurePosixPath(name).parts if part != "."]
    unsafe = (
        name.startswith("/")
        or "\\" in name
        or ".." in parts
        or ":" in name
        or any(ord(c) < 32 for c in name)
    )
    if unsafe:
        raise bad(
            "unsafe_name", where, expected="relative names with / inside the folder",
            found=repr(name), next_step=ASK,
        )  # fmt: skip
    odd = [part for part in parts if DEVICES.match(part) or part.endswith((".", " "))]
    if odd:
        raise bad(
            "unportable_name", where, expected="names that Windows can hold too",
            found=f"{odd[0]!r} in {name!r}", next_step=RENAME,
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
    """The files and folders an archive has claimed so far, each in one spelling.

    Names that differ in case (or in Unicode composition) alone are one name on some disks and two
    on others: ``case_collision`` on all, so that no set depends on where it was unpacked.
    """

    archive: Path
    files: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)
    _spelling: dict[str, str] = field(default_factory=dict)

    def claim_folder(self, name: str) -> None:
        """Take a folder and the folders above it; they may come again, but not as a file."""
        while name and name not in self.folders:
            if name in self.files:
                raise self._twice(f"{name!r} is file and folder")
            self._spell(name)
            self.folders.add(name)
            name = name.rpartition("/")[0]

    def claim_file(self, name: str) -> None:
        """Take a file name; a second time, or as a folder too, is ``duplicate_name``."""
        if name in self.files:
            raise self._twice(f"{name!r} twice")
        if name in self.folders:
            raise self._twice(f"{name!r} is file and folder")
        self.claim_folder(name.rpartition("/")[0])
        self._spell(name)
        self.files.add(name)

    def _spell(self, name: str) -> None:
        folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
        earlier = self._spelling.setdefault(folded, name)
        if earlier != name:
            raise bad(
                "case_collision", self.archive, expected="names that differ in more than case",
                found=f"{earlier!r} and {name!r}", next_step=RENAME,
            )  # fmt: skip

    def _twice(self, found: str) -> Exception:
        return bad(
            "duplicate_name", self.archive, expected="each name once", found=found,
            next_step="which of them counts is not certain; ask the origin",
        )  # fmt: skip
