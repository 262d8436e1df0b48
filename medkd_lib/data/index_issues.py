"""Known issues, executed: a manifest's remarks become actions, none is skipped silently."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from medkd_lib.data.case import Case
from medkd_lib.data.file_digest import Content, content_of
from medkd_lib.data.manifest_layout import KnownIssue
from medkd_lib.data.problems import DataError

NAMED = 5


def apply_issues(cases: list[Case], issues: Sequence[KnownIssue]) -> tuple[list[Case], list[str]]:
    """Return the cases after all issues, and a note for each issue that changed or warns of one.

    ``fix_affine`` and ``relabel`` are handed to the reader (`Case.repairs`). A pattern that meets
    no case says nothing: most folders hold a part of a release.
    """
    notes = []
    for issue in issues:
        hit = [c for c in cases if any(fnmatchcase(c.id, pattern) for pattern in issue.cases)]
        after = _after(issue, hit)
        changed = [c.id for c in hit if issue.action == "warn" or after.get(c.id) is not c]
        if not changed:
            continue
        cases = [new for c in cases if (new := after.get(c.id, c)) is not None]
        named = "" if issue.action == "warn" else f": {_names(changed)}"
        notes.append(f"{issue.action} ({len(changed)} cases{named}): {issue.what}")
    return cases, notes


def _after(issue: KnownIssue, hit: Sequence[Case]) -> dict[str, Case | None]:
    """Return what becomes of each case that the issue names; None if it is left out."""
    if issue.action == "exclude":
        return {c.id: None for c in hit}
    if issue.action == "dedupe":
        repeated = _repeated(hit)
        return {c.id: None if c.id in repeated else c for c in hit}
    if issue.action == "rename":
        return {c.id: _renamed(c, issue) for c in hit}
    if issue.action in ("fix_affine", "relabel"):
        return {c.id: replace(c, repairs=(*c.repairs, issue)) for c in hit}
    return {c.id: c for c in hit}


def _names(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - NAMED} more" if len(ids) > NAMED else ""
    return ", ".join(ids[:NAMED]) + more


def _repeated(cases: Sequence[Case]) -> set[str]:
    """Ids of the cases whose images have the same bytes as an earlier case's."""
    first: dict[Content, str] = {}
    repeated = set()
    for case in sorted(cases, key=lambda c: c.id):
        try:
            content = content_of(case.images)
        except DataError:
            continue  # half of a pair is missing: reading it names the file
        if first.setdefault(content, case.id) != case.id:
            repeated.add(case.id)
    return repeated


def _renamed(case: Case, issue: KnownIssue) -> Case:
    """Take the annotation ``issue.role`` from the oddly named file beside the case's others."""
    if issue.role is None or issue.to is None or issue.role in case.files:
        return case
    path = next(iter(case.files.values())).parent / issue.to
    if not path.exists():
        return case
    return replace(case, annotations={**case.annotations, issue.role: path})
