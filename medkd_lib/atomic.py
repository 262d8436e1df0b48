"""Write a file so that a reader finds the old one or the whole new one, never a half."""

import os
import tempfile
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
