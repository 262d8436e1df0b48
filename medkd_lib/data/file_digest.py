"""What a path stands for on disk, and the SHA-256 of it: one image may be several files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from medkd_lib.data.analyze import pair_of
from medkd_lib.data.itk_files import LONGEST_HEADER, read_keys
from medkd_lib.data.problems import bad

# Keys under which NRRD and MetaImage name the file that holds the voxels.
DATA_KEYS = ("data file", "datafile", "elementdatafile")

MOST_FILES = 65536

Content = tuple[tuple[str, tuple[str, ...]], ...]
"""Each role with the hashes of its files."""


def files_of(path: Path) -> list[Path]:
    """Return every file whose bytes make the image at ``path``, in a stable order.

    A folder: all files in it. ``.hdr`` or ``.img``: both of the pair. NRRD and MetaImage: the
    header and the files of voxels that it names. Anything else: the file itself.

    Raises:
        DataError: ``missing_pair``, or ``missing_file`` if there is nothing at all.
    """
    if path.is_dir():
        return sorted(p for p in path.rglob("*") if p.is_file())
    if not path.is_file():
        raise bad(
            "missing_file", path, expected="a file or a folder", found="nothing",
            next_step="check data_root and the manifest's layout",
        )  # fmt: skip
    name = path.name.lower().removesuffix(".gz")
    if name.endswith((".hdr", ".img")):
        return list(pair_of(path))
    if name.endswith((".mhd", ".mha", ".nhdr", ".nrrd")) or _begins_as_nrrd(path):
        return [path, *_voxel_files(path)]
    return [path]


def digest(path: Path) -> str:
    """Return the SHA-256 of all that makes the image; each file is read once per process.

    In a folder the names count too: they order the slices of a stack.

    Raises:
        DataError: as `files_of`.
    """
    files = files_of(path)
    if len(files) == 1:
        return _of_file(files[0])
    base = path if path.is_dir() else path.parent
    names = [f.relative_to(base).as_posix() if f.is_relative_to(base) else f.name for f in files]
    lines = (f"{name} {_of_file(file)}\n" for name, file in zip(names, files, strict=True))
    return sha256("".join(lines).encode()).hexdigest()


def content_of(files: Mapping[str, Path]) -> Content:
    """Return what two cases have in common if one is a copy of the other, whatever the names.

    Raises:
        DataError: as `files_of`.
    """
    return tuple(
        (role, tuple(sorted(map(_of_file, files_of(path))))) for role, path in sorted(files.items())
    )


def _begins_as_nrrd(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(4) == b"NRRD"


def _voxel_files(header: Path) -> list[Path]:
    """Return the files with voxels that a NRRD or MetaImage header names; none if it holds them."""
    keys = read_keys(header)
    stated = next((keys[k] for k in DATA_KEYS if k in keys), "LOCAL")
    if stated.upper() == "LOCAL":
        return []
    if stated.upper().startswith("LIST"):
        names = _listed(header)
    elif "%" in stated:
        names = _numbered(header, stated)
    else:
        names = [stated]
    files = [header.parent / name for name in names]
    for file in files:
        if not file.is_file():
            raise bad(
                "missing_pair", header, expected=f"{file.name}, as the header says",
                found=f"no such file in {file.parent}", next_step="fetch both files of the pair",
            )  # fmt: skip
    return files


def _listed(header: Path) -> list[str]:
    """Return the names in the lines that follow ``LIST``."""
    with header.open("rb") as stream:
        text = stream.read(LONGEST_HEADER).decode("latin-1")
    _, _, names = re.split(r"(?im)^((?:element)?data ?file\s*[:=].*)$", text, maxsplit=1)
    return [line.strip() for line in names.splitlines() if line.strip()]


def _numbered(header: Path, stated: str) -> list[str]:
    """Return the names of ``slice%03d.raw 1 20 1``: a pattern, the first, the last, the step."""
    pattern, *numbers = stated.split()
    try:
        first, last, step = (int(n) for n in (*numbers[:2], *(numbers[2:3] or ["1"])))
        wanted = range(first, last + 1, step)
        if len(wanted) > MOST_FILES:
            raise ValueError(f"{len(wanted)} files")
        return [pattern % number for number in wanted]
    except (ValueError, TypeError) as error:
        raise bad(
            "unreadable", header, expected="a pattern with first and last number, such as "
            f"x%03d.raw 1 20 1, of at most {MOST_FILES} files", found=f"{stated!r} ({error})",
            next_step="correct the header, or fetch the files again",
        ) from error  # fmt: skip


def _of_file(path: Path) -> str:
    stat = path.stat()
    return _digest(path, stat.st_size, stat.st_mtime_ns, stat.st_ino)


@lru_cache(maxsize=65536)
def _digest(path: Path, size: int, modified: int, inode: int) -> str:
    # The stamp is part of the memo's key: a file that changes while we run is read again.
    whole = sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            whole.update(block)
    return whole.hexdigest()
