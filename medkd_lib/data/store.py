"""Content-addressed store of tensors on disk: atomic, shared by processes, verified on read.

One file per key holds the tensors (safetensors) and a little JSON; its name carries the SHA-256 of
its own bytes, so a half-written or damaged file is seen, reported and made anew.
"""

import hashlib
import json
import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from medkd_lib.atomic import write_whole
from medkd_lib.home import medkd_home


@dataclass(frozen=True)
class Entry:
    """What lies under a key: tensors by name and a JSON-able note."""

    tensors: dict[str, Tensor]
    note: dict[str, object]


def key_of(**parts: object) -> str:
    """Return the key (32 hex digits) of everything the stored value depends on."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class TensorStore:
    """A folder of entries; safe with several workers and processes.

    Args:
        folder: where the entries lie; made when first written.
        durable: wait for the disk at every write. Entries that are cheap to make anew need not:
            a half-written one is found by its checksum.
    """

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        self.folder = folder
        self.durable = durable
        # Name → size, time and inode of the entries that were whole when read.
        self._whole: dict[str, tuple[int, int, int]] = {}

    def get(self, key: str) -> Entry | None:
        """Return the entry under ``key``, or None if there is none that is whole."""
        for path in sorted(self.folder.glob(f"{key}.*.safetensors")):
            try:
                with path.open("rb") as stream:
                    stamp = _stamp(stream.fileno())
                    blob = stream.read()
                # What this process has read whole and nobody has touched since is not hashed again.
                if self._whole.get(path.name) != stamp:
                    _require_whole(blob, path)
                entry = Entry(load(blob), _note(blob))
            except FileNotFoundError:
                continue  # another process has just replaced it
            except (ValueError, SafetensorError) as error:
                warnings.warn(f"{path}: damaged ({error}); making it anew", stacklevel=2)
                path.unlink(missing_ok=True)
                continue
            self._whole[path.name] = stamp
            return entry
        return None

    def put(
        self, key: str, tensors: Mapping[str, Tensor], note: Mapping[str, object] | None = None
    ) -> Entry:
        """Write an entry atomically; two processes that write the same key both succeed.

        Raises:
            OSError: the disk is full or the folder cannot be written; nothing is left behind.
        """
        whole = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
        blob = save(whole, {"note": json.dumps(dict(note or {}))})
        path = self.folder / f"{key}.{hashlib.sha256(blob).hexdigest()[:32]}.safetensors"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_whole(path, blob, durable=self.durable)
        except OSError as error:
            raise type(error)(
                error.errno,
                f"{error.strerror}: {len(blob) / 1e6:.1f} MB could not be written to the cache "
                f"{self.folder}; free space there, or let MEDKD_HOME name another folder",
            ) from error
        for older in self.folder.glob(f"{key}.*.safetensors"):
            if older != path:
                older.unlink(missing_ok=True)
        return Entry(whole, dict(note or {}))

    def get_or_make(
        self, key: str, make: Callable[[], tuple[Mapping[str, Tensor], Mapping[str, object]]]
    ) -> Entry:
        """Return the entry under ``key``; make and keep it if there is none."""
        entry = self.get(key)
        return entry if entry is not None else self.put(key, *make())


def _require_whole(blob: bytes, path: Path) -> None:
    if hashlib.sha256(blob).hexdigest()[:32] != path.name.split(".")[1]:
        raise ValueError("its checksum differs")


def _note(blob: bytes) -> dict[str, object]:
    # The header: eight bytes of length, then JSON.
    header = json.loads(blob[8 : 8 + int.from_bytes(blob[:8], "little")])
    note = json.loads(header.get("__metadata__", {}).get("note", "{}"))
    return note if isinstance(note, dict) else {}


def _stamp(descriptor: int) -> tuple[int, int, int]:
    stat = os.fstat(descriptor)
    return stat.st_size, stat.st_mtime_ns, stat.st_ino


def store(room: str, *, durable: bool = True) -> TensorStore:
    """Return the user's store named ``room`` (``images``, ``volumes``, ``models``)."""
    return TensorStore(medkd_home() / "store" / room, durable=durable)
