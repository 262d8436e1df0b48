"""The table of grades: one row per student, as CSV for a person and JSON for a program."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Grade:
    """One row of the table.

    Args:
        student: the file's stem.
        checks: points per check, named `exercise/check`.
        possible: all points there are.
        messages: what each failed check said.
        errors: what kept an exercise, or the whole file, from being graded as usual.
        review: words in the answers that a person should look at.
    """

    student: str
    checks: Mapping[str, float]
    possible: float
    messages: Mapping[str, str]
    errors: tuple[str, ...]
    review: tuple[str, ...]

    def __str__(self) -> str:
        """One line for a terminal; what the checks said stays in the table."""
        line = f"{self.student}: {self.total:g} of {self.possible:g} ({self.percent:g} %)"
        notes = [*self.errors, *(f"look at {word!r}" for word in self.review)]
        return " · ".join([line, *notes])

    @property
    def total(self) -> float:
        """The points earned."""
        return sum(self.checks.values())

    @property
    def percent(self) -> float:
        """The points earned of all there are, to two digits."""
        return round(100 * self.total / self.possible, 2)

    @property
    def exercises(self) -> dict[str, float]:
        """Points per exercise, in order."""
        sums: dict[str, float] = {}
        for name, points in self.checks.items():
            exercise = name.split("/", 1)[0]
            sums[exercise] = sums.get(exercise, 0.0) + points
        return sums

    def as_dict(self) -> dict[str, Any]:
        """Plain data, messages included."""
        return {
            "student": self.student,
            "total": self.total,
            "possible": self.possible,
            "percent": self.percent,
            "exercises": self.exercises,
            "checks": dict(self.checks),
            "messages": dict(self.messages),
            "errors": list(self.errors),
            "review": list(self.review),
        }


def write_table(rows: list[Grade], out: Path) -> tuple[Path, Path]:
    """Write `out/grades.csv` and `out/grades.json`; every row must have the same checks."""
    table, data = out / "grades.csv", out / "grades.json"
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        for row in rows[:1]:
            head = ["student", "total", "possible", "percent", *row.exercises, *row.checks]
            writer.writerow([*head, "errors", "review"])
        for row in rows:
            points = [*row.exercises.values(), *row.checks.values()]
            notes = ["; ".join(row.errors), " ".join(row.review)]
            writer.writerow([row.student, row.total, row.possible, row.percent, *points, *notes])
    text = json.dumps([row.as_dict() for row in rows], indent=1, ensure_ascii=False)
    data.write_text(text + "\n", encoding="utf-8", newline="\n")
    return table, data
