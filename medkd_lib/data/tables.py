"""Delimited text tables as they come from hospitals and spreadsheets: text in, rows of text out.

Cells are never converted: a patient ``007`` stays ``007``. What cannot be read with certainty is
an error that says what to try.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from medkd_lib.data.problems import DataError, bad

SPREADSHEETS = {b"PK\x03\x04": "an .xlsx/.ods file", b"\xd0\xcf\x11\xe0": "an old .xls file"}
DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
UTF8_MARK = b"\xef\xbb\xbf"


def read_table(
    path: Path,
    *,
    delimiter: str = ",",
    encoding: str = "utf-8",
    required: Sequence[str] = (),
    unique: str | None = None,
) -> list[dict[str, str]]:
    """Return the rows of a delimited text file, each as column → cell.

    Empty lines are skipped; a byte order mark is removed.

    Args:
        path: the file.
        delimiter: one character.
        encoding: as stated by the origin; ``cp1252`` for Windows, ``latin-1`` for older systems.
        required: columns that must be there.
        unique: column whose cells may not repeat (a patient or case id).

    Raises:
        DataError: kinds ``missing_file``, ``empty_file``, ``not_text``, ``nul_bytes``,
            ``unknown_encoding``, ``wrong_encoding``, ``wrong_delimiter``, ``duplicate_column``,
            ``missing_column``, ``ragged_row``, ``damaged_table``, ``empty_table``,
            ``duplicate_key``.
    """
    rows = _cells(path, _text(path, encoding), delimiter)
    if not rows:
        raise bad(
            "empty_file", path, expected="a header and rows", found="blank lines only",
            next_step="fetch the table again",
        )  # fmt: skip
    (_, header), body = rows[0], rows[1:]
    _check_header(path, header, delimiter, [*required, *([unique] if unique else [])])
    for line, cells in body:
        if len(cells) != len(header):
            raise bad(
                "ragged_row", f"{path} line {line}",
                expected=f"{len(header)} cells, as in the header",
                found=f"{len(cells)}: {cells[:4]}",
                next_step="put quotes around cells that hold the delimiter, or fill the row",
            )  # fmt: skip
    if not body:
        raise bad(
            "empty_table", path, expected="rows under the header", found="none",
            next_step="fetch the table again",
        )  # fmt: skip
    if unique:
        _check_unique(path, [(line, cells[header.index(unique)]) for line, cells in body], unique)
    return [dict(zip(header, cells, strict=True)) for _, cells in body]


def _text(path: Path, encoding: str) -> str:
    if not path.is_file():
        raise bad(
            "missing_file", path, expected="a table", found="no such file",
            next_step="check data_root and the manifest's layout",
        )  # fmt: skip
    raw = path.read_bytes()
    if not raw:
        raise bad(
            "empty_file", path, expected="a header and rows", found="0 bytes",
            next_step="fetch the table again",
        )  # fmt: skip
    for magic, kind in SPREADSHEETS.items():
        if raw.startswith(magic):
            raise bad(
                "not_text", path, expected="delimited text", found=kind,
                next_step="open it in a spreadsheet program and save it as CSV (UTF-8)",
            )  # fmt: skip
    marked16 = raw.startswith(UTF16_MARKS)
    try:
        wide = "16" in encoding or "32" in encoding
        if not wide and (marked16 or b"\0" in raw):
            raise bad(
                "nul_bytes", path, expected=f"text in {encoding}",
                found="a UTF-16 mark" if marked16 else f"a NUL at byte {raw.index(0)}",
                next_step="state encoding utf-16 if the origin says so; else the file is damaged",
            )  # fmt: skip
        if raw.startswith(UTF8_MARK):
            raw, encoding = raw[len(UTF8_MARK) :], "utf-8"  # the mark outranks the statement
        return raw.decode(encoding)
    except LookupError as error:
        raise bad(
            "unknown_encoding", path, expected="an encoding Python knows", found=repr(encoding),
            next_step="try utf-8, cp1252, latin-1 or utf-16",
        ) from error  # fmt: skip
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise bad(
            "wrong_encoding", path, expected=f"text in {encoding}",
            found=f"byte 0x{raw[error.start]:02x} at position {error.start} (line {line})",
            next_step="ask the origin for the encoding, or try cp1252, then latin-1",
        ) from error  # fmt: skip


def _cells(path: Path, text: str, delimiter: str) -> list[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows = []
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                rows.append((reader.line_num, cells))
    except csv.Error as error:
        raise _damaged(path, reader.line_num, error) from error
    return rows


def _damaged(path: Path, line: int, error: csv.Error) -> DataError:
    return bad(
        "damaged_table", f"{path} line {line}", expected="balanced quotes", found=str(error),
        next_step="look for a quote that is never closed, or a file that ends too early",
    )  # fmt: skip


def _check_header(path: Path, header: list[str], delimiter: str, needed: Sequence[str]) -> None:
    missing = [name for name in needed if name not in header]
    others = [d for d in DELIMITERS if d != delimiter and d in header[0]]
    if len(header) == 1 and others and (missing or not needed):
        best = max(others, key=header[0].count)
        raise bad(
            "wrong_delimiter", path,
            expected=f"columns divided by {DELIMITERS.get(delimiter, repr(delimiter))}",
            found=f"one column, {header[0][:60]!r}",
            next_step=f"state the delimiter {best!r} ({DELIMITERS[best]})",
        )  # fmt: skip
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise bad(
            "duplicate_column", path, expected="one column of each name", found=f"{twice} twice",
            next_step="rename one of them",
        )  # fmt: skip
    if missing:
        folded = {name.strip().casefold(): name for name in header}
        near = get_close_matches(missing[0].strip().casefold(), folded, n=1)
        hint = f"; nearest is {folded[near[0]]!r}" if near else ""
        raise bad(
            "missing_column", path, expected=f"a column {missing[0]!r}", found=f"{header}{hint}",
            next_step="correct the column's name in the manifest",
        )  # fmt: skip


def _check_unique(path: Path, keys: Sequence[tuple[int, str]], column: str) -> None:
    seen: dict[str, int] = {}
    for line, key in keys:
        if key in seen:
            raise bad(
                "duplicate_key", path, expected=f"each {column} once",
                found=f"{key!r} in lines {seen[key]} and {line}",
                next_step="keep one of the rows, or name a column that is unique",
            )  # fmt: skip
        seen[key] = line
