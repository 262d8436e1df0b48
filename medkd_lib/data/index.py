"""Manifest + folder → cases: who is on disk, with which label, from which patient."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path

from medkd_lib.data.case import Case, LayoutError
from medkd_lib.data.index_issues import apply_issues
from medkd_lib.data.index_npz import index_npz
from medkd_lib.data.index_table import with_table
from medkd_lib.data.manifest import Manifest
from medkd_lib.data.manifest_layout import Layout, Role
from medkd_lib.data.problems import Problem


@dataclass(frozen=True)
class Index:
    """All cases of a dataset folder and what was noticed while reading it."""

    manifest: Manifest
    root: Path
    cases: list[Case]
    notes: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @property
    def labels(self) -> list[int]:
        """Label of each case; raises if a case has none."""
        missing = [c.id for c in self.cases if c.label is None]
        if missing:
            raise LayoutError(
                Problem(
                    "no_label",
                    self.manifest.id,
                    expected="a label for every case",
                    found=f"none for {missing[:3]} ({len(missing)} cases)",
                    next_step="complete the label table, or leave these cases out",
                )
            )
        return [c.label for c in self.cases if c.label is not None]


def index(manifest: Manifest, root: Path, *, drop_broken: bool = False) -> Index:
    """Return the cases found under ``root``, sorted by id, known issues applied.

    Args:
        manifest: what to expect.
        root: the folder that holds what ``layout.root`` expects.
        drop_broken: leave out cases with a defect (a missing modality, an unknown label) and say
            so in ``problems``, instead of raising at the first.

    Raises:
        LayoutError: the folder holds nothing of the layout, a path names no patient, a label is
            not in the manifest, a role is missing, two files claim one role of one case, or the
            files of one case name two patients, labels or splits.
    """
    found = scan(manifest, root)
    errors = [p for p in found.problems if p.severity == "error"]
    if errors and not drop_broken:
        more = f" (and {len(errors) - 1} more problems)" if len(errors) > 1 else ""
        first = errors[0]
        raise LayoutError(replace(first, next_step=first.next_step + more))
    if not found.cases:
        raise _nothing(manifest, root)
    return found


def scan(manifest: Manifest, root: Path) -> Index:
    """Return the whole cases and every problem of the others; for `medkd data check`.

    Raises:
        LayoutError: there is no layout, no folder, or no file of the layout at all.
    """
    if manifest.layout is None:
        raise LayoutError(
            Problem(
                "no_layout", manifest.id, "a layout in the manifest", "none yet",
                f"`medkd data show {manifest.id}` says what is missing",
            )
        )  # fmt: skip
    base = root / manifest.layout.root
    if not base.is_dir():
        raise LayoutError(
            Problem(
                "no_folder", manifest.id, f"the folder {base}", "none",
                f"get or make the data (`medkd data show {manifest.id}`)",
            )
        )  # fmt: skip
    if manifest.layout.kind == "npz":
        return Index(manifest, root, index_npz(manifest, manifest.layout, base), _unread(manifest))
    on_disk, broken, problems = _files(manifest, manifest.layout, base)
    if not on_disk and not problems:
        raise _nothing(manifest, base)
    # A case that contradicts itself is told already, and no other may count as its copy.
    sound = [case for case in on_disk if case.id not in broken]
    kept, notes = apply_issues(sound, manifest.known_issues)
    cases, unlabelled, table_problems = with_table(manifest, base, kept, on_disk)
    whole = []
    for case in sorted(cases, key=lambda c: c.id):
        missing = list(_missing(case, manifest.layout))
        problems += missing
        if not missing and case.id not in unlabelled:
            whole.append(case)
    return Index(manifest, root, whole, [*notes, *_unread(manifest)], problems + table_problems)


def _unread(manifest: Manifest) -> list[str]:
    """Return a note for each role whose files the loader cannot open yet."""
    unread = manifest.layout.unread if manifest.layout else {}
    return [f"{role} is listed, but cannot be read yet: {why}" for role, why in unread.items()]


def _nothing(manifest: Manifest, base: Path) -> LayoutError:
    layout = manifest.layout
    globs = [g for r in layout.image_roles.values() for g in r.globs] if layout else []
    return LayoutError(
        Problem(
            "no_case", str(base), f"files like {globs}", "no whole case",
            f"data_root is the folder that holds {layout.root if layout else '.'!r} of "
            f"{manifest.id}; `medkd data show {manifest.id}`",
        )
    )  # fmt: skip


def _files(
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


def _missing(case: Case, layout: Layout) -> Iterator[Problem]:
    wanted = {**layout.image_roles, **layout.annotation_roles}
    for role, spec in wanted.items():
        if not spec.optional and role not in case.files:
            beside = next(iter(case.files.values())).parent
            yield Problem(
                "missing_modality", f"case {case.id}",
                f"a file for {role!r} like {spec.globs[0]!r} beside {beside}",
                f"only {sorted(case.files)}",
                "fetch the case again, or exclude it (known_issues)",
            )  # fmt: skip
