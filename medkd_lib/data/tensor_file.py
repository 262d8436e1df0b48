"""Tensors ↔ bytes in the safetensors format, without the copies that its library makes.

Format: eight bytes with the header's length, a JSON header padded with spaces to a multiple of
eight (dtype, shape and place of every tensor, and a free ``__metadata__``), then the tensors'
bytes, little-endian. Nothing in it is executed. Source: the format's own description; the tests
read with the library what is written here, and the other way round.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8,
    "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
NAMES = {dtype: name for name, dtype in DTYPES.items()}


# A model of a hundred thousand tensors has ten megabytes of names; more is damage.
LONGEST_HEADER = 1 << 26


@dataclass(frozen=True)
class Entry:
    """What lies under a key: tensors by name and a JSON-able note."""

    tensors: dict[str, Tensor]
    note: dict[str, object]


def pack(tensors: Mapping[str, Tensor], note: Mapping[str, object]) -> bytes:
    """Return the file's bytes.

    Args:
        tensors: contiguous, on the CPU.
        note: anything JSON can hold.

    Raises:
        KeyError: a dtype the format does not know (complex numbers).
    """
    header: dict[str, object] = {"__metadata__": {"note": json.dumps(dict(note))}}
    parts, place = [], 0
    # Wide numbers first: so each tensor starts at a multiple of its own width.
    for name, tensor in sorted(tensors.items(), key=lambda t: (-t[1].element_size(), t[0])):
        raw = tensor.reshape(-1).view(torch.uint8).numpy()
        header[name] = {
            "dtype": NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [place, place + raw.size],
        }
        parts.append(raw)
        place += raw.size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([len(text).to_bytes(8, "little"), text, *parts])


def unpack(stream: BinaryIO, seen: Callable[[Any], object] | None = None) -> Entry:
    """Return what `pack` was given, each tensor in memory of its own; nothing is copied twice.

    Args:
        stream: open for reading, at its beginning; unbuffered, or the bytes are copied twice.
        seen: told every byte on the way (a checksum's ``update``).

    Raises:
        ValueError: the bytes end early or contradict themselves.
    """
    length = stream.read(8)
    text = stream.read(min(int.from_bytes(length, "little"), LONGEST_HEADER))
    header = json.loads(text)
    if seen:
        seen(length + text)
    note = json.loads(header.pop("__metadata__", {}).get("note", "{}"))
    tensors, place = {}, 0
    for name, told in sorted(header.items(), key=lambda t: tuple(t[1]["data_offsets"])):
        first, end = told["data_offsets"]
        dtype = DTYPES[told["dtype"]]
        if first != place or end - first != math.prod(told["shape"]) * dtype.itemsize:
            raise ValueError(f"{name}: bytes {first} to {end} do not fit its shape")
        tensors[name], place = torch.empty(told["shape"], dtype=dtype), end
        raw = tensors[name].reshape(-1).view(torch.uint8).numpy()
        _fill(stream, raw, name)
        if seen:
            seen(raw)
    if stream.read(1):
        raise ValueError("bytes behind the last tensor")
    return Entry(tensors, note)


def _fill(stream: BinaryIO, raw: NDArray[np.uint8], name: str) -> None:
    # The system may hand over less than asked (2 GB at most in one call).
    done = 0
    while done < raw.size:
        got = stream.readinto(raw[done:])  # type: ignore[attr-defined]
        if not got:
            raise ValueError(f"{name}: the file ends early")
        done += got
