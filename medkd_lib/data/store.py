"""Content-addressed store of tensors on disk: atomic, shared by processes, verified on read.

One file per key holds the tensors (safetensors) and a little JSON; its name carries the SHA-256 of
its own bytes, so a half-written or damaged file is seen, reported and made anew.
"""

import hashlib
import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

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
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, key: str) -> Entry | None:
        """Return the entry under ``key``, or None if there is none that is whole."""
        for path in sorted(self.folder.glob(f"{key}.*.safetensors")):
            stated = path.name.split(".")[1]
            try:
                blob = path.read_bytes()
            except FileNotFoundError:
                continue  # another process has just replaced it
            if hashlib.sha256(blob).hexdigest()[:32] != stated:
                warnings.warn(f"{path}: damaged (checksum differs); making it anew", stacklevel=2)
                path.unlink(missing_ok=True)
                continue
            tensors = load(blob)
            # The header: eight bytes of length, then JSON.
            header = json.loads(blob[8 : 8 + int.from_bytes(blob[:8], "little")])
            return Entry(tensors, json.loads(header.get("__metadata__", {}).get("note", "{}")))
        return None

    def put(
        self, key: str, tensors: Mapping[str, Tensor], note: Mapping[str, object] | None = None
    ) -> Entry:
        """Write an entry atomically; two processes that write the same key both succeed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        whole = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
        blob = save(whole, {"note": json.dumps(dict(note or {}))})
        path = self.folder / f"{key}.{hashlib.sha256(blob).hexdigest()[:32]}.safetensors"
        write_whole(path, blob)
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


def store(room: str) -> TensorStore:
    """Return the user's store named ``room`` (``images``, ``models``) in the medkd home."""
    return TensorStore(medkd_home() / "store" / room)
