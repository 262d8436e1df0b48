"""A master's exercises as an nbgrader source notebook, for courses that already run nbgrader.

nbgrader needs no package of ours or otter's on the student's machine. Its graders restore the
locked cells from the source, so the hidden checks come back when a notebook is graded.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from medkd_lib.course import questions, stubs
from medkd_lib.course.build import KERNEL
from medkd_lib.course.exercise import secret_for
from medkd_lib.course.master import Cell, MasterError, read_master
from medkd_lib.course.otter import standalone
from medkd_lib.course.questions import Check
from medkd_lib.course.structure import structure

BEGIN_HIDDEN, END_HIDDEN = "# BEGIN HIDDEN TESTS", "# END HIDDEN TESTS"

CONFIG = f'''"""Settings for notebooks made by medkd: their markers, and time for torch to load."""

c = get_config()  # noqa: F821
c.ClearSolutions.begin_solution_delimeter = "# BEGIN SOLUTION"
c.ClearSolutions.end_solution_delimeter = "# END SOLUTION"
c.ClearSolutions.code_stub = {{"python": "..."}}
c.ClearHiddenTests.begin_test_delimeter = "{BEGIN_HIDDEN}"
c.ClearHiddenTests.end_test_delimeter = "{END_HIDDEN}"
c.Execute.timeout = 120
'''
"""The text of `nbgrader_config.py`."""


def nbgrader_source(master: Path, key: bytes) -> NotebookNode:
    """Build the instructor's source notebook: exercises, their prose, and one cell per check.

    It holds solutions and secrets: nbgrader takes them out of what it releases.

    Raises:
        MasterError: the exercises do not hold together.
    """
    read = read_master(master)
    wrong = [str(f) for f in structure(read) if f.severity == "error"]
    if wrong:
        raise MasterError("mend the master first (`medkd course check`):\n" + "\n".join(wrong))
    setup = questions.setup_source(read)
    cells = [_cell(setup, "setup", locked=True)]
    for number, cell in enumerate(read.cells):
        if "exercise" in cell.tags:
            cells += _prose_above(read.cells[:number])
            name = f"{cell.exercise}-answer-{number}"
            cells.append(_cell(stubs.blocked(cell.source), name, solution=True))
        elif set(questions.TAGS) & set(cell.tags):
            for place, check in enumerate(questions.checks_of(cell), start=1):
                secret = secret_for(key, read.lesson, check.exercise, check.name)
                cells.append(_check_cell(check, setup, secret, f"{number}-{place}"))
    metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    return nbformat.v4.new_notebook(cells=cells, metadata=metadata)


def write_nbgrader(master: Path, key: bytes, course: Path) -> tuple[Path, Path]:
    """Write `course/nbgrader_config.py` and `course/source/NN_topic/NN_topic.ipynb`."""
    config = course / "nbgrader_config.py"
    source = course / "source" / master.stem / f"{master.stem}.ipynb"
    source.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(CONFIG, encoding="utf-8", newline="\n")
    nbformat.write(nbgrader_source(master, key), source)
    return config, source


def _check_cell(check: Check, setup: str, secret: int, place: str) -> NotebookNode:
    # The student's copy keeps this id: a hidden check must not be told by its name.
    name = f"{check.exercise}-{'hidden' if check.hidden else 'check'}-{place}"
    call = f"{check.name}({check.student})"
    if not check.hidden:
        text = f"# {check.hint}\n{standalone(check, '', secret)}\n{call}"
        return _cell(text, name, points=check.points)
    # The setup stands inside a hidden check, so nothing a student overwrites can change it.
    body = f"{standalone(check, setup, secret)}\n{call}"
    text = f"# A hidden check runs here when the notebook is graded.\n{BEGIN_HIDDEN}\n{body}"
    return _cell(f"{text}\n{END_HIDDEN}", name, points=check.points)


def _prose_above(cells: tuple[Cell, ...]) -> list[NotebookNode]:
    """Take the markdown cell right above an exercise along: it is the question."""
    if not cells or cells[-1].kind != "markdown":
        return []
    return [nbformat.v4.new_markdown_cell(cells[-1].source, id=f"prose-{cells[-1].number}")]


def _cell(
    source: str,
    name: str,
    *,
    points: float | None = None,
    solution: bool = False,
    locked: bool = False,
) -> NotebookNode:
    graded = points is not None
    metadata: dict[str, Any] = {
        "schema_version": 3,
        "grade_id": name,
        "grade": graded,
        "solution": solution,
        "locked": locked or graded,
        "task": False,
    }
    if graded:
        metadata["points"] = points
    cell_id = name[:64]
    return nbformat.v4.new_code_cell(source, id=cell_id, metadata={"nbgrader": metadata})
