"""The files of one DICOM series, read quickly: what its slices share is converted once.

Slices differ in a handful of elements, yet pydicom parses and converts every element of every one:
most of the time of reading a series. Here a file is split into raw elements, and an element whose
bytes are those of the series' first file is that file's. Only plain files are read so (explicit VR,
little endian, no undefined length, nothing cut off); for all others, `read` returns None and
pydicom decides what they are. Source: DICOM PS3.5, 7.1 (elements) and PS3.10, 7.1 (files).
"""

from __future__ import annotations

from collections.abc import Iterator, MutableSequence
from pathlib import Path
from struct import Struct
from typing import cast

from pydicom import FileDataset
from pydicom.charset import convert_encodings, default_encoding
from pydicom.dataelem import (
    DataElement,
    RawDataElement,
    convert_raw_data_element,
    empty_value_for_VR,
)
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.tag import BaseTag
from pydicom.uid import ExplicitVRLittleEndian
from pydicom.valuerep import EXPLICIT_VR_LENGTH_16, EXPLICIT_VR_LENGTH_32

SHORT = {vr.value.encode(): vr.value for vr in EXPLICIT_VR_LENGTH_16}
LONG = {vr.value.encode(): vr.value for vr in EXPLICIT_VR_LENGTH_32}
"""Value representations whose lengths take two and four bytes (PS3.5, 7.1.2)."""

CHARACTER_SET, TRANSFER_SYNTAX = BaseTag(0x00080005), BaseTag(0x00020010)
META, DELIMITERS = 0x0002, 0xFFFE
UNDEFINED = 0xFFFFFFFF
EMPTY = {
    vr: cast("bytes | None", empty_value_for_VR(vr, raw=True))
    for vr in (*SHORT.values(), *LONG.values())
}
"""What pydicom has for a raw element without content."""
PLAIN = ExplicitVRLittleEndian.encode()
_START, _WIDE = Struct("<HH2sH"), Struct("<L")

Raw = dict[BaseTag, RawDataElement]
Elements = dict[BaseTag, DataElement | RawDataElement]


class SeriesReader:
    """Reads the plain files of one folder; the first that is kept lends its elements.

    Attributes:
        own: tags of the latest file that it does not share with the kept one: of other bytes, or in
            one of the two alone; None if nothing was kept or the file was not plain.
    """

    def __init__(self) -> None:
        self.own: set[int] | None = None
        self._raw: Raw = {}
        self._kept: Elements = {}
        self._latest: tuple[Dataset, Raw] | None = None
        self._encodings: str | MutableSequence[str] = default_encoding

    def read(self, path: Path) -> FileDataset | None:
        """Return the data set as ``pydicom.dcmread`` does, or None if the file is not plain."""
        self.own = self._latest = None
        content = path.read_bytes()
        split = _split(content)
        if split is None:
            return None
        meta, raw = split
        # Text of another character set may have the same bytes and say something else.
        alike = bool(self._kept) and _same(raw.get(CHARACTER_SET), self._raw.get(CHARACTER_SET))
        if alike:
            elements: Elements = {
                tag: self._kept[tag] if _same(element, self._raw.get(tag)) else element
                for tag, element in raw.items()
            }
            self.own = {int(t) for t, e in elements.items() if e is not self._kept.get(t)}
            self.own.update(int(t) for t in self._kept.keys() - raw.keys())
        else:
            elements = dict(raw)
            self._encodings = _encodings(raw)
        header = FileDataset(
            path, elements, content[:128], FileMetaDataset(Elements(meta)), False, True
        )
        header.set_original_encoding(False, True, self._encodings)
        self._latest = header, raw
        return header

    def keep(self, header: Dataset) -> None:
        """Let later files share what was converted in this one, if it is the first."""
        if not self._kept and self._latest is not None and self._latest[0] is header:
            self._raw = self._latest[1]
            self._kept = {tag: header.get_item(tag) for tag in self._raw}


def _same(one: RawDataElement | None, other: RawDataElement | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.value == other.value and one.VR == other.VR


def _split(content: bytes) -> tuple[Raw, Raw] | None:
    """Return file meta information and data set, or None if the file is not plain."""
    if content[128:132] != b"DICM":
        return None
    meta: Raw = {}
    raw: Raw = {}
    for element in _elements(content):
        if element is None:
            return None
        (meta if element.tag >> 16 == META else raw)[element.tag] = element
    syntax = meta.get(TRANSFER_SYNTAX)
    if syntax is None or (syntax.value or b"").rstrip(b"\0") != PLAIN:
        return None
    return meta, raw


def _elements(content: bytes) -> Iterator[RawDataElement | None]:
    """Yield the elements of a file in turn, and None where it stops being plain."""
    at, end = 132, len(content)
    while at < end:
        if end - at < _START.size:
            yield None
            return
        group, number, code, length = _START.unpack_from(content, at)
        at += 8
        if (vr := SHORT.get(code)) is None:
            if (vr := LONG.get(code)) is None or end - at < 4:
                yield None
                return
            length = _WIDE.unpack_from(content, at)[0]
            at += 4
        if group == DELIMITERS or length == UNDEFINED or at + length > end:
            yield None
            return
        value = content[at : at + length] if length else EMPTY[vr]
        yield RawDataElement(
            BaseTag(group << 16 | number), vr, length, value, at, False, True
        )  # fmt: skip
        at += length


def _encodings(raw: Raw) -> str | MutableSequence[str]:
    element = raw.get(CHARACTER_SET)
    if element is None:
        return default_encoding
    return convert_encodings(convert_raw_data_element(element).value)
