"""Build notebooks from masters: the lesson a student opens, and its solution.

The same master gives the same bytes on every machine. A cell keeps its id when other cells are
inserted or edited, so that a change to one cell is a change to one place of the notebook.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from medkd_lib.course import stubs
from medkd_lib.course.master import Cell, Master, MasterError, read_master

KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


def build_lesson(master: Path) -> NotebookNode:
    """Build what a student opens: solutions become `...`, hidden checks are left out.

    Raises:
        MasterError: a solution marker is wrong; the message names file, cell and line.
    """
    return _build(read_master(master), stubs.stub)


def build_solution(master: Path) -> NotebookNode:
    """Build the solved notebook: the same cells, without the marker comments.

    Raises:
        MasterError: as for `build_lesson`.
    """
    return _build(read_master(master), stubs.solution)


def build_all(notebooks_dir: Path) -> list[Path]:
    """Write every lesson and solution of `notebooks_dir/masters`; give back what was written."""
    built = _built_texts(notebooks_dir)
    for path, text in built.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    return list(built)


def stale(notebooks_dir: Path) -> list[str]:
    """Say which committed notebooks are not what their master builds; empty when all are."""
    built = _built_texts(notebooks_dir)
    command = "run `medkd course build`"
    messages = []
    for path, text in built.items():
        if not path.is_file():
            messages.append(f"{path}: not built yet; {command}")
        elif path.read_text(encoding="utf-8") != text:
            messages.append(f"{path}: differs from what its master builds; {command}")
    on_disk = [*notebooks_dir.glob("*.ipynb"), *(notebooks_dir / "solutions").glob("*.ipynb")]
    for path in sorted(set(on_disk) - set(built)):
        messages.append(f"{path}: has no master; delete it or add masters/{path.stem}.py")
    return messages


def as_text(notebook: NotebookNode) -> str:
    """Give a notebook's file text: sorted keys, one space of indent, one newline at the end."""
    return nbformat.writes(notebook).rstrip("\n") + "\n"


def cell_ids(cells: list[tuple[Cell, str]]) -> list[str]:
    """Name each cell after what it is: its role in an exercise, or its kind and first line.

    Cells that share a name are counted: the first keeps the plain one.
    """
    seen: Counter[str] = Counter()
    ids = []
    for cell, source in cells:
        role = next((t for t in cell.tags if t in ("exercise", "check")), None)
        if role and cell.exercise:
            name = f"{role}-{cell.exercise}"
        else:
            first = next((line.strip() for line in source.splitlines() if line.strip()), "")
            digest = hashlib.sha256(f"{cell.kind}|{first}".encode()).hexdigest()[:10]
            name = f"{cell.kind}-{digest}"
        seen[name] += 1
        ids.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return ids


def _build(master: Master, version: Callable[[str], str]) -> NotebookNode:
    shown = [(c, _shown(master, c, version)) for c in master.cells if "hidden-check" not in c.tags]
    nodes = []
    for (cell, source), cell_id in zip(shown, cell_ids(shown), strict=True):
        make = {
            "code": nbformat.v4.new_code_cell,
            "markdown": nbformat.v4.new_markdown_cell,
            "raw": nbformat.v4.new_raw_cell,
        }[cell.kind]
        nodes.append(make(source, id=cell_id, metadata=cell.metadata))
    notebook = nbformat.v4.new_notebook(
        cells=nodes,
        metadata={
            "kernelspec": KERNEL,
            "language_info": {"name": "python"},
            "medkd": {
                "lesson": master.lesson,
                "title": master.title,
                "master_sha256": master.sha256,
                "budgets": master.budgets,
            },
        },
    )
    # The format's minor version that has cell ids; fixed, so that a newer nbformat changes nothing.
    notebook.nbformat_minor = 5
    nbformat.validate(notebook)
    return notebook


def _shown(master: Master, cell: Cell, version: Callable[[str], str]) -> str:
    if cell.kind != "code":
        return cell.source
    try:
        return version(cell.source)
    except stubs.MarkerError as error:
        raise MasterError(f"{master.place(cell, error.line)}: {error}") from error


def _built_texts(notebooks_dir: Path) -> dict[Path, str]:
    masters = sorted((notebooks_dir / "masters").glob("[0-9]*.py"))
    if not masters:
        raise MasterError(f"{notebooks_dir / 'masters'}: expected masters NN_topic.py, found none")
    built = {}
    for master in masters:
        built[notebooks_dir / f"{master.stem}.ipynb"] = as_text(build_lesson(master))
        solved = notebooks_dir / "solutions" / f"{master.stem}.ipynb"
        built[solved] = as_text(build_solution(master))
    return built
