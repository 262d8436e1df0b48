"""Solution markers: what a student sees of an exercise, and what the solution shows.

A region between `# BEGIN SOLUTION` and `# END SOLUTION` becomes one line, `...`. A single statement
that ends with `# SOLUTION` becomes `name = ...` if it assigns a name, `...` otherwise.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

BEGIN = re.compile(r"^(\s*)# BEGIN SOLUTION\s*$")
END = re.compile(r"^\s*# END SOLUTION\s*$")
INLINE = re.compile(r"^(\s*)(\S.*?)\s*# SOLUTION\s*$")


class MarkerError(ValueError):
    """A solution marker is unbalanced, nested or not on a statement of its own.

    Args:
        line: the line inside the cell, from 1.
        message: what was expected and found.
    """

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def has_markers(source: str) -> bool:
    """Whether a cell carries any solution marker."""
    lines = source.splitlines()
    return any(BEGIN.match(x) or END.match(x) or INLINE.match(x) for x in lines)


def stub(source: str) -> str:
    """Give the student's version of a cell.

    Raises:
        MarkerError: markers unbalanced, nested, or an inline marker on half a statement.
    """
    kept: list[str] = []
    for number, line, role in _roles(source):
        if role == "begin":
            kept.append(_indent(line) + "...")
        elif role == "inline":
            kept.append(_blanked(number, line))
        elif role == "open":
            kept.append(line)
    return "\n".join(kept)


def solution(source: str) -> str:
    """Give the solved version of a cell: everything stays except the markers.

    Raises:
        MarkerError: as for `stub`.
    """
    kept: list[str] = []
    for number, line, role in _roles(source):
        if role == "inline":
            _blanked(number, line)  # the same markers must be legal in both versions
            kept.append(_without_marker(line))
        elif role in ("open", "solved"):
            kept.append(line)
    return "\n".join(kept)


def secret_lines(source: str) -> list[str]:
    """List the stripped, non-blank lines that only the solution may show."""
    return [
        _without_marker(line).strip()
        for _, line, role in _roles(source)
        if role in ("solved", "inline") and line.strip()
    ]


def blocked(source: str) -> str:
    """Rewrite inline markers as blocks, the only form that nbgrader reads."""
    kept: list[str] = []
    for number, line, role in _roles(source):
        if role == "inline":
            _blanked(number, line)
            indent = _indent(line)
            begin, end = f"{indent}# BEGIN SOLUTION", f"{indent}# END SOLUTION"
            kept += [begin, _without_marker(line), end]
        else:
            kept.append(line)
    return "\n".join(kept)


def unexplained_lines(source: str) -> list[tuple[int, str]]:
    """List stub lines, with their number in the stub, that the solution does not contain.

    A stub whose hints contradict its solution misleads a student; `...` alone is allowed.
    """
    solved = {line.strip() for line in solution(source).splitlines()}
    strangers = []
    for number, line in enumerate(stub(source).splitlines(), start=1):
        text = line.strip()
        start = text.removesuffix("...")
        grown = start != text and any(x.startswith(start) for x in solved)
        if text and text not in solved and not grown:
            strangers.append((number, text))
    return strangers


def _roles(source: str) -> Iterator[tuple[int, str, str]]:
    """Yield (line number, line, role); roles are open, begin, solved, end and inline."""
    begun = 0
    lines = source.splitlines()
    for number, line in enumerate(lines, start=1):
        if BEGIN.match(line):
            if begun:
                where = f"the solution begun on the cell's line {begun}"
                raise MarkerError(number, f"BEGIN SOLUTION inside {where}; end that first")
            begun = number
            yield number, line, "begin"
        elif END.match(line):
            if not begun:
                raise MarkerError(number, "END SOLUTION without a BEGIN SOLUTION above it")
            begun = 0
            yield number, line, "end"
        elif begun:
            if INLINE.match(line):
                where = f"the solution begun on the cell's line {begun}"
                raise MarkerError(number, f"inline # SOLUTION inside {where}")
            yield number, line, "solved"
        elif re.search(r"(BEGIN|END)\s+SOLUTION", line):
            raise MarkerError(
                number, f"not a marker: {line.strip()!r}; write '# BEGIN SOLUTION' on its own line"
            )
        else:
            yield number, line, "inline" if INLINE.match(line) else "open"
    if begun:
        raise MarkerError(begun, "BEGIN SOLUTION without an END SOLUTION below it")


def _blanked(number: int, line: str) -> str:
    """Replace the value of a one-line statement by `...`."""
    text = _without_marker(line).strip()
    try:
        statement = ast.parse(text).body[0]
    except SyntaxError as error:
        raise MarkerError(
            number, f"# SOLUTION must end a whole one-line statement, found {text!r}"
        ) from error
    if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
        # ast counts columns in UTF-8 bytes, and the field writes α and σ
        return _indent(line) + text.encode()[: statement.value.col_offset].decode() + "..."
    return _indent(line) + "..."


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def _without_marker(line: str) -> str:
    found = INLINE.match(line)
    return found.group(1) + found.group(2) if found else line
