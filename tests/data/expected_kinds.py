"""Which kinds the tests expect, read from their syntax trees: words that merely occur do not count.

A text is expected where it is compared (``==``, ``in``), where it is an argument ``kind`` of a
test's own helper or fixture, and in the tables that feed those: values or keys of a module's name
or of a ``parametrize`` whose rows are unpacked into a variable called ``kind``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

NAME = "kind"


def expected_kinds(paths: Iterable[Path]) -> set[str]:
    """Return every text that a test in these files expects as a kind."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in paths]
    helpers = {
        f.name: [a.arg for a in f.args.args].index(NAME)
        for tree in trees
        for f in ast.walk(tree)
        if isinstance(f, ast.FunctionDef) and NAME in [a.arg for a in f.args.args]
    }
    found: set[str] = set()
    for tree in trees:
        tables = _tables(trees)
        for node in ast.walk(tree):
            for expected in _expected(node, helpers, tables):
                found.update(_texts(expected))
    return found
