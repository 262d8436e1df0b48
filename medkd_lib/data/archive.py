"""Unpack an archive from the internet: no file outside its folder, no bomb, nothing half-written.

Rules, the same on every system: names are relative, without ``..``, backslashes or colons, and
such as Windows can hold; no two differ in case alone; a link becomes a copy of the archive's own
file it points to, or is refused; devices are refused; a name may occur once; what is written,
copies included, is counted while it is written, whatever the archive claims. Everything goes into a
temporary folder beside the target, which is renamed at the end.
"""

from __future__ import annotations

import lzma
import shutil
import tarfile
import zipfile
import zlib
from errno import ENOSPC
from pathlib import Path

from medkd_lib.atomic import build_folder, is_free
from medkd_lib.data.archive_members import Member, members
from medkd_lib.data.archive_names import ASK, JUNK, Names, inside, safe_name
from medkd_lib.data.problems import DataError, Problem, bad

MAX_BYTES = 1 << 40
MAX_RATIO = 250.0  # label maps shrink to a hundredth; nothing in medicine to a thousandth
RATIO_FROM = 64 << 20  # small archives may be as empty as they like
BLOCK = 1 << 20


def unpack(
    archive: Path,
    folder: Path,
    *,
    max_bytes: int = MAX_BYTES,
    max_ratio: float = MAX_RATIO,
    notes: list[Problem] | None = None,
) -> list[Path]:
    """Unpack a zip, tar (plain, gz, xz, bz2) or a single gz file.

    Args:
        archive: the file; its suffix must say what it is.
        folder: where the members go; must not exist, or be empty.
        max_bytes: the sum of all files may not be larger.
        max_ratio: nor larger than this many times the archive (counted from 64 MiB on).
        notes: takes a ``junk`` note for skipped ``__MACOSX``, ``._*`` and ``.DS_Store``.

    Returns:
        The files, sorted.

    Raises:
        DataError: kinds ``missing_file``, ``empty_file``, ``wrong_format``, ``encrypted``,
            ``truncated``, ``damaged``, ``unsupported_compression``, ``unsafe_name``,
            ``unportable_name``, ``unsafe_link``, ``device_file``, ``duplicate_name``,
            ``case_collision``, ``bomb``, ``no_space``, ``empty_archive``, ``not_empty``.
            The folder is then as it was before.
    """
    if not is_free(folder):
        raise bad(
            "not_empty", folder, expected="a new or empty folder", found="something in it",
            next_step="name another folder, or remove this one",
        )  # fmt: skip
    with build_folder(folder) as staging:
        job = _Job(archive, staging, max_bytes, max_ratio)
        _run(job)
        if notes is not None:
            notes.extend(job.notes())
    return sorted(folder / name for name in job.names.files)


