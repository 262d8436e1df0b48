"""Paths under a folder → cases: what each path tells of patient, case, label and split."""

import re
from collections.abc import Iterator
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

from medkd_lib.data.case import Case
from medkd_lib.data.manifest import Manifest
from medkd_lib.data.manifest_layout import Layout, Role
from medkd_lib.data.problems import DataError, Problem
from medkd_lib.data.regions import referred_series


def cases_on_disk(
    manifest: Manifest, layout: Layout, base: Path
) -> tuple[list[Case], set[str], list[Problem]]:
    """Return all cases, the ids of those whose files contradict each other, and what did not fit.

    A path that does not tell a label or split contradicts nothing.
    """
    pattern = re.compile(layout.case_regex or "")
    names = {v.name: v.id for v in manifest.case_labels.values} if manifest.case_labels else {}
    found: dict[str, Case] = {}
    broken: set[str] = set()
    problems: list[Problem] = []
    for kind in ("images", "annotations"):
        roles = layout.image_roles if kind == "images" else layout.annotation_roles
        for role, path in _paths(layout, roles, base):
            match = pattern.search(path.relative_to(base).as_posix())
            if match is None:
                problems.append(
                    Problem(
                        "no_patient", str(path), f"a name like {layout.case_regex!r}, so that the "
                        "patient is known", "no match", "rename the file or ignore it",
                    )
                )  # fmt: skip
                continue
            groups = match.groupdict()
            label = groups.get("label")
            if label is not None and label not in names:
                problems.append(
                    Problem(
                        "unknown_label", str(path), f"one of the labels {sorted(names)}",
                        f"label {label!r}", "correct the folder or the manifest",
                    )
                )  # fmt: skip
                continue
            case_id = groups.get("case") or groups["patient"]
            if roles[role].by_reference:
                try:
                    case_id = referred_series(path)
                except DataError as error:
                    problems.append(error.problem)
                    continue
            told = Case(
                case_id,
                groups["patient"],
                manifest.id,
                {},
                names[label] if label is not None else None,
                (groups.get("split") or "").lower() or None,
                derived_from=manifest.derived_from,
            )
            known = found.get(case_id, told)
            if role in known.files:
                broken.add(case_id)
                problems.append(
                    Problem(
                        "duplicate_role", str(path), f"one {role} for case {case_id}",
                        f"it has a {role} already: {known.files[role]}",
                        "remove or rename one of the two",
                    )
                )  # fmt: skip
                continue
            if disagreement := _disagreement(known, told):
                broken.add(case_id)
                problems.append(
                    Problem(
                        "case_disagrees", str(path), f"{disagreement[0]}, as the other files of "
                        f"case {case_id} say", disagreement[1],
                        "two cases have one name, or a file lies in a wrong folder: correct it",
                    )
                )  # fmt: skip
                continue
            known = replace(
                known,
                label=told.label if known.label is None else known.label,
                split=known.split or told.split,
            )
            if kind == "images":
                found[case_id] = replace(known, images={**known.images, role: path})
            else:
                found[case_id] = replace(known, annotations={**known.annotations, role: path})
    return list(found.values()), broken, problems


def _disagreement(known: Case, told: Case) -> tuple[str, str] | None:
    """Return what is expected and found if a file tells another patient, label or split."""
    for name in ("patient", "label", "split"):
        before, now = getattr(known, name), getattr(told, name)
        if None not in (before, now) and before != now:
            return f"{name} {before}", f"{name} {now}"
    return None


def _paths(layout: Layout, roles: dict[str, Role], base: Path) -> Iterator[tuple[str, Path]]:
    """Yield role and path, each path once, in a stable order."""
    for role, spec in roles.items():
        for path in sorted({p for pattern in spec.globs for p in base.glob(pattern)}):
            # macOS leaves ._name beside every file it packs: never an image
            if path.name.startswith("._") or any(fnmatchcase(path.name, s) for s in layout.ignore):
                continue
            yield role, path
