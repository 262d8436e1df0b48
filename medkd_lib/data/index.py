"""Manifest + folder → cases: who is on disk, with which label, from which patient."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

import numpy as np

from medkd_lib.data.manifest import Manifest
from medkd_lib.data.manifest_parts import KnownIssue, Layout


class LayoutError(ValueError):
    """What lies in the folder does not fit the manifest; the message names file and next step."""


@dataclass(frozen=True)
class Case:
    """One labelled image set of one patient.

    ``images`` maps a role (``image``, ``ct``, ``t1n``, …) to its file; ``row`` is the position
    inside an archive, else ``None``; ``split`` is the official one, if there is any.
    """

    id: str
    patient: str
    dataset: str
    images: dict[str, Path]
    label: int | None = None
    split: str | None = None
    row: int | None = None


@dataclass(frozen=True)
class Index:
    """All cases of a dataset folder and what was noticed while reading it."""

    manifest: Manifest
    root: Path
    cases: list[Case]
    notes: list[str] = field(default_factory=list)

    @property
    def labels(self) -> list[int]:
        """Label of each case; raises if a case has none."""
        missing = [c.id for c in self.cases if c.label is None]
        if missing:
            raise LayoutError(f"{self.manifest.id}: no label for {missing[:3]} ({len(missing)})")
        return [c.label for c in self.cases if c.label is not None]


def index(manifest: Manifest, root: Path) -> Index:
    """Return the cases found under ``root``, sorted by id, known issues applied.

    Raises:
        LayoutError: the folder holds nothing of the layout, a path names no patient, a label is
            not in the manifest, or two files claim one role of one case.
    """
    if manifest.layout is None:
        raise LayoutError(f"{manifest.id}: the manifest states no layout yet, so nothing to index")
    base = root / manifest.layout.root
    if not base.is_dir():
        raise LayoutError(
            f"{manifest.id}: expected the folder {base}, found none; "
            f"get or make the data (`medkd data show {manifest.id}`)"
        )
    reader = _index_npz if manifest.layout.kind == "npz" else _index_files
    cases = reader(manifest, manifest.layout, base)
    cases, notes = _apply_issues(cases, manifest.known_issues)
    if not cases:
        raise LayoutError(f"{manifest.id}: no file under {base} fits {manifest.layout.images}")
    return Index(manifest, root, sorted(cases, key=lambda c: c.id), notes)


def _index_files(manifest: Manifest, layout: Layout, base: Path) -> list[Case]:
    pattern = re.compile(layout.case_regex or "")
    label_ids = {v.name: v.id for v in manifest.labels.values} if manifest.labels else {}
    found: dict[str, Case] = {}
    for role, glob in layout.images.items():
        for path in sorted(base.glob(glob)):
            relative = path.relative_to(base).as_posix()
            if any(fnmatch(path.name, skip) for skip in layout.ignore):
                continue
            match = pattern.search(relative)
            if match is None:
                raise LayoutError(
                    f"{path}: expected a name like {layout.case_regex!r}, so that "
                    "the patient is known; rename the file or ignore it"
                )
            groups = match.groupdict()
            case_id = groups.get("case") or groups["patient"]
            label = groups.get("label")
            if label is not None and label not in label_ids:
                raise LayoutError(f"{path}: label {label!r} is not among {sorted(label_ids)}")
            known = found.get(case_id)
            if known and role in known.images:
                raise LayoutError(
                    f"{path}: case {case_id} has a {role} already: {known.images[role]}"
                )
            found[case_id] = Case(
                id=case_id,
                patient=groups["patient"],
                dataset=manifest.id,
                images={**(known.images if known else {}), role: path},
                label=label_ids[label] if label is not None else None,
                split=groups.get("split"),
            )
    return list(found.values())


def _index_npz(manifest: Manifest, layout: Layout, base: Path) -> list[Case]:
    path = base / layout.images["image"]
    if not path.is_file():
        raise LayoutError(
            f"{manifest.id}: expected {path}, found none; data_root is the folder "
            "that holds the archive"
        )
    valid = {v.id for v in manifest.labels.values} if manifest.labels else set()
    cases = []
    with np.load(path, allow_pickle=False) as archive:
        for split in ("train", "val", "test"):
            labels = archive[f"{split}_labels"].reshape(-1)
            for row, label in enumerate(labels.tolist()):
                if label not in valid:
                    raise LayoutError(
                        f"{path}: {split} row {row} has label {label}, expected one "
                        f"of {sorted(valid)}"
                    )
                case_id = f"{split}-{row:05d}"
                cases.append(
                    Case(case_id, case_id, manifest.id, {"image": path}, label, split, row)
                )
    return cases


def _apply_issues(cases: list[Case], issues: Sequence[KnownIssue]) -> tuple[list[Case], list[str]]:
    notes = []
    for issue in issues:
        hit = [c for c in cases if any(fnmatch(c.id, pattern) for pattern in issue.cases)]
        if not hit:
            continue
        notes.append(f"{issue.action} ({len(hit)} cases): {issue.what}")
        if issue.action == "exclude":
            cases = [c for c in cases if c not in hit]
        elif issue.action != "warn":
            raise LayoutError(
                f"known issue {issue.what!r}: action {issue.action!r} is not "
                "executable for this layout; the loader must not skip it silently"
            )
    return cases, notes
