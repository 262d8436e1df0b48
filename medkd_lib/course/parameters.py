"""Typed, validated notebook parameters: one annotated scalar per line, its rule in the comment.

The `parameters` cell of a lesson is the only place where a parameter is described::

    profile: str = "lesson"  # [smoke | lesson | paper] how much to compute
    temperature: float = 4.0  # [> 0] softening of both soft-maxes
    epochs: int | None = None  # [>= 1] passes over the data; None: the profile decides
    data_root: str = ""  # [folder] real images; empty: the phantom twin

`read_parameters` reads it without running it (``medkd params``, ``medkd run``); `validate` turns
given values into checked ones, or says what is wrong and how to mend it.
"""

import ast
import difflib
import io
import json
import math
import re
import tokenize
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# A file that only the profile of published sizes can use, such as published weights.
PAPER_FILE = "file, paper only"
TYPES = {"int": int, "float": float, "str": str, "bool": bool}


class ParameterError(ValueError):
    """A parameter is unknown, of the wrong type, or impossible; the message names the fix."""


@dataclass(frozen=True)
class Parameter:
    """One line of the parameters cell.

    ``rule`` is the text in square brackets: choices (``a | b``), a bound (``> 0``, ``>= 1``), an
    interval (``0..1``), ``folder`` (an existing folder, or empty), ``file, paper only`` (an
    existing file, or empty; empty in every other profile), or nothing.
    """

    name: str
    kind: str
    optional: bool
    default: object
    rule: str
    meaning: str

    @property
    def type_text(self) -> str:
        """The type as the notebook writes it, for example ``int | None``."""
        return f"{self.kind} | None" if self.optional else self.kind


def read_parameters(source: Path | str) -> list[Parameter]:
    """Return the parameters of a notebook file (``.ipynb``, master ``.py``) or of a cell's text.

    Raises:
        ParameterError: no parameters cell, or a line of it that is not an annotated scalar.
    """
    text = _parameters_cell(source) if isinstance(source, Path) else source
    comments = _comments(text)
    parameters = []
    for node in ast.parse(text).body:
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            raise ParameterError(
                f"parameters cell, line {node.lineno}: expected `name: type = default  # meaning`, "
                f"found {ast.unparse(node)!r}; derived values belong in the next cell"
            )
        parameters.append(_parameter(node, node.target.id, comments))
    return parameters


def validate(
    parameters: Sequence[Parameter], given: Mapping[str, object], caller: Path
) -> dict[str, object]:
    """Return every parameter's checked value: the given one, else the default.

    Text is converted to the declared type (so that ``-p epochs=10`` works); a relative folder or
    file is taken relative to ``caller`` and made absolute.

    Raises:
        ParameterError: unknown name (with the nearest right one), wrong type, impossible value.
    """
    known = {p.name: p for p in parameters}
    for name in given:
        if name not in known:
            raise ParameterError(_unknown(name, list(known)))
    values = {n: check_value(p, given.get(n, p.default), caller) for n, p in known.items()}
    for name, p in known.items():
        if p.rule == PAPER_FILE and values[name] and values.get("profile") != "paper":
            raise ParameterError(
                f"parameter {name}: expected profile='paper', whose networks have the size of such "
                f"a file, found profile={values.get('profile')!r}; add -p profile=paper, or leave "
                f"{name} empty"
            )
    return values


def check_value(parameter: Parameter, value: object, caller: Path) -> object:
    """Return ``value`` in the parameter's type, or raise `ParameterError`."""
    if value is None or (parameter.optional and value in ("None", "null")):
        if parameter.optional:
            return None
        raise ParameterError(_wrong(parameter, f"a value of type {parameter.kind}", value))
    return _ruled(parameter, _typed(parameter, value), caller)


def _typed(p: Parameter, value: object) -> bool | int | float | str:
    expected = f"a value of type {p.kind}"
    if p.kind == "str":
        if isinstance(value, str):
            return value
    elif p.kind == "bool":
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.lower() in ("true", "false"):
            return value.lower() == "true"
    elif isinstance(value, (int, float, str)) and not isinstance(value, bool):
        number = _integer(value) if p.kind == "int" else _number(value)
        if number is not None:
            return number
    raise ParameterError(_wrong(p, expected, value))


def _integer(value: int | float | str) -> int | None:
    """Return a whole number without going through float, which would round a large one."""
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    try:
        return int(value)
    except ValueError:
        return None


