"""Follow a notebook's process through the file of events that it writes."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# After its limit a cell is interrupted; one that ignores this is killed after that long.
GRACE_SECONDS = 10.0

OnCell = Callable[[int, int, str], None]


@dataclass
class Ending:
    """How a notebook's process ended."""

    status: str = "failed"
    failure: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    peak_bytes: int = 0


class Events:
    """The child's JSON lines, read as they come; a line without its end is not there yet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ended = False
        self._offset = 0

    def new(self) -> list[dict[str, Any]]:
        """Return the events since the last call."""
        if not self.path.exists():
            return []
        with self.path.open("rb") as stream:
            stream.seek(self._offset)
            whole = stream.read().rpartition(b"\n")[0]
        self._offset += len(whole) + 1 if whole else 0
        found = [json.loads(line) for line in whole.splitlines()]
        self.ended |= any(event["event"] == "end" for event in found)
        return found


class Follower:
    """What the events tell so far: the running cell, when to lose patience, and the end."""

    def __init__(self, events: Path, total: float, on_cell: OnCell) -> None:
        self.events, self.on_cell = Events(events), on_cell
        self.ending = Ending()
        self.cell: dict[str, Any] = {"cell": None, "source": ""}
        self.cells = 0
        self.kill_at = time.monotonic() + total + GRACE_SECONDS

    def read(self) -> None:
        """Take in what the child has said since the last time."""
        for event in self.events.new():
            if event["event"] == "cells":
                self.cells = event["n"]
            elif event["event"] == "cell":
                self.cell = {"cell": event["cell"], "source": event["source"]}
                self.kill_at = time.monotonic() + event["limit"] + GRACE_SECONDS
                self.on_cell(event["cell"], self.cells, event["line"])
            else:  # "late" (a cell was interrupted) or "end"
                self.ending.status, self.ending.failure = event["status"], event["failure"]
                self.kill_at = time.monotonic() + GRACE_SECONDS

    def blame(self, status: str, error: str) -> None:
        """Give the running cell as where it ended, unless the child told its end itself."""
        if not self.events.ended and not self.ending.failure:
            self.ending.status, self.ending.failure = status, self.cell | {"error": error}
