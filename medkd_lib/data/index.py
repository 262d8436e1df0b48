"""Manifest + folder → cases: who is on disk, with which label, from which patient."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from medkd_lib.data.case import Case, LayoutError
from medkd_lib.data.index_files import cases_on_disk
from medkd_lib.data.index_issues import apply_issues
from medkd_lib.data.index_lists import with_lists
from medkd_lib.data.index_npz import index_npz
from medkd_lib.data.index_table import with_table
from medkd_lib.data.manifest import Manifest
from medkd_lib.data.manifest_layout import Layout
from medkd_lib.data.problems import Problem
from medkd_lib.data.stated_geometry import STATEMENT, as_stated, read_statement


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

    What the folder's holder states about its geometry (`stated_geometry.yaml`) stands in the
    index's ``manifest``: read the cases with that one.

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
        DataError: ``bad_statement``.
    """
    manifest, stated = _with_statement(manifest, root)
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
    on_disk, broken, problems = cases_on_disk(manifest, manifest.layout, base)
    if not on_disk and not problems:
        raise _nothing(manifest, base)
    # A case that contradicts itself is told already, and no other may count as its copy.
    sound = [case for case in on_disk if case.id not in broken]
    kept, notes = apply_issues(sound, manifest.known_issues)
    cases, unlabelled, table_problems = with_table(manifest, base, kept, on_disk)
    cases, unlisted, list_problems = with_lists(manifest, base, cases, on_disk)
    whole = []
    for case in sorted(cases, key=lambda c: c.id):
        missing = list(_missing(case, manifest.layout))
        problems += missing
        if not missing and case.id not in unlabelled | unlisted:
            whole.append(case)
    notes += [*stated, *_unread(manifest)]
    return Index(manifest, root, whole, notes, problems + table_problems + list_problems)


def _with_statement(manifest: Manifest, root: Path) -> tuple[Manifest, list[str]]:
    """Return the manifest with what the folder's holder states, and a note of it."""
    statement = read_statement(root)
    if statement is None:
        return manifest, []
    note = f"axes {statement.axcodes}, as {STATEMENT} states: {statement.source}"
    return as_stated(manifest, statement, root), [note]


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
