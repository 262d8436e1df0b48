"""DICOM files of one series, quickly: what its slices share is encoded once.

pydicom encodes every element of every slice anew, which took most of the time of making a patient;
a file is only its elements' bytes in the order of their tags. Source: DICOM PS3.10, 7.1 (file meta
information), PS3.5, 7.1.2 (explicit VR little endian).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element

CHARACTERS = "ISO_IR 192"
"""Character set of all texts."""


def encoded(elements: Dataset) -> dict[int, bytes]:
    """Return the bytes of each element by its tag."""
    found = {}
    for element in elements:
        buffer = DicomBytesIO()
        buffer.is_little_endian, buffer.is_implicit_VR = True, False
        write_data_element(buffer, element, [CHARACTERS])
        found[int(element.tag)] = buffer.getvalue()
    return found


def short(tag: int, vr: str, value: str | bytes) -> bytes:
    """Encode one element whose length takes two bytes; text is padded to even length.

    Args:
        tag: group and element as one number.
        vr: value representation, one of the short ones.
        value: ASCII, several values divided by a backslash; or the bytes themselves.
    """
    content = value.encode("ascii") if isinstance(value, str) else value
    if len(content) % 2:
        content += b"\0" if vr == "UI" else b" "
    place = (tag >> 16).to_bytes(2, "little") + (tag & 0xFFFF).to_bytes(2, "little")
    return place + vr.encode("ascii") + len(content).to_bytes(2, "little") + content


def write_encoded(
    path: Path, meta: Mapping[int, bytes], elements: Mapping[int, bytes], pixels: bytes
) -> None:
    """Write a file from encoded elements, its pixels of 16 bits last.

    Args:
        path: file to write.
        meta: of the file meta information, its length left out.
        elements: of the data set.
        pixels: little endian.
    """
    head = b"".join(meta[tag] for tag in sorted(meta))
    length = short(0x00020000, "UL", len(head).to_bytes(4, "little"))
    body = b"".join(elements[tag] for tag in sorted(elements))
    # OW has two reserved bytes and a length of four
    last = b"\xe0\x7f\x10\x00OW\0\0" + len(pixels).to_bytes(4, "little") + pixels
    path.write_bytes(b"\0" * 128 + b"DICM" + length + head + body + last)
