"""Read the checks of a master: who is asked what, for how many points, openly or hidden."""

from __future__ import annotations

import ast
import builtins
import symtable
from dataclasses import dataclass

from medkd_lib.course.master import Cell, Master

TAGS = {"check": False, "hidden-check": True}
"""The tag of a check cell, and whether its checks are hidden."""

SETUP = "exercise-setup"
"""The tag of the cells that hold the imports and small objects every check may use."""


class QuestionError(ValueError):
    """A check cannot be read; `line` counts inside its cell, from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True)
class Check:
    """One check of one exercise.

    Args:
        exercise: the exercise's name, for example `"q1"`.
        name: the check function's name.
        student: the name of what the student writes.
        points: what the check is worth.
        hidden: whether students never see it.
        hint: its docstring on one line.
        function: the function itself, without its decorator.
        line: where it starts inside its cell, from 1.
    """

    exercise: str
    name: str
    student: str
    points: float
    hidden: bool
    hint: str
    function: ast.FunctionDef
    line: int

    @property
    def takes_secret(self) -> bool:
        """Whether it asks for a secret to draw fresh inputs from."""
        return any(argument.arg == "secret" for argument in self.function.args.args)


def checks_of(cell: Cell) -> list[Check]:
    """Read the checks of one cell.

    Raises:
        QuestionError: the cell is no Python, or holds anything but decorated check functions.
    """
    try:
        statements = ast.parse(cell.source).body
    except SyntaxError as error:
        raise QuestionError(error.lineno or 1, f"not valid Python: {error.msg}") from error
    return [_read(cell, statement) for statement in statements]


def checks_in(master: Master, exercise: str | None = None) -> list[Check]:
    """List every check of a master in order, of one exercise if it is named.

    Raises:
        QuestionError: as for `checks_of`.
    """
    cells = [c for c in master.cells if set(TAGS) & set(c.tags)]
    checks = [check for cell in cells for check in checks_of(cell)]
    return [c for c in checks if exercise in (None, c.exercise)]


def setup_source(master: Master) -> str:
    """Join the text of all `exercise-setup` cells."""
    return "\n\n".join(cell.source for cell in master.tagged(SETUP))


def names_defined(source: str) -> set[str]:
    """List the names that a piece of Python binds at its top level."""
    table = symtable.symtable(source, "<cell>", "exec")
    return {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported()}


def names_needed(source: str) -> set[str]:
    """List the names that a piece of Python takes from elsewhere, builtins left out."""
    needed: set[str] = set()
    tables = [symtable.symtable(source, "<cell>", "exec")]
    defined = names_defined(source)
    while tables:
        table = tables.pop()
        tables += table.get_children()
        top = table.get_type() == "module"
        needed |= {
            s.get_name()
            for s in table.get_symbols()
            if s.is_referenced() and (s.is_global() or (top and not s.is_assigned()))
        }
    return needed - defined - set(dir(builtins))


def _read(cell: Cell, statement: ast.stmt) -> Check:
    hidden = next(TAGS[tag] for tag in cell.tags if tag in TAGS)
    wanted = "hidden_check" if hidden else "check"
    form = f'@score.{wanted}("q1", students_function, points=1)'
    if not isinstance(statement, ast.FunctionDef):
        raise QuestionError(
            statement.lineno, f"a check cell holds only functions under {form}; move the rest out"
        )
    line = statement.decorator_list[0].lineno if statement.decorator_list else statement.lineno
    match statement.decorator_list:
        case [
            ast.Call(
                func=ast.Attribute(attr=attribute),
                args=[ast.Constant(value=str(exercise)), ast.Name(id=student)],
                keywords=[ast.keyword(arg="points", value=ast.Constant(value=points))],
            )
        ] if isinstance(points, int | float) and attribute == wanted:
            pass
        case _:
            raise QuestionError(line, f"{statement.name}: expected it directly under {form}")
    hint = " ".join((ast.get_docstring(statement) or "").split())
    bare = ast.FunctionDef(**{**dict(ast.iter_fields(statement)), "decorator_list": []})
    function = ast.fix_missing_locations(ast.copy_location(bare, statement))
    return Check(exercise, statement.name, student, points, hidden, hint, function, line)