class _Job:
    """One archive on its way to one staging folder: what was written so far, and the limits."""

    def __init__(self, archive: Path, staging: Path, max_bytes: int, max_ratio: float) -> None:
        self.archive = archive
        self.staging = staging
        self.names = Names(archive)
        self.bytes = 0
        self._by_ratio = max(int(max_ratio * _size(archive)), RATIO_FROM)
        self._limit = min(max_bytes, self._by_ratio)
        self._junk: list[str] = []
        self._links: dict[str, str] = {}

    def take(self, member: Member) -> None:
        """Check one member and write it; links wait until all files are there."""
        if JUNK.search(member.name):
            self._junk.append(member.name)
            return
        name = safe_name(member.name, self.archive)
        if member.kind == "device":
            raise self.refuse("device_file", "files, folders and links", f"a device, {name!r}")
        if member.kind == "folder":
            self.names.claim_folder(name)
            (self.staging / name).mkdir(parents=True, exist_ok=True)
            return
        if not name:
            raise self.refuse("unsafe_name", "a name", repr(member.name))
        self.names.claim_file(name)
        if member.kind == "link":
            self._links[name] = member.target
        else:
            self._write(name, member)

    def finish(self) -> None:
        """Write the links as copies of what they point to."""
        for name, target in self._links.items():
            source = inside(target)
            if source is None or source in self._links or source not in self.names.files:
                raise self.refuse(
                    "unsafe_link", "links to files of the same archive", f"{name!r} → {target!r}"
                )
            size = _size(self.staging / source)
            self._check_room(size, name)
            self._place(name)
            shutil.copyfile(self.staging / source, self.staging / name)
            self.bytes += size  # a copy fills the disk like any other file
        if not self.names.files:
            raise self.refuse("empty_archive", "files", "none", "fetch the file again")

    def notes(self) -> list[Problem]:
        """Return what the user should know although the archive is fine."""
        if not self._junk:
            return []
        return [
            Problem(
                "junk", str(self.archive), "data files",
                f"{len(self._junk)} leavings of a desktop, first {self._junk[0]!r}",
                "they were skipped", severity="warning",
            )
        ]  # fmt: skip

    def refuse(self, kind: str, expected: str, found: str, next_step: str = ASK) -> DataError:
        """Return the error for this archive."""
        return bad(kind, self.archive, expected=expected, found=found, next_step=next_step)

    def _write(self, name: str, member: Member) -> None:
        self._check_room(member.size or 0, name)  # by its own claim
        self._place(name)
        start = self.bytes
        with member.open() as source, (self.staging / name).open("xb") as sink:
            while block := source.read(BLOCK):
                self._check_room(len(block), name)  # in truth
                self.bytes += len(block)
                sink.write(block)
        if member.size is not None and self.bytes - start != member.size:
            raise self.refuse(
                "truncated", f"{member.size} bytes in {name!r}", f"{self.bytes - start}",
                "fetch the file again",
            )  # fmt: skip

    def _place(self, name: str) -> None:
        (self.staging / name).parent.mkdir(parents=True, exist_ok=True)

    def _check_room(self, more: int, name: str) -> None:
        if self.bytes + more > self._limit:
            raise self.refuse(
                "bomb", f"at most {self._limit:,} bytes unpacked",
                f"{self.bytes + more:,} or more, at {name!r}",
                "if its origin states such a size, unpack it yourself and use --from",
            )  # fmt: skip
        free = shutil.disk_usage(self.staging).free
        if more > free:
            raise no_space(self.archive, f"room for {more:,} bytes", f"{free:,} free")


def no_space(where: Path | str, expected: str, found: str) -> DataError:
    """Return the error for a full disk."""
    return bad(
        "no_space", where, expected=expected, found=found,
        next_step="free some space, or choose another disk with --out or MEDKD_HOME",
    )  # fmt: skip


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _run(job: _Job) -> None:
    """Take every member; the decompressors' own errors become ours."""
    again = "fetch the file again and compare its hash"
    try:
        for member in members(job.archive):
            job.take(member)
        job.finish()
    except tarfile.FilterError as error:
        raise job.refuse("unsafe_name", "names inside the folder", str(error)) from error
    except NotImplementedError as error:
        raise job.refuse(
            "unsupported_compression", "deflate, bzip2 or lzma in a zip", str(error),
            "unpack it with 7-Zip, then `medkd data get … --from FOLDER`",
        ) from error  # fmt: skip
    except (EOFError, tarfile.ReadError, zipfile.BadZipFile, zlib.error, lzma.LZMAError) as error:
        reason = error.__cause__ if isinstance(error.__cause__, EOFError) else error
        cut = isinstance(reason, EOFError) or any(
            sign in str(error) for sign in ("end of data", "not a zip")
        )
        kind = "truncated" if cut else "damaged"
        raise job.refuse(kind, "a whole archive", str(reason), again) from error
    except OSError as error:
        if error.errno == ENOSPC:
            raise no_space(job.archive, "room for its files", str(error)) from error
        if error.errno is not None:
            raise
        raise job.refuse("damaged", "a whole archive", str(error), again) from error
