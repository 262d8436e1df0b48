"""`medkd run`: check everything first, run the notebooks side by side, keep what is finished.

::

    requests = make_requests(["04"], {"temperature": "2"}, caller=Path.cwd())
    outcomes = run_lessons(requests, caller=Path.cwd(), jobs=2)
    raise SystemExit(exit_code(outcomes))
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from medkd_lib.course.job import Request, claim_folder, digest, finished, held
from medkd_lib.course.locate import Lesson, find_lessons
from medkd_lib.course.outfolder import Place, copy_finished, open_out
from medkd_lib.course.parameters import ParameterError, read_parameters, validate
from medkd_lib.course.progress import Display, make_display
from medkd_lib.course.result import Result
from medkd_lib.course.supervise import Limits, Stopped, run_job
from medkd_lib.fingerprint import code_hash

# For notebooks that state no budget; a whole day where the profile is not one of the course's.
FALLBACK_BUDGETS = {"smoke": 60.0, "lesson": 240.0}
FALLBACK_TOTAL = 24 * 3600.0
STOP_AT_TIMES_BUDGET = 5


@dataclass(frozen=True)
class Outcome:
    """What became of one request: ``how`` is run, kept (same folder), or copied (earlier run)."""

    lesson: str
    folder: Path
    result: Result
    how: str = "run"

    @property
    def ok(self) -> bool:
        """Whether the notebook ran to its end."""
        return self.result.status == "ok"


def make_requests(
    lessons: Sequence[str],
    given: Mapping[str, object],
    *,
    caller: Path,
    profile: str | None = None,
    max_steps: int | None = None,
    solutions: bool = False,
) -> list[Request]:
    """Find the lessons and check the parameters of each, before anything starts.

    Raises:
        LessonError: a lesson is unknown.
        ParameterError: a parameter is wrong for one of the lessons; all complaints are told.
    """
    wanted = dict(given)
    wanted |= {} if profile is None else {"profile": profile}
    wanted |= {} if max_steps is None else {"max_steps": max_steps}
    requests, complaints = [], []
    for lesson in find_lessons(lessons, caller, solutions=solutions):
        try:
            requests.append(make_request(lesson, wanted, caller))
        except ParameterError as error:
            complaints.append(f"{lesson.name}: {error}")
    if complaints:
        raise ParameterError("\n".join(complaints))
    return requests


def make_request(lesson: Lesson, given: Mapping[str, object], caller: Path) -> Request:
    """Check ``given`` against the lesson's parameters cell.

    Raises:
        ParameterError: unknown name, wrong type or impossible value.
    """
    known = read_parameters(lesson.notebook) if lesson.has_parameters or given else []
    return Request(
        lesson,
        validate(known, given, caller),
        tuple(given),
        tuple(p.name for p in known if p.rule == "folder"),
    )


def run_lessons(
    requests: Sequence[Request],
    *,
    caller: Path,
    out: Path | None = None,
    jobs: int = 1,
    fresh: bool = False,
    cell_timeout: float | None = None,
    budget: float | None = None,
    report: bool = True,
    display: Display | None = None,
) -> list[Outcome]:
    """Run every request that is not finished yet, ``jobs`` at a time, and write the report.

    Args:
        requests: from `make_requests`.
        caller: the working folder of whoever asks; notebooks run in it.
        out: folder of the run folders; by default ``runs/<stamp>``, where an interrupted run of
            the same requests goes on, and finished runs are copied from earlier stamps.
        jobs: notebooks side by side.
        fresh: run again what is finished, too.
        cell_timeout: seconds for one cell; by default what is left of the notebook's time.
        budget: seconds for notebooks that state none; a notebook gets five times its budget.
        report: write ``index.html`` and ``results.csv`` at the end.
        display: where progress is shown; by default the terminal's standard error.

    Raises:
        RunnerError: a folder cannot be written, or another runner works in it.
        KeyboardInterrupt: passed on after everything started is ended; run folders that are not
            finished go on with the same command.
    """
    plan = [request.identity for request in requests]
    place = open_out(out, caller, request=digest(plan), fresh=fresh)
    folders: list[Path] = []
    for request in requests:
        folders.append(claim_folder(request, place.folder, folders))
    code = code_hash()
    stop = threading.Event()

    with display or make_display(len(requests)) as shown:

        def one(request: Request, folder: Path) -> Outcome:
            if stop.is_set():
                raise Stopped
            with held(folder):
                key = digest(request.key_parts(code))
                outcome = None if fresh else _finished_before(request, folder, key, place)
                if outcome is None:
                    limits = _limits(request, cell_timeout, budget)
                    shown.begins(folder.name, limits.budget)
                    result = run_job(
                        request,
                        folder,
                        key=key,
                        limits=limits,
                        caller=caller,
                        on_cell=partial(shown.cell, folder.name),
                        stop=stop,
                    )
                    outcome = Outcome(request.lesson.name, folder, result)
                shown.ends(folder.name, outcome.result, outcome.how)
                return outcome

        outcomes = _all(one, list(zip(requests, folders, strict=True)), jobs, stop)
        place.close()
        if report:
            from medkd_lib.course.report import write_report

            shown.says(f"Report: {write_report(place.folder)}")
    return outcomes


def exit_code(outcomes: Sequence[Outcome]) -> int:
    """Return 0 if every notebook ran to its end, else 1."""
    return 0 if all(outcome.ok for outcome in outcomes) else 1


def _all(
    work: Callable[[Request, Path], Outcome],
    pairs: Sequence[tuple[Request, Path]],
    jobs: int,
    stop: threading.Event,
) -> list[Outcome]:
    """Map ``work`` over ``pairs`` in threads; on Ctrl-C or an error, stop all and wait."""
    with ThreadPoolExecutor(max_workers=max(1, jobs)) as pool:
        futures = [pool.submit(work, *pair) for pair in pairs]
        try:
            return [future.result() for future in futures]
        except BaseException:
            stop.set()
            raise


def _finished_before(request: Request, folder: Path, key: str, place: Place) -> Outcome | None:
    if result := finished(folder, key):
        return Outcome(request.lesson.name, folder, result, "kept")
    if result := copy_finished(folder, key, request.lesson.name, place.siblings()):
        return Outcome(request.lesson.name, folder, result, "copied")
    return None


def _limits(request: Request, cell_timeout: float | None, budget: float | None) -> Limits:
    stated = request.lesson.budget(request.profile) or budget
    stated = stated or FALLBACK_BUDGETS.get(request.profile)
    total = STOP_AT_TIMES_BUDGET * stated if stated else FALLBACK_TOTAL
    return Limits(cell_timeout, total, stated)
