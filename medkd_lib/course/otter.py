"""A master's exercises as an otter-grader problem set, and the autograder bundle made from it.

Every check becomes one otter test case that carries what it needs: the setup cell stands inside the
test, so nothing a student overwrites (`np`, the tensors, the small teacher) can change a grade, and
a hidden check carries a secret that only the instructor's key can give again.
"""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from medkd_lib.course import questions
from medkd_lib.course.build import KERNEL
from medkd_lib.course.exercise import secret_for
from medkd_lib.course.master import Master, read_master
from medkd_lib.course.questions import Check
from medkd_lib.course.structure import structure

GUARD = """
def _given(answer):
    assert answer is not None and answer is not ..., "not solved yet"
    return answer
_student = _given({student})
if callable(_student):
    {student} = lambda *args, **kwargs: _given(_student(*args, **kwargs))
"""
"""As in the lesson: an answer that gives nothing back is *not solved*, whatever the check asks."""

CONFIG = """# ASSIGNMENT CONFIG
init_cell: true
export_cell: false
solutions_pdf: false
template_pdf: false
tests:
    files: true
    ok_format: false
"""


class BundleError(RuntimeError):
    """The autograder could not be made; the message says why and what to do."""


@dataclass(frozen=True)
class Bundle:
    """An autograder and what it asks.

    Args:
        master: the master it was made from.
        archive: the autograder zip, for `otter run` and Gradescope; holds the secrets.
        checks: every check, in the order of the test cases within each exercise.
        setup: the setup cell that stands before each exercise.
    """

    master: Path
    archive: Path
    checks: tuple[Check, ...]
    setup: str

    @property
    def exercises(self) -> tuple[str, ...]:
        """The exercises' names in order."""
        return tuple(dict.fromkeys(check.exercise for check in self.checks))

    @property
    def possible(self) -> float:
        """All points there are."""
        return sum(check.points for check in self.checks)


def make_bundle(master: Path, key: bytes, out: Path) -> Bundle:
    """Write `out/problem_set.ipynb`, run `otter assign` on it, keep `out/autograder.zip`.

    Everything under `out` is the instructor's: it holds solutions, hidden checks and their secrets.

    Raises:
        BundleError: the exercises do not hold together, or otter fails.
    """
    read = read_master(master)
    wrong = [str(f) for f in structure(read) if f.severity == "error"]
    checks = tuple(questions.checks_in(read)) if not wrong else ()
    if wrong or not checks:
        wrong = wrong or [f"{master}: no exercises to grade"]
        raise BundleError("mend the master first (`medkd course check`):\n" + "\n".join(wrong))
    out.mkdir(parents=True, exist_ok=True)
    problem_set = out / "problem_set.ipynb"
    nbformat.write(problem_set_notebook(read, key), problem_set)
    archive = _assign(problem_set, out / "otter")
    bundle = Bundle(master, out / "autograder.zip", checks, questions.setup_source(read))
    shutil.copyfile(archive, bundle.archive)
    return bundle


def problem_set_notebook(master: Master, key: bytes) -> NotebookNode:
    """Write the exercises in otter's assign format: raw cells are its block markers."""
    code, raw = nbformat.v4.new_code_cell, nbformat.v4.new_raw_cell
    setup = questions.setup_source(master)
    cells = [raw(CONFIG), code(setup)]
    for exercise in master.exercises:
        cells += [raw(f"# BEGIN QUESTION\nname: {exercise}"), raw("# BEGIN SOLUTION")]
        cells += [code(cell.source) for cell in master.tagged("exercise", exercise)]
        cells += [raw("# END SOLUTION"), raw("# BEGIN TESTS")]
        for check in questions.checks_in(master, exercise):
            secret = secret_for(key, master.lesson, exercise, check.name)
            cells.append(code(_config(check) + standalone(check, setup, secret)))
        cells += [raw("# END TESTS"), raw("# END QUESTION")]
    metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    return nbformat.v4.new_notebook(cells=cells, metadata=metadata)


def standalone(check: Check, setup: str, secret: int) -> str:
    """Write a check as one function that needs nothing but the student's answer."""
    body = ast.parse(setup).body + ast.parse(GUARD.format(student=check.student)).body
    if check.takes_secret:
        body += ast.parse(f"secret = {secret}").body
    own = check.function.body[1:] if check.hint else check.function.body
    lines = [f"def {check.name}({check.student}):"]
    for statement in [*body, *own]:
        lines += ["    " + line for line in ast.unparse(statement).splitlines()]
    return "\n".join(lines) + "\n"


def _config(check: Check) -> str:
    # otter pastes the message between double quotes of a Python file as it is, so it comes escaped.
    escaped = json.dumps(check.hint, ensure_ascii=False)[1:-1]
    return (
        '""" # BEGIN TEST CONFIG\n'
        f"points: {float(check.points)}\n"
        f"hidden: {str(check.hidden).lower()}\n"
        f"failure_message: {json.dumps(escaped, ensure_ascii=False)}\n"
        '""" # END TEST CONFIG\n'
    )


def _assign(problem_set: Path, result: Path) -> Path:
    command = [sys.executable, "-X", "utf8", "-m", "otter", "assign"]
    command += [problem_set.name, str(result.resolve()), "--no-pdfs", "--no-run-tests"]
    shutil.rmtree(result, ignore_errors=True)
    run = subprocess.run(
        command, cwd=problem_set.parent, capture_output=True, text=True, check=False
    )
    archives = sorted((result / "autograder").glob("*.zip"))
    if run.returncode or not archives:
        tail = "\n".join((run.stdout + run.stderr).splitlines()[-15:])
        raise BundleError(
            f"`otter assign` made no autograder from {problem_set} (exit {run.returncode}); "
            f"is otter-grader installed (`pip install medkd[grade]`)?\n{tail}"
        )
    return archives[-1]
