"""Labels of whole cases from the dataset's own table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from medkd_lib.data.case import Case
from medkd_lib.data.manifest import Manifest
from medkd_lib.data.manifest_parts import Labels
from medkd_lib.data.problems import DataError, Problem
from medkd_lib.data.tables import read_table


def with_table(
    manifest: Manifest, base: Path, cases: list[Case], on_disk: Sequence[Case]
) -> tuple[list[Case], set[str], list[Problem]]:
    """Return the cases with their labels from ``layout.table``, broken ids, and what did not fit.

    A case without a row keeps ``label=None`` (a warning: images can be used without a label); a
    row without images is a warning too; a value outside the label space is an error and breaks
    the case.

    Args:
        manifest: names table and label space.
        base: the layout's root.
        cases: those that the known issues left.
        on_disk: all cases, so that a row of an excluded one is no surprise.
    """
    table = manifest.layout.table if manifest.layout else None
    labels = manifest.case_labels
    if table is None or labels is None:
        return cases, set(), []
    path = base / table.file
    try:
        rows = read_table(
            path, delimiter=table.delimiter, encoding=table.encoding,
            required=(table.key, table.label), unique=table.key,
        )  # fmt: skip
    except DataError as error:
        return cases, set(), [error.problem]
    names = _meanings(labels)
    value_of = {row[table.key]: row[table.label].strip() for row in rows}
    problems = []
    broken = set()
    out = []
    for case in cases:
        key = case.patient if table.by == "patient" else case.id
        value = value_of.get(key, "")
        if value and value not in names:
            broken.add(case.id)
            problems.append(
                Problem(
                    "unknown_label", f"{path} row {key}", f"one of {sorted(names)}", repr(value),
                    "correct the table, or the label space in the manifest",
                )
            )  # fmt: skip
        elif not value:
            problems.append(
                Problem(
                    "no_label", f"case {case.id}", f"a row {key!r} with {table.label} in {path}",
                    "no row" if key not in value_of else "an empty cell",
                    "the images can be used; leave the case out where the label is needed",
                    severity="warning",
                )
            )  # fmt: skip
        out.append(replace(case, label=names.get(value)))
    keys = {c.patient if table.by == "patient" else c.id for c in on_disk}
    problems += [
        Problem(
            "no_images", f"{path} row {key}", "images of this patient", "none",
            "harmless if only a part of the set was fetched", severity="warning",
        )
        for key in sorted(set(value_of) - keys)
    ]  # fmt: skip
    return out, broken, problems


def _meanings(labels: Labels) -> dict[str, int]:
    """Return which cell means which id: names, and ids where no name is another number.

    OASIS calls its class 2 "1", the clinical dementia rating: there a "3" is a rating that the
    label space does not have, and not the id of another one.
    """
    names = {v.name: v.id for v in labels.values}
    if any(_is_number(name) and name != str(number) for name, number in names.items()):
        return names
    return {str(v.id): v.id for v in labels.values} | names


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
