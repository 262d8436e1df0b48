"""The kinds that tests expect, read from their syntax trees: a word that merely occurs is none.

A text is expected where a test compares it, where it is the argument ``kind`` of a test's helper,
and in the tables that tests go through: literals that a name is set to, that a loop runs over or
that ``parametrize`` is given. Arguments of other calls (file names, options) do not count.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

CONTAINERS = (ast.Tuple, ast.List, ast.Set, ast.Dict)


def expected_kinds(paths: Iterable[Path]) -> set[str]:
    """Return every text that a test in these files expects to be a kind (and some other texts)."""
    found: set[str] = set()
    for path in paths:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        helpers = dict(_helpers(tree))
        for node in ast.walk(tree):
            for part in _places(node, helpers):
                found.update(_texts(part))
    return found


def _helpers(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield the functions that are told a kind, and where among their arguments."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            names = [a.arg for a in node.args.args]
            if "kind" in names:
                yield node.name, names.index("kind")


def _places(node: ast.AST, helpers: dict[str, int]) -> Iterator[ast.expr]:
    """Yield the expressions of a node whose texts are expectations."""
    match node:
        case ast.Compare(left=left, ops=[ast.In() | ast.NotIn()], comparators=[right]):
            if "kind" in ast.unparse(right):  # not: a word in a message
                yield left
            if isinstance(right, CONTAINERS):
                yield right
        case ast.Compare(left=left, comparators=rights):
            yield from (left, *rights)
        case ast.Call(func=ast.Name(id=name), args=args) if len(args) > helpers.get(name, 1 << 30):
            yield args[helpers[name]]
        case ast.Call(func=ast.Attribute(attr="parametrize"), args=[_, rows]):
            yield rows
        case (
            ast.Assign(targets=[ast.Name()], value=value)
            | ast.AnnAssign(value=value)
            | ast.For(iter=value)
            | ast.comprehension(iter=value)
        ) if isinstance(value, CONTAINERS):
            yield value


def _texts(node: ast.expr | None) -> Iterator[str]:
    """Yield the texts of a literal, not those inside other calls, subscripts and functions."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.Set(elts=parts):
            for part in parts:
                yield from _texts(part)
        case ast.Dict(keys=keys, values=values):
            for either in (*keys, *values):
                yield from _texts(either)
        case ast.ListComp(elt=part) | ast.SetComp(elt=part) | ast.GeneratorExp(elt=part):
            yield from _texts(part)
        case ast.Call(func=ast.Name(id="sorted" | "set" | "list" | "tuple"), args=[part, *_]):
            yield from _texts(part)
        case ast.IfExp(body=one, orelse=other) | ast.BinOp(left=one, right=other):
            yield from _texts(one)
            yield from _texts(other)
