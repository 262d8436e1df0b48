"""What is wrong with data: one record for the table of `data check`, one error to raise."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Severity = Literal["error", "repaired", "warning"]


@dataclass(frozen=True)
class Problem:
    """One defect of a file, a case or a folder.

    Attributes:
        kind: short slug (``"truncated"``, ``"grid_mismatch"``), the same for the same defect.
        where: the file, or the case or parameter if no single file is to blame.
        expected: what would have been right.
        found: what is there.
        next_step: what the reader can do.
        severity: ``repaired`` if the loader mends it in a documented way, ``warning`` if the data
            can be used as they are.
    """

    kind: str
    where: str
    expected: str
    found: str
    next_step: str
    severity: Severity = "error"

    def __str__(self) -> str:
        return f"{self.where}: expected {self.expected}, found {self.found}; {self.next_step}"


class DataError(ValueError):
    """Data that cannot be used; ``problem`` holds file, expectation, finding and next step."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(str(problem))

    def __reduce__(self) -> tuple[type[DataError], tuple[Problem]]:
        return type(self), (self.problem,)


def bad(kind: str, where: Path | str, *, expected: str, found: str, next_step: str) -> DataError:
    """Return the error for a defect that stops the loader; the caller raises it."""
    return DataError(Problem(kind, str(where), expected, found, next_step))
