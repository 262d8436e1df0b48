"""Bytes of a file that may be gzipped: one inflate call, every checksum looked at.

Source: RFC 1952 (members, CRC-32, length field). The time of reading a `.nii.gz` is the time of
this call, so it tells the inflater how long the result will be instead of letting it grow a buffer.
"""

from __future__ import annotations

from pathlib import Path

# The same interface as Python's zlib, and two to six times as fast on label maps and images.
from zlib_ng import zlib_ng as zlib

from medkd_lib.data.problems import DataError, Problem, bad

MAGIC = b"\x1f\x8b\x08"
GZIP_FORMAT = 31  # zlib's `wbits`: a 32 kB window, wrapped as gzip
# RFC 1951 cannot pack more: a damaged length field must not reserve gigabytes.
LARGEST_RATIO = 1032


def read_bytes(path: Path) -> bytes:
    """Return the file's bytes as they lie on disk (hash these).

    Raises:
        DataError: ``missing_file`` or ``empty_file``.
    """
    try:
        blob = path.read_bytes()
    except FileNotFoundError as error:
        raise bad(
            "missing_file", path, expected="a file", found="nothing",
            next_step="check the name, or fetch the data set",
        ) from error  # fmt: skip
    if not blob:
        raise bad(
            "empty_file", path, expected="an image", found="0 bytes",
            next_step="fetch the file again; the disk may have been full",
        )  # fmt: skip
    return blob


def inflate(blob: bytes, where: Path | str) -> tuple[bytes, tuple[Problem, ...]]:
    """Return ``blob`` unpacked if it is gzipped, else as it is, and what was odd about it.

    Raises:
        DataError: ``truncated`` (the stream ends early), ``corrupt`` (checksum or code wrong),
            ``web_page`` or ``lfs_pointer`` (the download brought something else).
    """
    if not blob.startswith(MAGIC[:2]):
        require_no_text(blob, where)
        return blob, ()
    try:
        content, problems = _inflate_members(blob, where)
    except zlib.error as error:  # type: ignore[misc]  # its stub calls the class an instance
        if "incomplete" in str(error):
            raise _truncated(where, len(blob)) from error
        raise bad(
            "corrupt", where, expected="a whole gzip stream", found=f"zlib says: {error}",
            next_step="fetch the file again and compare its hash",
        ) from error  # fmt: skip
    require_no_text(content, where)
    return content, problems


def _inflate_members(blob: bytes, where: Path | str) -> tuple[bytes, tuple[Problem, ...]]:
    stated = int.from_bytes(blob[-4:], "little")
    if blob.find(MAGIC, len(MAGIC)) < 0 and 0 < stated <= LARGEST_RATIO * len(blob):
        content = zlib.decompress(blob, GZIP_FORMAT, stated)
        if len(content) == stated:
            return content, ()
    # Several members, bytes behind the end, or those three bytes by chance.
    parts: list[bytes] = []
    rest = blob
    while rest.startswith(MAGIC[:2]):
        member = zlib.decompressobj(GZIP_FORMAT)
        parts.append(member.decompress(rest))
        if not member.eof:
            raise _truncated(where, len(blob))
        rest = member.unused_data
    if rest.strip(b"\0"):  # zeros are the padding that tapes and block devices add
        odd = Problem(
            "trailing_bytes", str(where), "the end of the file after the gzip stream",
            f"{len(rest)} more bytes", "nothing to do: they are ignored; compare the file's hash",
            severity="warning",
        )  # fmt: skip
        return b"".join(parts), (odd,)
    return b"".join(parts), ()


def _truncated(where: Path | str, size: int) -> DataError:
    return bad(
        "truncated", where, expected="a whole gzip stream",
        found=f"{size} bytes that end in its middle",
        next_step="fetch the file again; the download was cut off",
    )  # fmt: skip


def require_no_text(content: bytes, where: Path | str) -> None:
    """Refuse what a failed download leaves under an image's name.

    Raises:
        DataError: ``web_page`` or ``lfs_pointer``.
    """
    start = content[:256].lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html", b"<?xml", b'{"')):
        raise bad(
            "web_page", where, expected="an image", found=f"text: {content[:60]!r}",
            next_step="the server sent a page (log in, accept the terms) and no data; fetch again",
        )  # fmt: skip
    if start.startswith(b"version https://git-lfs.github.com/"):
        raise bad(
            "lfs_pointer", where, expected="an image", found="a Git LFS pointer",
            next_step="run `git lfs pull` in the repository it came from",
        )  # fmt: skip
