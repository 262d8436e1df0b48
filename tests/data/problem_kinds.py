"""Every kind of problem that the data code names, read from its syntax tree without running it.

A kind is the first argument of ``Problem(…)`` or ``bad(…)``. Where a function takes the kind as an
argument of its own and hands it on, its callers are read instead.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from medkd_lib.fingerprint import PACKAGE

Function = ast.FunctionDef
SOURCES = tuple(sorted((PACKAGE / "data").glob("*.py")))


@dataclass(frozen=True)
class Maker:
    """A callable that makes a problem: where its kind stands, how it is spelt, how bad it is.

    Attributes:
        place: of the kind among the positional arguments, ``self`` not counted.
        keyword: its name.
        template: what becomes of it, ``"no_{}"`` for instance.
        severities: empty if the call itself says so.
        home: the file that alone may use it; None for all files.
    """

    place: int
    keyword: str
    template: str = "{}"
    severities: frozenset[str] = frozenset()
    home: Path | None = None


@dataclass
class Kinds:
    """What was found: the severities of each kind, and calls whose kind cannot be read."""

    severities: dict[str, set[str]] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)


def problem_kinds(paths: tuple[Path, ...] = SOURCES) -> Kinds:
    """Return every kind in these files with its severities."""
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in paths}
    makers: dict[str, set[Maker]] = {
        "Problem": {Maker(0, "kind")},
        "bad": {Maker(0, "kind", severities=frozenset({"error"}))},
    }
    found = Kinds()
    seen: set[tuple[Path, str, int, Maker]] = set()
    while True:
        new = [
            (path, function, call, maker)
            for path, tree in trees.items()
            for function, written in _calls(tree)
            for call in _branches(written)
            for maker in makers.get(_name(call.func), ())
            if maker.home in (None, path) and (path, ast.dump(call), call.lineno, maker) not in seen
        ]
        if not new:
            return found
        for path, function, call, maker in new:
            seen.add((path, ast.dump(call), call.lineno, maker))
            severities = maker.severities or _severities(call)
            for template, name in _templates(_kind(call, maker), function):
                whole = maker.template.format(template)
                if name is None:
                    found.severities.setdefault(whole, set()).update(severities)
                elif function is not None and name in _parameters(function):
                    home = path if function.name.startswith("_") else None
                    place = _parameters(function).index(name)
                    handing_on = Maker(place, name, whole, frozenset(severities), home)
                    makers.setdefault(function.name, set()).add(handing_on)
                else:
                    found.unread.append(f"{path.name}:{call.lineno}: {ast.unparse(call)[:80]}")


def _calls(
    tree: ast.AST, inside: Function | None = None
) -> Iterator[tuple[Function | None, ast.Call]]:
    """Yield every call with the function it stands in."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Call):
            yield inside, node
        yield from _calls(node, node if isinstance(node, Function) else inside)


class _Chosen(ast.NodeTransformer):
    """Replace ``a if test else b`` by ``a`` or ``b``, the same for the same test."""

    def __init__(self, truth: Mapping[str, bool]) -> None:
        self.truth = truth

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        chosen = node.body if self.truth[ast.unparse(node.test)] else node.orelse
        return self.visit(chosen)


def _branches(call: ast.Call) -> Iterator[ast.Call]:
    """Yield the call once for every outcome of its conditions: kind and severity may share one."""
    tests = sorted({ast.unparse(n.test) for n in ast.walk(call) if isinstance(n, ast.IfExp)})
    for outcome in product((True, False), repeat=len(tests)):
        yield _Chosen(dict(zip(tests, outcome, strict=True))).visit(deepcopy(call))


def _name(callee: ast.expr) -> str:
    match callee:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def _kind(call: ast.Call, maker: Maker) -> ast.expr:
    named = [k.value for k in call.keywords if k.arg == maker.keyword]
    return named[0] if named else call.args[maker.place]


def _severities(call: ast.Call) -> set[str]:
    given = [k.value for k in call.keywords if k.arg == "severity"] or call.args[5:6]
    if not given:
        return {"error"}
    return {text if name is None else "?" for text, name in _templates(given[0], None)}


def _parameters(function: Function) -> list[str]:
    names = [a.arg for a in (*function.args.posonlyargs, *function.args.args)]
    return [name for name in names if name not in ("self", "cls")]


def _templates(node: ast.expr, function: Function | None) -> Iterator[tuple[str, str | None]]:
    """Yield what an expression can be: a text, or a template and the name that fills it."""
    match node:
        case ast.Constant(value=str(text)):
            yield text, None
        case ast.IfExp(body=body, orelse=orelse):  # a local name's value
            yield from _templates(body, function)
            yield from _templates(orelse, function)
        case ast.Name(id=name):
            values = list(_values(name, function))
            for value in values:
                yield from _templates(value, function)
            if not values:
                yield "{}", name
        case ast.JoinedStr(values=parts):
            yield from _joined(parts, function)
        case _:
            yield "{}", ast.unparse(node)


def _joined(parts: list[ast.expr], function: Function | None) -> Iterator[tuple[str, str | None]]:
    inner = [p.value if isinstance(p, ast.FormattedValue) else p for p in parts]
    for choice in product(*(list(_templates(p, function)) for p in inner)):
        text = "".join(template for template, _ in choice)
        yield text, " and ".join(name for _, name in choice if name is not None) or None


def _values(name: str, function: Function | None) -> Iterator[ast.expr]:
    """Yield what a local name is set to: by assignment, or by a loop over a literal."""
    for node in ast.walk(function) if function is not None else ():
        if isinstance(node, ast.Assign):
            for target in node.targets:
                yield from _matched(target, node.value, name)
        elif isinstance(node, ast.For) and isinstance(node.iter, ast.Tuple | ast.List):
            for value in node.iter.elts:
                yield from _matched(node.target, value, name)


def _matched(target: ast.expr, value: ast.expr, name: str) -> Iterator[ast.expr]:
    if isinstance(target, ast.Name) and target.id == name:
        yield value
    elif isinstance(target, ast.Tuple):
        if isinstance(value, ast.IfExp):
            yield from _matched(target, value.body, name)
            yield from _matched(target, value.orelse, name)
        elif isinstance(value, ast.Tuple):
            for part, its_value in zip(target.elts, value.elts, strict=True):
                yield from _matched(part, its_value, name)
