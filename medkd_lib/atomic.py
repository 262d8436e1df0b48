"""Write a file or a folder so that a reader finds the old or the whole new one, never a half."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_whole(path: Path, content: bytes, *, durable: bool = True) -> Path:
    """Write ``content`` beside ``path`` and rename; nothing is left behind if that fails.

    Args:
        path: the file; its folder must exist.
        content: all bytes of the file.
        durable: wait for the disk, so that the file survives a power cut.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".part-")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            if durable:
                stream.flush()
                os.fsync(stream.fileno())
        # mkstemp makes private files; results are shared like any other file.
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path


def is_free(out: Path) -> bool:
    """Whether a folder may be built at ``out``: nothing is there, or an empty folder."""
    return not out.exists() or (out.is_dir() and not any(out.iterdir()))


def check_free(out: Path) -> None:
    """Refuse a target that holds something.

    Raises:
        FileExistsError: if ``out`` exists and is not an empty folder.
    """
    if not is_free(out):
        raise FileExistsError(
            f"{out}: expected no such path or an empty folder, found content; "
            "choose another folder or remove this one"
        )


@contextmanager
def build_folder(out: Path) -> Iterator[Path]:
    """Yield a hidden folder beside ``out``: renamed to ``out`` at the end, gone after a failure.

    Nobody ever sees half a set, not even after a power cut.

    Args:
        out: folder to create with its parents; an existing empty folder is replaced.

    Raises:
        FileExistsError: if ``out`` exists and is not an empty folder.
    """
    check_free(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{out.name}-building-", dir=out.parent))
    try:
        yield building
        building.chmod(0o755)  # mkdtemp makes it private
        if out.exists():
            out.rmdir()
        building.rename(out)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
