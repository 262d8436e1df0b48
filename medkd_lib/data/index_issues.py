"""Known issues, executed: a manifest's remarks become actions, none is skipped silently."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatch

from medkd_lib.data.case import Case
from medkd_lib.data.manifest_layout import KnownIssue


def apply_issues(cases: list[Case], issues: Sequence[KnownIssue]) -> tuple[list[Case], list[str]]:
    """Return the cases after all issues, and a note for each issue that met a case.

    ``fix_affine`` and ``relabel`` are handed to the reader (`Case.repairs`).
    """
    notes = []
    for issue in issues:
        hit = [c for c in cases if any(fnmatch(c.id, pattern) for pattern in issue.cases)]
        if not hit:
            continue
        ids = {c.id for c in hit}
        if issue.action == "exclude":
            cases = [c for c in cases if c.id not in ids]
        elif issue.action == "dedupe":
            repeated = _repeated(hit)
            cases = [c for c in cases if c.id not in repeated]
        elif issue.action == "rename":
            cases = [_renamed(c, issue) if c.id in ids else c for c in cases]
        elif issue.action in ("fix_affine", "relabel"):
            cases = [replace(c, repairs=(*c.repairs, issue)) if c.id in ids else c for c in cases]
        notes.append(f"{issue.action} ({len(hit)} cases): {issue.what}")
    return cases, notes


def _repeated(cases: list[Case]) -> set[str]:
    """Ids of the cases whose files have the same bytes as an earlier case's."""
    first: dict[str, str] = {}
    for case in sorted(cases, key=lambda c: c.id):
        digest = hashlib.sha256()
        for role, path in sorted(case.images.items()):
            digest.update(role.encode())
            for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
                if file.is_file():
                    digest.update(file.read_bytes())
        first.setdefault(digest.hexdigest(), case.id)
    return {c.id for c in cases} - set(first.values())


def _renamed(case: Case, issue: KnownIssue) -> Case:
    """Take the annotation ``issue.role`` from the oddly named file beside the case's others."""
    if issue.role is None or issue.to is None or issue.role in case.files:
        return case
    path = next(iter(case.files.values())).parent / issue.to
    if not path.exists():
        return case
    return replace(case, annotations={**case.annotations, issue.role: path})
