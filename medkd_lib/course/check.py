"""Check a master against what a reader needs: errors for what breaks, warnings for what tires."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from medkd_lib.course.build import build_lesson
from medkd_lib.course.master import PROFILES, Cell, Master, read_master
from medkd_lib.course.structure import Finding, Severity, found, leaks, structure

CELLS = 50
LINES_WARN, LINES_ERROR = 25, 40
PROSE = (0.35, 0.65)
CARD = {
    "question": r"\*\*Question",
    "paper": r"\*\*Paper",
    "data and licence": r"\*\*Data and licen[cs]e",
    "budget": r"\*\*Budget",
}
_IMAGE = re.compile(r"!\[([^\]]*)\]\(")
_HTML_IMAGE = re.compile(r"<img\b[^>]*>", re.IGNORECASE)
_ALT = re.compile(r"""\balt\s*=\s*["'][^"']+["']""", re.IGNORECASE)
_LINKED_PATH = re.compile(r"\]\((/[^)]*|[A-Za-z]:[\\/][^)]*)\)")
_PATH = re.compile(r"^(/[\w.-]+(/|$)|[A-Za-z]:[\\/]|~(/|$)|file://)")


def check_notebook(master: Path) -> list[Finding]:
    """List what to mend in a master, errors first; see `structure` for the exercises' part.

    Raises:
        MasterError: the file cannot be read as cells at all.
    """
    read = read_master(master)
    findings = structure(read)
    if not findings:  # a lesson with broken markers cannot be built
        findings += leaks(read, build_lesson(master))
    findings += [*_card(read), *_parameters(read), *_size(read)]
    for cell in read.cells:
        findings += _prose(read, cell) if cell.kind == "markdown" else _code(read, cell)
    return sorted(findings, key=lambda f: (f.severity, f.line))


def check_all(notebooks_dir: Path) -> list[Finding]:
    """List what to mend in every master of a notebooks folder."""
    masters = sorted((notebooks_dir / "masters").glob("[0-9]*.py"))
    return [finding for master in masters for finding in check_notebook(master)]


def _card(master: Master) -> Iterator[Finding]:
    card = master.cells[0]
    if card.kind != "markdown" or not card.source.startswith("# "):
        yield found(master, card, "the first cell must be the card: a title under one '#'")
        return
    for field, pattern in CARD.items():
        if not re.search(pattern, card.source, re.IGNORECASE):
            yield found(master, card, f"the card lacks its {field}: add a line **{field.title()}**")
    missing = [profile for profile in PROFILES if profile not in master.budgets]
    if missing:
        text = f"no budget for {', '.join(missing)}; write 'smoke ≤ 60 s · lesson ≤ 4 min · …'"
        yield found(master, card, text)


def _parameters(master: Master) -> Iterator[Finding]:
    cells = master.tagged("parameters")
    if len(cells) != 1:
        yield found(
            master,
            master.cells[0],
            f'expected one cell tagged "parameters", found {len(cells)}',
        )
        return
    after = [c for c in master.cells if c.number > cells[0].number][:1]
    if not after or after[0].kind != "code" or "resolve(" not in after[0].source:
        text = (
            "the next cell must call resolve(...): parameters are checked before anything uses them"
        )
        yield found(master, cells[0], text)


def _size(master: Master) -> Iterator[Finding]:
    shown = [c for c in master.cells if "hidden-check" not in c.tags]
    card = master.cells[0]
    if len(shown) > CELLS:
        text = f"{len(shown)} cells; a lesson reads well with about 45"
        yield found(master, card, text, severity="warning")
    share = sum(c.kind == "markdown" for c in shown) / len(shown)
    if not PROSE[0] <= share <= PROSE[1]:
        text = f"{share:.0%} of the cells are prose; about half reads well"
        yield found(master, card, text, severity="warning")
    for cell in shown:
        lines = [x for x in cell.source.splitlines() if x.strip()]
        if cell.kind == "code" and len(lines) > LINES_WARN:
            text = f"{len(lines)} lines; keep to {LINES_WARN}, long loops belong in the library"
            severe: Severity = "error" if len(lines) > LINES_ERROR else "warning"
            yield found(master, cell, text, severity=severe)


def _prose(master: Master, cell: Cell) -> Iterator[Finding]:
    for number, line in enumerate(cell.source.splitlines(), start=1):
        markdown = [m for m in _IMAGE.finditer(line) if not m.group(1).strip()]
        html = [m for m in _HTML_IMAGE.finditer(line) if not _ALT.search(m.group(0))]
        if markdown or html:
            yield found(master, cell, "an image without alt text: ![what it shows](…)", number)
        if path := _LINKED_PATH.search(line):
            text = f"an absolute path, {path.group(1)!r}: write it relative to the notebook"
            yield found(master, cell, text, number)


def _code(master: Master, cell: Cell) -> Iterator[Finding]:
    lines = cell.source.splitlines()
    for number, line in enumerate(lines, start=1):
        if line.lstrip().startswith(("!", "%")):
            text = f"{line.strip()!r} is no Python: magics break the plain script"
            yield found(master, cell, text, number)
        if re.search(r"\bpip3?\s+install\b", line):
            text = "no pip install in a notebook: name the package in environment.yml"
            yield found(master, cell, text, number)
    try:
        tree = ast.parse(cell.source)
    except SyntaxError as error:
        if not any(line.lstrip().startswith(("!", "%")) for line in lines):
            yield found(master, cell, f"not valid Python: {error.msg}", error.lineno or 1)
        return
    for node in ast.walk(tree):
        message = _complaint(node)
        if message:
            yield found(master, cell, message, getattr(node, "lineno", 1))


def _complaint(node: ast.AST) -> str | None:
    match node:
        case ast.ExceptHandler(type=None):
            return "a bare except hides every error: name the exception"
        case ast.Constant(value=str(text)) if _PATH.match(text):
            return f"an absolute path, {text!r}: no other machine has it"
        case ast.Call(func=ast.Name(id="get_ipython")):
            return "get_ipython() does not exist in the plain script"
        case ast.Call(func=ast.Attribute(value=ast.Name(id="plt" | "pyplot"), attr="show")):
            return (
                'a bare plt.show(): use show(fig, alt="what the figure shows") from medkd_lib.show'
            )
        case ast.Call(func=ast.Name(id="show") | ast.Attribute(attr="show"), keywords=keywords):
            alt = next((k.value for k in keywords if k.arg == "alt"), None)
            if alt is None or (isinstance(alt, ast.Constant) and not alt.value):
                return 'a figure without alt text: show(fig, alt="what the figure shows")'
    return None
