"""Grade a folder of handed-in lessons through otter-grader, one isolated run per student.

Nothing is graded before the solution has earned every point and the untouched lesson none: a
package missing from the grader would otherwise give a whole class zero without a word.
Student code runs with this user's rights; grade strangers' work inside a container.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from medkd_lib.course.build import as_text, build_lesson, build_solution
from medkd_lib.course.gradebook import Grade, write_table
from medkd_lib.course.otter import Bundle, make_bundle
from medkd_lib.course.otter_run import Outcome, run_otter
from medkd_lib.course.submission import (
    Submission,
    SubmissionError,
    known_cells,
    read_submission,
    submission_notebook,
)

KEY_BYTES = 32
NO_CASES: list[tuple[bool, str]] = []


class GradeError(RuntimeError):
    """Grading stopped before any student was graded; the message says why."""


def new_key(path: Path) -> Path:
    """Write a fresh secret key that only its owner can read.

    Raises:
        GradeError: the file is there already; losing a key changes every hidden check.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise GradeError(f"{path} is there already: keep it, or name another file") from error
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(os.urandom(KEY_BYTES).hex() + "\n")
    return path


def read_key(path: Path) -> bytes:
    """Read a key made by `new_key`.

    Raises:
        GradeError: no such file, or not a key.
    """
    if not path.is_file():
        raise GradeError(f"{path}: no key there; make one with `medkd course grade --new-key`")
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except ValueError as error:
        raise GradeError(f"{path}: expected {KEY_BYTES} bytes in hexadecimal") from error
    if len(key) != KEY_BYTES:
        raise GradeError(f"{path}: expected {KEY_BYTES} bytes in hexadecimal, found {len(key)}")
    return key


def submissions_in(folder: Path) -> list[Path]:
    """List the files handed in: every `.ipynb` directly in a folder.

    Raises:
        GradeError: there are none.
    """
    found = sorted(folder.glob("*.ipynb"))
    if not found:
        raise GradeError(f"{folder}: expected one NAME.ipynb per student, found none")
    return found


def grade(
    master: Path,
    submissions: list[Path],
    key: bytes,
    out: Path,
    *,
    jobs: int = 1,
    timeout_s: float = 180.0,
    progress: Callable[[Grade], None] | None = None,
) -> list[Grade]:
    """Grade handed-in lessons; write `out/grades.csv` and `out/grades.json`.

    Args:
        master: the lesson's master.
        submissions: the notebooks handed in; each gets a row, whatever it holds.
        key: the instructor's key, from `read_key`.
        out: everything goes here; it holds solutions and secrets, keep it private.
        jobs: how many submissions run side by side.
        timeout_s: seconds per run; a run that takes longer is repeated exercise by exercise.
        progress: called with each row as it is ready.

    Raises:
        GradeError: the solution misses a point or the untouched lesson earns one.
        BundleError: the autograder cannot be made.
    """
    twice = sorted(stem for stem, n in Counter(p.stem for p in submissions).items() if n > 1)
    if twice:
        raise GradeError(f"two files for the same student: {', '.join(twice)}; rename one")
    bundle = make_bundle(master, key, out / "bundle")
    known = known_cells(master)
    own = {"solution": build_solution(master), "untouched": build_lesson(master)}
    for name, notebook in own.items():
        (out / "bundle" / f"{name}.ipynb").write_text(as_text(notebook), encoding="utf-8")

    def grade_file(path: Path) -> Grade:
        row = grade_one(bundle, path, known, out / "work" / path.stem, timeout_s)
        if progress is not None and path in submissions:
            progress(row)
        return row

    with ThreadPoolExecutor(max_workers=max(1, jobs)) as pool:
        solved, untouched = pool.map(grade_file, [out / "bundle" / f"{name}.ipynb" for name in own])
        _trust(bundle, solved, untouched)
        rows = list(pool.map(grade_file, submissions))
    write_table(rows, out)
    return rows


def grade_one(
    bundle: Bundle, path: Path, known: Mapping[str, str], folder: Path, timeout_s: float
) -> Grade:
    """Grade one file. An exercise that hangs or kills the kernel costs that exercise only."""
    try:
        submission = read_submission(path, known)
    except SubmissionError as error:
        zero = {f"{c.exercise}/{c.name}": 0.0 for c in bundle.checks}
        return Grade(path.stem, zero, bundle.possible, {}, (str(error),), ())
    errors = list(submission.errors)
    outcome = _run(bundle, submission, bundle.exercises, folder, timeout_s)
    cases = dict(outcome.cases)
    if not _complete(bundle, outcome, bundle.exercises):
        cases = {}
        for exercise in bundle.exercises:
            alone = _run(bundle, submission, (exercise,), folder, timeout_s)
            if _complete(bundle, alone, (exercise,)):
                cases[exercise] = alone.cases[exercise]
            else:
                errors.append(f"{exercise}: {alone.problem or 'otter left checks out'}")
    points: dict[str, float] = {}
    messages: dict[str, str] = {}
    for exercise in bundle.exercises:
        checks = [c for c in bundle.checks if c.exercise == exercise]
        results = cases.get(exercise, NO_CASES) or [(False, "not graded")] * len(checks)
        for check, (passed, message) in zip(checks, results, strict=True):
            points[f"{exercise}/{check.name}"] = check.points if passed else 0.0
            if not passed:
                messages[f"{exercise}/{check.name}"] = f"{check.hint}\n{message}"
    return Grade(path.stem, points, bundle.possible, messages, tuple(errors), submission.review)


def _run(
    bundle: Bundle,
    submission: Submission,
    exercises: tuple[str, ...],
    folder: Path,
    timeout_s: float,
) -> Outcome:
    answers = {exercise: submission.answers[exercise] for exercise in exercises}
    return run_otter(submission_notebook(bundle.setup, answers), bundle.archive, folder, timeout_s)


def _complete(bundle: Bundle, outcome: Outcome, exercises: tuple[str, ...]) -> bool:
    wanted = {e: sum(c.exercise == e for c in bundle.checks) for e in exercises}
    return all(len(outcome.cases.get(e, NO_CASES)) == number for e, number in wanted.items())


def _trust(bundle: Bundle, solved: Grade, untouched: Grade) -> None:
    if solved.errors or solved.total != solved.possible:
        lost = [*solved.errors, *(f"{name}: {text}" for name, text in solved.messages.items())]
        raise GradeError(
            f"{bundle.master}: no one was graded, because the solution itself earns "
            f"{solved.total:g} of {solved.possible:g} points here. A package missing from this "
            "Python, or a wrong check? First findings:\n" + "\n".join(lost[:5])
        )
    if untouched.errors or untouched.total != 0:
        free = [*untouched.errors, *(name for name, points in untouched.checks.items() if points)]
        raise GradeError(
            f"{bundle.master}: no one was graded, because the untouched lesson earns "
            f"{untouched.total:g} points; mend these checks:\n" + "\n".join(free)
        )
