"""Whether a master's exercises hold together: markers, names, checks, and nothing that leaks."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nbformat import NotebookNode

from medkd_lib.course import questions, stubs
from medkd_lib.course.master import Cell, Master

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Finding:
    """One thing to mend in a master: where, how bad, and what to do.

    Args:
        severity: an error breaks a reader or a grade, a warning is advice.
        cell: the cell's place in the master from 1; 0 for the whole master.
        message: what was expected, what was found, what to do.
        path: the file.
        line: the line of the file, from 1.
    """

    severity: Severity
    cell: int
    message: str
    path: Path
    line: int = 1

    def __str__(self) -> str:
        """Give the form an editor can jump to."""
        return f"{self.path}:{self.line} (cell {self.cell}): {self.severity}: {self.message}"


def found(
    master: Master, cell: Cell, message: str, line: int = 1, severity: Severity = "error"
) -> Finding:
    """Make a finding about a line inside a cell."""
    return Finding(severity, cell.number, message, master.path, cell.line + line - 1)


def structure(master: Master) -> list[Finding]:
    """List everything about the exercises that would break a build, a lesson or a grade."""
    findings = [f for cell in master.cells for f in _markers(master, cell)]
    findings += [f for cell in master.cells for f in _belonging(master, cell)]
    if findings:  # what follows reads checks, and needs them readable
        return findings
    return [*_checks(master), *_names(master)]


def leaks(master: Master, lesson: NotebookNode) -> list[Finding]:
    """List the cells of a lesson that show a line of a solution or of a hidden check.

    A line that the master also shows openly (an `else:`, an import, a given example) is no secret.
    """
    hidden = [c for c in master.cells if "hidden-check" in c.tags]
    secret = {line.strip() for c in hidden for line in c.source.splitlines()}
    for cell in master.cells:
        secret.update(stubs.secret_lines(cell.source) if cell.kind == "code" else ())
    shown = {
        line.strip()
        for cell in master.cells
        if "hidden-check" not in cell.tags
        for line in (stubs.stub(cell.source) if cell.kind == "code" else cell.source).splitlines()
    }
    findings = []
    for number, node in enumerate(lesson.cells, start=1):
        for line in node.source.splitlines():
            if line.strip() in secret - shown:
                text = f"the lesson shows {line.strip()!r}, a line of a solution or hidden check"
                findings.append(Finding("error", number, f"{text}; build it again", master.path))
    return findings


def _markers(master: Master, cell: Cell) -> Iterator[Finding]:
    if cell.kind != "code":
        return
    try:
        marked = stubs.has_markers(cell.source)
        strangers = stubs.unexplained_lines(cell.source)
        solved, shown = stubs.solution(cell.source), stubs.stub(cell.source)
    except stubs.MarkerError as error:
        yield found(master, cell, str(error), error.line)
        return
    if marked and "exercise" not in cell.tags:
        yield found(master, cell, 'a solution outside an exercise: tag the cell tags=["exercise"]')
    if "exercise" in cell.tags and not marked:
        yield found(master, cell, "an exercise without a solution: mark it '# BEGIN SOLUTION'")
    for _, line in strangers:
        yield found(master, cell, f"the stub shows {line!r}, which the solution does not contain")
    for name, text in (("solution", solved), ("stub", shown)):
        try:
            ast.parse(text)
        except SyntaxError as error:
            if "exercise" in cell.tags:
                yield found(master, cell, f"the {name} is not valid Python: {error.msg}")


def _belonging(master: Master, cell: Cell) -> Iterator[Finding]:
    role = next((t for t in cell.tags if t in ("exercise", *questions.TAGS)), None)
    if role is None:
        return
    if cell.exercise is None:
        yield found(master, cell, f'a {role} cell without an exercise: add exercise="q1" behind it')
        return
    if role == "exercise":
        if not master.tagged("check", cell.exercise):
            yield found(master, cell, f"{cell.exercise} has no visible check: add a check cell")
        return
    if cell.exercise not in master.exercises:
        known = ", ".join(master.exercises) or "none"
        yield found(master, cell, f"unknown exercise {cell.exercise!r}; this master has: {known}")
    try:
        checks = questions.checks_of(cell)
    except questions.QuestionError as error:
        yield found(master, cell, str(error), error.line)
        return
    for check in checks:
        if check.exercise != cell.exercise:
            text = f"{check.name} says {check.exercise!r} in a cell of {cell.exercise!r}"
            yield found(master, cell, text, check.line)
        if not check.hint:
            text = f"{check.name} has no docstring: the student gets it as the hint"
            yield found(master, cell, text, check.line)
        if check.points <= 0:
            yield found(master, cell, f"{check.name} must be worth points", check.line)
        arguments = [a.arg for a in check.function.args.args]
        if arguments not in ([check.student], [check.student, "secret"]):
            text = f"{check.name} must take ({check.student}) or ({check.student}, secret)"
            yield found(master, cell, text, check.line)


def _checks(master: Master) -> Iterator[Finding]:
    seen: set[tuple[str, str]] = set()
    for cell in (c for c in master.cells if set(questions.TAGS) & set(c.tags)):
        for check in questions.checks_of(cell):
            if (check.exercise, check.name) in seen:
                text = f"a second check named {check.name} in {check.exercise}: rename one"
                yield found(master, cell, text, check.line)
            seen.add((check.exercise, check.name))


def _names(master: Master) -> Iterator[Finding]:
    """Find names unknown to a grader: it runs the setup, one exercise and its checks alone."""
    given = questions.names_defined(questions.setup_source(master))
    advice = f'define it there or in a cell tagged "{questions.SETUP}"'
    for cell in master.cells:
        if set(questions.TAGS) & set(cell.tags):
            for check in questions.checks_of(cell):
                for name in sorted(questions.names_needed(ast.unparse(check.function)) - given):
                    yield found(master, cell, f"{check.name} needs {name!r}; {advice}", check.line)
        elif "exercise" in cell.tags:
            for name in sorted(questions.names_needed(stubs.solution(cell.source)) - given):
                yield found(master, cell, f"the solution needs {name!r}; {advice}")
