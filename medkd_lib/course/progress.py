"""What `medkd run` shows: a live table on a terminal, plain lines in a log."""

import sys
import threading
import time
from types import TracebackType
from typing import Any, TextIO

from medkd_lib.course.result import Result

WORDS = {
    "ok": "ok",
    "failed": "failed",
    "timeout": "ran too long",
    "kernel_died": "kernel died",
    "skipped": "skipped",
}
HOW = {"run": "", "kept": " (finished before, kept)", "copied": " (finished before, copied)"}


def clock(seconds: float) -> str:
    """Return minutes and seconds, such as ``2:05``."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


class Display:
    """Plain lines, one per event, for logs and pipes; safe to call from several threads."""

    def __init__(self, total: int, stream: TextIO) -> None:
        self.total, self.stream, self.done = total, stream, 0
        self.lock = threading.Lock()

    def __enter__(self) -> "Display":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Nothing to close."""

    def says(self, text: str) -> None:
        """Write one line."""
        with self.lock:
            self.stream.write(text + "\n")
            self.stream.flush()

    def begins(self, name: str, budget: float | None) -> None:
        """Show that a notebook starts."""
        self.says(f"{name}: starts" + (f", budget {clock(budget)}" if budget else ""))

    def cell(self, name: str, cell: int, cells: int, line: str) -> None:
        """Show that a cell starts; a log keeps quiet about each of them."""

    def ends(self, name: str, result: Result, how: str) -> None:
        """Show how a notebook ended: one line, and where it failed."""
        with self.lock:
            self.done += 1
        self.says(self._ending(name, result, how))
        if result.failure:
            self.says(failure_text(name, result))

    def _ending(self, name: str, result: Result, how: str) -> str:
        took = f" in {clock(result.seconds)}" if result.seconds is not None else ""
        truncated = " [truncated: not a result]" if result.truncated else ""
        word = WORDS[result.status]
        return f"{name}: {word}{took}{HOW[how]}{truncated}  [{self.done} of {self.total}]"


def failure_text(name: str, result: Result) -> str:
    """Return the failing cell's source and traceback, as the terminal and a log show them."""
    failure = result.failure
    if failure is None:
        return ""
    where = f"cell {failure.cell}" if failure.cell else "outside any cell"
    lines = [f"--- {name}, {where}: {failure.error}"]
    lines += [f"    | {line}" for line in failure.source.splitlines()]
    lines += [f"    {line}" for line in failure.traceback.splitlines()]
    return "\n".join(lines)


class LiveDisplay(Display):
    """A table on a terminal: each running notebook, its cell, the time, and what is left."""

    def __init__(self, total: int, stream: TextIO) -> None:
        from rich.console import Console
        from rich.live import Live

        super().__init__(total, stream)
        self._console = Console(file=stream)
        self._running: dict[str, dict[str, Any]] = {}
        self._live = Live(
            console=self._console,
            get_renderable=self._table,
            refresh_per_second=4,
            transient=True,
        )

    def __enter__(self) -> "Display":
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._live.stop()

    def says(self, text: str) -> None:
        """Print above the table."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def begins(self, name: str, budget: float | None) -> None:
        """Give the notebook a row."""
        with self.lock:
            self._running[name] = {
                "began": time.monotonic(),
                "budget": budget,
                "cell": 0,
                "cells": 0,
                "line": "",
            }

    def cell(self, name: str, cell: int, cells: int, line: str) -> None:
        """Show the cell in its row."""
        with self.lock:
            self._running[name] |= {"cell": cell, "cells": cells, "line": line}

    def ends(self, name: str, result: Result, how: str) -> None:
        """Take the row away; its line stays."""
        with self.lock:
            self._running.pop(name, None)
        super().ends(name, result, how)

    def _table(self) -> Any:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2))
        with self.lock:
            rows = list(self._running.items())
            waiting = self.total - self.done - len(rows)
            left = f"{self.done} of {self.total} done, {waiting} waiting"
        # Name and time stay whole; the cell's first line takes what the terminal leaves.
        room = self._console.width - max((len(name) for name, _ in rows), default=0) - 36
        for name, row in rows:
            spent = clock(time.monotonic() - row["began"])
            budget = f" of {clock(row['budget'])}" if row["budget"] else ""
            at = f"cell {row['cell']}/{row['cells']}" if row["cells"] else "starting"
            line = Text(row["line"][: max(0, room)], style="dim", no_wrap=True)
            table.add_row(Text(f"▸ {name}"), f"{at}  {spent}{budget}", line)
        return Group(table, Text(left))


def make_display(total: int, stream: TextIO | None = None) -> Display:
    """Return the live table on a terminal, else plain lines."""
    stream = stream or sys.stderr
    return LiveDisplay(total, stream) if stream.isatty() else Display(total, stream)
