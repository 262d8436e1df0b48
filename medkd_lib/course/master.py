"""Read a master: the one hand-edited source of a lesson, a jupytext percent script."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jupytext

PROFILES = ("smoke", "lesson", "paper")
SECONDS = {"s": 1, "min": 60, "h": 3600}
_CELL = re.compile(r"^# ?%%")
_BUDGET = re.compile(r"\b(smoke|lesson|paper)\b[^\d\n]{0,12}?(\d+(?:\.\d+)?)\s*(s|min|h)\b")


class MasterError(ValueError):
    """A master cannot be built; the message names file, cell and line."""


@dataclass(frozen=True)
class Cell:
    """One cell of a master.

    Args:
        number: its place in the master, from 1.
        kind: `"markdown"`, `"code"` or `"raw"`.
        source: its text as written, solution markers included.
        tags: its jupytext tags.
        exercise: the exercise it belongs to, if any.
        line: the line of the master on which its text starts, from 1.
        metadata: everything written behind `# %%`.
    """

    number: int
    kind: str
    source: str
    tags: tuple[str, ...]
    exercise: str | None
    line: int
    metadata: dict[str, Any]


@dataclass(frozen=True)
class Master:
    """A lesson's source: its path, its cells and the hash of its text."""

    path: Path
    cells: tuple[Cell, ...]
    sha256: str

    @property
    def lesson(self) -> str:
        """The lesson's number: what stands before the first underscore of the file name."""
        return self.path.stem.split("_", 1)[0]

    @property
    def title(self) -> str:
        """The first heading of the card, or the file's stem."""
        card = self.cells[0].source if self.cells else ""
        found = re.search(r"^# +(.+?)\s*$", card, flags=re.MULTILINE)
        return found.group(1) if found else self.path.stem

    @property
    def budgets(self) -> dict[str, int]:
        """Seconds per profile, read from the card's **Budget** line; a missing one is left out."""
        card = self.cells[0].source if self.cells else ""
        found = re.search(r"^.*\*\*Budget.*$", card, flags=re.MULTILINE)
        if not found:
            return {}
        pairs = _BUDGET.findall(found.group(0))
        return {profile: round(float(value) * SECONDS[unit]) for profile, value, unit in pairs}

    @property
    def exercises(self) -> tuple[str, ...]:
        """The exercises' names in the order of their first cell."""
        names = (c.exercise for c in self.cells if "exercise" in c.tags and c.exercise)
        return tuple(dict.fromkeys(names))

    def tagged(self, tag: str, exercise: str | None = None) -> list[Cell]:
        """List the cells that carry `tag`, of one exercise if it is named."""
        cells = [c for c in self.cells if tag in c.tags]
        return cells if exercise is None else [c for c in cells if c.exercise == exercise]

    def place(self, cell: Cell, line: int = 1) -> str:
        """Name a place for a message: file, cell and line of the file."""
        return f"{self.path}:{cell.line + line - 1} (cell {cell.number})"


def read_master(path: Path) -> Master:
    """Read a percent script.

    Raises:
        MasterError: the file has no cells, or text above its first cell marker.
    """
    # A Windows checkout may carry \r\n: the hash is that of the text, not of the bytes.
    text = path.read_text(encoding="utf-8").replace("\r\n", "\n")
    nodes = jupytext.reads(text, fmt="py:percent").cells
    starts = [i for i, line in enumerate(text.splitlines(), start=1) if _CELL.match(line)]
    if not nodes or len(starts) != len(nodes):
        raise MasterError(
            f"{path}: expected every cell to begin with a '# %%' line, found {len(starts)} such "
            f"lines for {len(nodes)} cells; move text above the first marker into a cell"
        )
    cells = []
    for number, (node, start) in enumerate(zip(nodes, starts, strict=True), start=1):
        metadata = {k: v for k, v in node.metadata.items() if not k.startswith("lines_to_")}
        tags = tuple(metadata.get("tags", ()))
        exercise = metadata.get("exercise")
        cells.append(Cell(number, node.cell_type, node.source, tags, exercise, start + 1, metadata))
    return Master(path, tuple(cells), hashlib.sha256(text.encode()).hexdigest())
