"""Patients and labels of single files, from lists that lie beside the folders of a split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from medkd_lib.data.case import Case
from medkd_lib.data.manifest import Manifest
from medkd_lib.data.manifest_layout import CaseList
from medkd_lib.data.problems import DataError, Problem, bad

FEWEST_COLUMNS = 4
"""Patient, file, label and source; what stands between the first and the last two is the name."""


@dataclass(frozen=True)
class ListedFile:
    """One line of a list.

    Attributes:
        patient: first column.
        label: last but one.
        source: last: the collection that the file came from.
        line: its number, from 1.
    """

    patient: str
    label: str
    source: str
    line: int


def read_list(path: Path) -> dict[str, ListedFile]:
    """Return what a list says, by the name of the file.

    Raises:
        DataError: ``missing_file``, ``ragged_row`` (fewer than four words), ``duplicate_key`` (a
            file named twice), ``wrong_encoding``.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise bad(
            "missing_file", path, expected="a list of patients and files", found="no such file",
            next_step="it belongs to the release: fetch it again",
        ) from error  # fmt: skip
    except UnicodeDecodeError as error:
        raise bad(
            "wrong_encoding", path, expected="UTF-8 text", found=str(error),
            next_step="fetch the file again",
        ) from error  # fmt: skip
    listed: dict[str, ListedFile] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        if len(words) < FEWEST_COLUMNS:
            raise bad(
                "ragged_row", f"{path} line {number}", expected="patient, file, label, source",
                found=repr(line), next_step="fetch the list again, or complete the line",
            )  # fmt: skip
        name = " ".join(words[1:-2])
        if name in listed:
            raise bad(
                "duplicate_key", path, expected="each file once",
                found=f"{name!r} in lines {listed[name].line} and {number}",
                next_step="keep one of the lines",
            )  # fmt: skip
        listed[name] = ListedFile(words[0], words[-2], words[-1], number)
    return listed


def with_lists(
    manifest: Manifest, base: Path, cases: list[Case], on_disk: Sequence[Case]
) -> tuple[list[Case], set[str], list[Problem]]:
    """Return the cases with patient and label from ``layout.lists``, broken ids, and problems.

    A file that no list names has no patient: an error, the case is broken. A label outside the
    label space likewise. A line without a file is a warning.

    Args:
        manifest: names the lists and the label space.
        base: the layout's root.
        cases: those that the known issues left.
        on_disk: all cases, so that a line of an excluded one is no surprise.
    """
    lists = manifest.layout.lists if manifest.layout else []
    if not lists:
        return cases, set(), []
    problems: list[Problem] = []
    by_path: dict[Path, ListedFile] = {}
    for one in lists:
        listed, found = _in_folder(one, base)
        by_path |= listed
        problems += found
    if problems:  # without a list nobody knows the patient: no case may be used
        return [], {case.id for case in cases}, problems
    labels = manifest.case_labels
    names = {v.name: v.id for v in labels.values} if labels else {}
    broken: set[str] = set()
    out: list[Case] = []
    for case in cases:
        (path,) = case.images.values()
        entry = by_path.get(path)
        if entry is None:
            broken.add(case.id)
            problems.append(
                Problem(
                    "no_patient", str(path), f"a line in {[one.file for one in lists]}", "none",
                    "list and folder are of two versions: fetch both again, or ignore the file",
                )
            )  # fmt: skip
            continue
        if entry.label not in names:
            broken.add(case.id)
            problems.append(
                Problem(
                    "unknown_label", str(path), f"one of the labels {sorted(names)}",
                    f"label {entry.label!r} in line {entry.line} of its list",
                    "correct the list, or the label space in the manifest",
                )
            )  # fmt: skip
            continue
        out.append(replace(case, patient=entry.patient, label=names[entry.label]))
    there = {path for case in on_disk for path in case.images.values()}
    problems += [
        Problem(
            "no_images", f"{path} (line {entry.line} of its list)", "a file", "none",
            "harmless if only a part of the set was fetched", severity="warning",
        )
        for path, entry in sorted(by_path.items())
        if path not in there
    ]  # fmt: skip
    return out, broken, problems


def _in_folder(one: CaseList, base: Path) -> tuple[dict[Path, ListedFile], list[Problem]]:
    """Return a list's lines by the path that each names; a list that cannot be read is told."""
    try:
        return {base / one.folder / n: e for n, e in read_list(base / one.file).items()}, []
    except DataError as error:
        return {}, [error.problem]