def _number(value: int | float | str) -> float | None:
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _ruled(p: Parameter, value: bool | int | float | str, caller: Path) -> object:
    rule = p.rule
    if not rule:
        return value
    if rule in ("folder", PAPER_FILE):
        return _place(p, str(value), caller)
    if "|" in rule:
        choices = [c.strip() for c in rule.split("|")]
        if str(value) in choices:
            return value
        near = difflib.get_close_matches(str(value), choices, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ParameterError(_wrong(p, f"one of {', '.join(choices)}", value) + hint)
    if isinstance(value, str):
        raise ParameterError(f"parameter {p.name}: rule [{rule}] does not fit a text value")
    if not _within(rule, value):
        raise ParameterError(_wrong(p, f"a value {rule}", value))
    return value


def _within(rule: str, value: int | float) -> bool:
    if match := re.fullmatch(r"(\S+?)\.\.(\S+)", rule):
        return float(match[1]) <= value <= float(match[2])
    if match := re.fullmatch(r"(>=|<=|>|<)\s*(\S+)", rule):
        bound = float(match[2])
        return {
            ">": value > bound,
            ">=": value >= bound,
            "<": value < bound,
            "<=": value <= bound,
        }[match[1]]
    raise ParameterError(
        f"rule [{rule}] is not understood; expected `a | b`, `> 0`, `>= 1`, `0..1`, `folder` "
        f"or `{PAPER_FILE}`"
    )


def _place(p: Parameter, value: str, caller: Path) -> str:
    if not value:
        return ""
    path = (caller / Path(value).expanduser()).resolve()
    kind, there, hint = "file", path.is_file(), f"give {p.meaning}"
    if p.rule == "folder":
        kind, there = "folder", path.is_dir()
        hint = "give the folder that holds the images, or leave it empty for the phantom twin"
    if not there:
        raise ParameterError(
            f"parameter {p.name}: expected an existing {kind}, found none at {path} "
            f"(given as {value!r}, relative to {caller}); {hint}"
        )
    return str(path)


def _wrong(p: Parameter, expected: str, found: object) -> str:
    return (
        f"parameter {p.name}: expected {expected}, found {found!r}; "
        f"for example -p {p.name}={_example(p)}"
    )


def _example(p: Parameter) -> object:
    if p.default is not None:
        return p.default
    return {"int": 10, "float": 1.0, "str": "text", "bool": "true"}[p.kind]


def _unknown(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"unknown parameter {name!r}: {hint}This lesson has {', '.join(known)}"


def _parameter(node: ast.AnnAssign, name: str, comments: Mapping[int, str]) -> Parameter:
    kinds = [ast.unparse(part) for part in _union(node.annotation)]
    kind = next((k for k in kinds if k != "None"), "")
    if kind not in TYPES or len(kinds) > 2 or node.value is None:
        raise ParameterError(
            f"parameter {name}: expected a default and one of the types {', '.join(TYPES)} "
            f"(or `type | None`), found {ast.unparse(node)!r}"
        )
    comment = comments.get(node.lineno, "")
    match = re.fullmatch(r"(?:\[(?P<rule>[^\]]*)\])?\s*(?P<meaning>.*)", comment)
    return Parameter(
        name=name,
        kind=kind,
        optional="None" in kinds,
        default=ast.literal_eval(node.value),
        rule=(match["rule"] or "").strip() if match else "",
        meaning=match["meaning"] if match else comment,
    )


def _union(annotation: ast.expr) -> list[ast.expr]:
    if isinstance(annotation, ast.BinOp):
        return [*_union(annotation.left), *_union(annotation.right)]
    return [annotation]


def _comments(text: str) -> dict[int, str]:
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return {t.start[0]: t.string.lstrip("# ") for t in tokens if t.type == tokenize.COMMENT}


def _parameters_cell(path: Path) -> str:
    if path.suffix == ".ipynb":
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        for cell in cells:
            if "parameters" in cell.get("metadata", {}).get("tags", []):
                return "".join(cell["source"])
    else:
        match = re.search(
            r'^# %%[^\n]*tags=\[[^\]]*"parameters"[^\n]*\n(.*?)(?=^# %%|\Z)',
            path.read_text(encoding="utf-8"),
            re.DOTALL | re.MULTILINE,
        )
        if match:
            return match[1]
    raise ParameterError(f"{path}: expected a cell tagged `parameters`, found none")
