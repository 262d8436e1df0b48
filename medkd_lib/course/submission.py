"""Take the exercise cells, and nothing else, out of a notebook that somebody handed in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from medkd_lib.course.build import KERNEL, build_lesson

LARGEST = 50 * 2**20
"""Bytes; a lesson with all its figures is a few MB."""

SUSPICIOUS = (
    "medkd_lib",
    "importlib",
    "sys.path",
    "sys.meta_path",
    "__import__",
    "open(",
    "subprocess",
    "torchdistill",
)
"""Words in an exercise cell that a person should look at; they cost no points."""


class SubmissionError(ValueError):
    """A file that was handed in is not a notebook of this lesson."""


@dataclass(frozen=True)
class Submission:
    """What one student answered.

    Args:
        student: the file's stem.
        answers: each exercise's cells in the order of the notebook.
        errors: what is missing or odd.
        review: the suspicious words found in the answers.
    """

    student: str
    answers: Mapping[str, tuple[str, ...]]
    errors: tuple[str, ...]
    review: tuple[str, ...]


def known_cells(master: Path) -> dict[str, str]:
    """Map the ids of a lesson's exercise cells to their exercises."""
    cells = build_lesson(master).cells
    return {c.id: c.metadata.exercise for c in cells if "exercise" in c.metadata.get("tags", ())}


def read_submission(path: Path, known: Mapping[str, str]) -> Submission:
    """Read a notebook; its outputs and every other cell are left alone and never run.

    Args:
        path: the file that was handed in.
        known: the lesson's exercise cells, from `known_cells`.

    Raises:
        SubmissionError: not a file, too large, not JSON, or not a notebook.
    """
    cells = _cells(path)
    exercises = tuple(dict.fromkeys(known.values()))
    answers: dict[str, list[str]] = {exercise: [] for exercise in exercises}
    for cell in cells:
        exercise = _exercise_of(cell, known)
        if exercise in answers:
            source = cell.get("source", "")
            answers[exercise].append("".join(source) if isinstance(source, list) else str(source))
    errors = [
        f"{exercise}: its cell is missing (metadata exercise={exercise!r}); was it deleted?"
        for exercise in exercises
        if not answers[exercise]
    ]
    text = "\n".join(source for sources in answers.values() for source in sources)
    review = tuple(word for word in SUSPICIOUS if word in text)
    kept = {exercise: tuple(sources) for exercise, sources in answers.items()}
    return Submission(path.stem, kept, tuple(errors), review)


def submission_notebook(setup: str, answers: Mapping[str, tuple[str, ...]]) -> NotebookNode:
    """Write the notebook that is graded: the setup, and each answer with its checks behind it."""
    cells = [nbformat.v4.new_code_cell(setup, id="setup")]
    for exercise, sources in answers.items():
        nodes = [
            nbformat.v4.new_code_cell(source, id=f"{exercise}-{number}")
            for number, source in enumerate(sources)
        ]
        if nodes:  # otter runs the tests named here right behind the cell
            nodes[-1].metadata["otter"] = {"tests": [exercise]}
        cells += nodes
    metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    return nbformat.v4.new_notebook(cells=cells, metadata=metadata)


def _cells(path: Path) -> list[dict[str, object]]:
    if not path.is_file():
        raise SubmissionError(f"{path}: expected a notebook file, found none")
    if path.stat().st_size > LARGEST:
        raise SubmissionError(f"{path}: larger than {LARGEST // 2**20} MB; clear its outputs first")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise SubmissionError(f"{path}: not a notebook, its JSON is broken ({error})") from error
    cells = content.get("cells") if isinstance(content, dict) else None
    if not isinstance(cells, list) or not all(isinstance(cell, dict) for cell in cells):
        raise SubmissionError(f"{path}: JSON, but not a notebook of format 4: it has no cells")
    return cells


def _exercise_of(cell: Mapping[str, object], known: Mapping[str, str]) -> str | None:
    """Name the exercise a cell answers: by its metadata, else by its id in the lesson."""
    if cell.get("cell_type") != "code":
        return None
    metadata = cell.get("metadata")
    if isinstance(metadata, dict):
        tags = metadata.get("tags")
        exercise = metadata.get("exercise")
        if isinstance(exercise, str) and isinstance(tags, list) and "exercise" in tags:
            return exercise
    cell_id = cell.get("id")
    return known.get(cell_id) if isinstance(cell_id, str) else None
