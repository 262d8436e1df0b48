"""What a twin lists of the cases that it broke on purpose."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from medkd_lib.phantom.twin_files import write_table


@dataclass(frozen=True)
class Issue:
    """One line of ``known_issues.csv``.

    Attributes:
        case: whom it concerns: a patient, an exam or a series, by its folder.
        kind: name of the defect.
        what: the same in words.
    """

    case: str
    kind: str
    what: str


def write_issues(folder: Path, issues: Iterable[Issue]) -> None:
    """Write ``known_issues.csv`` into a twin's folder."""
    write_table(folder / "known_issues.csv", Issue, issues)
