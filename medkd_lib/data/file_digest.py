"""What a path stands for on disk, and the SHA-256 of it: one image may be several files."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from medkd_lib.data.analyze import pair_of
from medkd_lib.data.itk_files import DATA_KEYS, read_keys
from medkd_lib.data.problems import bad

Content = tuple[tuple[str, tuple[str, ...]], ...]
"""Each role with the hashes of its files."""


def files_of(path: Path) -> list[Path]:
    """Return every file whose bytes make the image at ``path``, in a stable order.

    A folder: all files in it. ``.hdr`` or ``.img``: both of the pair. NRRD and MetaImage: the
    header and the file of voxels that it names. Anything else: the file itself.

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
    lines = (f"{file.relative_to(base).as_posix()} {_of_file(file)}\n" for file in files)
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
    """Return the file beside a NRRD or MetaImage header that holds the voxels, if it is not itself.

    Lists, patterns and other folders are refused by the reader.
    """
    keys = read_keys(header)
    name = next((keys[key] for key in DATA_KEYS if key in keys), "LOCAL").removeprefix("./")
    if name.upper() == "LOCAL" or Path(name).name != name:
        return []
    beside = header.parent / name
    return [beside] if beside.is_file() else []


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
