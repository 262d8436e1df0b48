"""The members of a zip, tar or gz file, one after the other, each with a way to read its bytes."""

from __future__ import annotations

import gzip
import io
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Literal, cast

from medkd_lib.data.problems import bad

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2", ".tbz")
MAGIC = {
    b"PK": "zip",
    b"\x1f\x8b": "gzip",
    b"\xfd7zXZ": "xz",
    b"BZh": "bzip2",
    b"7z\xbc\xaf": "7z",
    b"Rar!": "rar",
}
TAR_MODES: dict[str, Literal["r:gz", "r:xz", "r:bz2"]] = {
    "gzip": "r:gz", "xz": "r:xz", "bzip2": "r:bz2",
}  # fmt: skip
LINK_TARGET_LIMIT = 4096


@dataclass(frozen=True)
class Member:
    """One entry of an archive.

    ``name`` is as the archive states it, nothing cleaned; ``size`` is what it claims to unpack to
    (None if the format does not say); ``target`` is what a link points to.
    """

    name: str
    kind: Literal["file", "folder", "link", "device"]
    size: int | None
    open: Callable[[], IO[bytes]]
    target: str = ""


def archive_kind(path: Path) -> Literal["zip", "tar", "gz"] | None:
    """Return the kind a file's name claims, or None if it is no archive we unpack."""
    name = path.name.lower()
    if name.endswith(TAR_SUFFIXES):
        return "tar"
    return "zip" if name.endswith(".zip") else "gz" if name.endswith(".gz") else None


def members(path: Path) -> Iterator[Member]:
    """Yield the members of an archive; the file must be what its name claims.

    Raises:
        DataError: kinds ``missing_file``, ``empty_file``, ``wrong_format``, ``encrypted``,
            ``truncated``; the decompressors' own errors pass through.
    """
    kind = archive_kind(path)
    real = _check_magic(path, kind)
    if kind == "gz":
        return _gz(path)
    return _zip(path) if kind == "zip" else _tar(path, real)


def _check_magic(path: Path, kind: str | None) -> str | None:
    if not path.is_file():
        raise bad(
            "missing_file", path, expected="an archive", found="no such file",
            next_step="check the path",
        )  # fmt: skip
    with path.open("rb") as stream:
        head = stream.read(512)
    if not head:
        raise bad(
            "empty_file", path, expected="an archive", found="0 bytes",
            next_step="fetch the file again",
        )  # fmt: skip
    real = next((name for magic, name in MAGIC.items() if head.startswith(magic)), None)
    if real is None and head[257:262] == b"ustar":
        real = "tar"
    if real is None and head.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        real = "a web page"
    fits = {
        "zip": ("zip",),
        "gz": ("gzip",),
        # Very old tar files carry no mark: tarfile's own checksum decides about those.
        "tar": ("tar", "gzip", "xz", "bzip2", None),
    }
    if real not in fits.get(kind or "", ()):
        page = real == "a web page"
        raise bad(
            "wrong_format", path,
            expected=f"a {kind} file" if kind else "a zip, tar(.gz, .xz, .bz2) or gz file",
            found=real or f"bytes {head[:8]!r}",
            next_step="fetch it again: a login or error page was saved in its place" if page
            else "give the file the suffix of what it is; 7z and rar: unpack it yourself",
        )  # fmt: skip
    return real


def _zip(path: Path) -> Iterator[Member]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.flag_bits & 0x1:
                raise bad(
                    "encrypted", path, expected="an archive without a password",
                    found=f"{info.filename!r} is encrypted",
                    next_step="unpack it with the password of its owner, then "
                    "`medkd data get … --from FOLDER`",
                )  # fmt: skip
            mode = info.external_attr >> 16
            kind: Literal["file", "folder", "link", "device"] = "file"
            target = ""
            if info.is_dir():
                kind = "folder"
            elif stat.S_ISLNK(mode):
                kind = "link"
                with archive.open(info) as stream:
                    text = stream.read(LINK_TARGET_LIMIT).decode("utf-8", "replace")
                target = _link_target(info.filename, text, hard=False)
            elif mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                kind = "device"
            # `filename` has lost what follows a NUL and, on Windows, its backslashes.
            name = info.orig_filename
            yield Member(name, kind, info.file_size, partial(archive.open, info), target)


def _tar(path: Path, packed: str | None) -> Iterator[Member]:
    # Not "r:*": that takes a broken compressor's stream for a plain tar and blames its header.
    with tarfile.open(path, TAR_MODES.get(packed or "", "r:"), errorlevel=2) as archive:
        for info in archive:
            if info.isreg():
                kind: Literal["file", "folder", "link", "device"] = "file"
            elif info.isdir():
                kind = "folder"
            else:
                kind = "link" if info.issym() or info.islnk() else "device"
            if kind in ("file", "folder"):
                # Second line of defence: the standard library's own judgement.
                tarfile.data_filter(info, str(path.parent))
            target = _link_target(info.name, info.linkname, hard=info.islnk())
            yield Member(info.name, kind, info.size, partial(_contents, archive, info), target)
        _check_end(path, archive)


def _link_target(name: str, target: str, *, hard: bool) -> str:
    """Count the target from the archive's root: a symbolic link counts from its own folder."""
    folder = name.rpartition("/")[0]
    return target if hard or not folder or target.startswith("/") else f"{folder}/{target}"


def _contents(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    stream = archive.extractfile(info)
    return stream if stream is not None else io.BytesIO()


def _check_end(path: Path, archive: tarfile.TarFile) -> None:
    """Refuse an archive that stops where a header should be: `tarfile` takes that for its end."""
    stream = archive.fileobj
    if stream is None:
        return
    stream.seek(archive.offset)
    block = stream.read(tarfile.BLOCKSIZE)
    if block != b"\0" * tarfile.BLOCKSIZE:
        raise bad(
            "truncated", path, expected="the end mark of a tar file",
            found="nothing" if not block else f"bytes {block[:8]!r}",
            next_step="fetch the file again: the last files are missing",
        )  # fmt: skip
    for _ in range(1 << 16):  # the compressor's checksum stands behind the padding (64 GB at most)
        if not stream.read(1 << 20):
            return


def _gz(path: Path) -> Iterator[Member]:
    yield Member(path.name[: -len(".gz")], "file", None, partial(_gunzip, path))


def _gunzip(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.GzipFile(path, "rb"))
