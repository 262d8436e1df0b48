"""A spreadsheet of text cells, in the format that real releases bring their tables in.

No library that writes ``.xlsx`` is among the dependencies, and a table of words needs none: an
Office Open XML workbook is a zip of five small XML files.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from string import ascii_uppercase
from xml.sax.saxutils import escape

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_SHEETML = "application/vnd.openxmlformats-officedocument.spreadsheetml"

_FIXED = {
    "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types">'
    '<Default Extension="rels" '
    'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    f'<Override PartName="/xl/workbook.xml" ContentType="{_SHEETML}.sheet.main+xml"/>'
    f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{_SHEETML}.worksheet+xml"/>'
    "</Types>",
    "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="rId1" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/>'
    "</Relationships>",
    "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>'
    '<sheet name="Sheet1" sheetId="1" r:id="rId1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="rId1" Type="{_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/>'
    "</Relationships>",
}

SMALLEST_DATE = (1980, 1, 1, 0, 0, 0)
"""The zip format's first day: the bytes depend on the cells alone."""


def write_xlsx(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write one sheet of text.

    Args:
        path: file to write.
        header: first row.
        rows: the others, as long as the header.

    Raises:
        ValueError: a row of another length, or more columns than letters.
    """
    if len(header) > 26 or any(len(row) != len(header) for row in rows):
        raise ValueError(
            f"{path}: expected at most 26 columns and rows as long as the header, found "
            f"{len(header)} columns and rows of {sorted({len(row) for row in rows})}"
        )
    lines = [
        f'<row r="{number}">'
        + "".join(
            f'<c r="{column}{number}" t="inlineStr"><is><t>{escape(cell)}</t></is></c>'
            for column, cell in zip(ascii_uppercase, row, strict=False)
        )
        + "</row>"
        for number, row in enumerate([header, *rows], start=1)
    ]
    sheet = f'<worksheet xmlns="{_MAIN}"><sheetData>{"".join(lines)}</sheetData></worksheet>'
    with zipfile.ZipFile(path, "w") as book:
        for name, content in {**_FIXED, "xl/worksheets/sheet1.xml": sheet}.items():
            entry = zipfile.ZipInfo(name, SMALLEST_DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            book.writestr(entry, _HEAD + content)
