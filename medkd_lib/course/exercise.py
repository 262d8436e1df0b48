"""Exercises in a lesson: checks that speak, never block, and remember what they saw.

A lesson makes one `Scoreboard`. A check is an ordinary function; the decorator runs it where it
stands, prints one line and keeps the result on that scoreboard. Nothing a student writes can stop
the lesson: `settle` goes on with the library's function until the student's own passes.
"""

from __future__ import annotations

import functools
import hmac
import inspect
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

Status = Literal["passed", "failed", "unsolved"]

PUBLIC_KEY = b"medkd: the open key of the open master"
"""Stands in for the instructor's key when a master runs as it is, hidden checks included."""


class NotSolvedError(Exception):
    """The student's function still gives nothing back."""


@dataclass(frozen=True)
class CheckResult:
    """What one check saw: `found` is empty unless it failed."""

    exercise: str
    name: str
    points: float
    hidden: bool
    status: Status
    hint: str
    found: str


class Scoreboard:
    """The checks of one lesson and their results.

    Args:
        lesson: the lesson's number, for example `"00"`; part of every hidden check's secret.

    Example:
        >>> score = Scoreboard("00")
        >>> def double(x): return 2 * x
        >>> @score.check("q1", double, points=1)
        ... def twice_three(double):
        ...     "Twice three is six."
        ...     assert double(3) == 6
        ✓ twice_three
    """

    def __init__(self, lesson: str) -> None:
        self.lesson = lesson
        self.results: dict[tuple[str, str], CheckResult] = {}
        self._students: dict[tuple[str, str], object] = {}
        self._announced: dict[str, str] = {}

    def check(
        self, exercise: str, student: object, points: float = 1
    ) -> Callable[[Callable[..., None]], CheckResult]:
        """Run the decorated function at once, as a check that the student may read.

        Args:
            exercise: the exercise's name, for example `"q1"`.
            student: what the student wrote; handed to the check as its first argument.
            points: what the check is worth when the exercise is handed in.
        """
        return lambda function: self._run(exercise, student, points, function, hidden=False)

    def hidden_check(
        self, exercise: str, student: object, points: float = 1
    ) -> Callable[[Callable[..., None]], CheckResult]:
        """Run the decorated function at once, as a check that no built lesson contains.

        A hidden check may take a second argument, `secret`: an integer to draw fresh inputs from.
        """
        return lambda function: self._run(exercise, student, points, function, hidden=True)

    def settle(self, exercise: str, *, student: Any, library: Any) -> Any:
        """Give back the student's object if it passed every visible check, else the library's."""
        seen = [key for key, r in self.results.items() if r.exercise == exercise and not r.hidden]
        name = getattr(library, "__name__", "answer")
        if seen and any(self._students[key] is not student for key in seen):
            print(f"{exercise} has changed since its checks ran: run them again.")
            print(f"→ {exercise}: the lesson goes on with the library's {name}.")
            return library
        if seen and all(self.results[key].status == "passed" for key in seen):
            print(f"→ {exercise}: the lesson goes on with what you wrote.")
            return student
        print(f"→ {exercise}: the lesson goes on with the library's {name}; yours can come later.")
        return library

    @property
    def all_passed(self) -> bool:
        """Whether there are checks and every one of them passed."""
        return bool(self.results) and all(r.status == "passed" for r in self.results.values())

    def as_dict(self) -> dict[str, Any]:
        """Plain data for a run folder: lesson, earned and possible points, every result."""
        results = list(self.results.values())
        return {
            "lesson": self.lesson,
            "points": sum(r.points for r in results if r.status == "passed"),
            "possible": sum(r.points for r in results),
            "checks": [asdict(r) for r in results],
        }

    def summary(self) -> str:
        """One line per exercise, for the end of a lesson."""
        lines = []
        for exercise in dict.fromkeys(r.exercise for r in self.results.values()):
            own = [r for r in self.results.values() if r.exercise == exercise]
            passed = sum(r.status == "passed" for r in own)
            lines.append(f"{exercise}: {passed} of {len(own)} checks passed")
        return "\n".join(lines) or "no checks have run yet"

    def _run(
        self,
        exercise: str,
        student: object,
        points: float,
        function: Callable[..., None],
        *,
        hidden: bool,
    ) -> CheckResult:
        name = function.__name__
        hint = " ".join((inspect.getdoc(function) or "").split())
        status: Status = "passed"
        found = ""
        try:
            if hidden and "secret" in inspect.signature(function).parameters:
                function(_watched(student), secret_for(PUBLIC_KEY, self.lesson, exercise, name))
            else:
                function(_watched(student))
        except NotSolvedError as error:
            status, found = "unsolved", str(error)
        # A student's code may raise anything, and a lesson must go on: the line below reports it.
        except (Exception, SystemExit) as error:
            status, found = "failed", _describe(error, student)
        result = CheckResult(exercise, name, points, hidden, status, hint, found)
        self.results[exercise, name] = result
        self._students[exercise, name] = student
        self._announce(result)
        return result

    def _announce(self, result: CheckResult) -> None:
        first_unsolved = self._announced.get(result.exercise)
        if result.status == "unsolved":
            # One line for the whole exercise, and again when its checks are run again.
            if first_unsolved in (None, result.name):
                self._announced[result.exercise] = result.name
                print(f"· {result.exercise} not solved yet ({result.found})")
            return
        if first_unsolved == result.name:
            del self._announced[result.exercise]
        if result.status == "passed":
            print(f"✓ {result.name}")
        else:
            print(f"✗ {result.name} — {result.hint}\n    found: {result.found}")


def secret_for(key: bytes, lesson: str, exercise: str, name: str) -> int:
    """Give one hidden check its integer in [0, 2⁶⁴): HMAC-SHA256 of its full name under `key`."""
    message = f"{lesson}/{exercise}/{name}".encode()
    return int.from_bytes(hmac.digest(key, message, "sha256")[:8], "big")


def _watched(student: object) -> object:
    """Wrap a callable so that giving back nothing reads as *not solved*, not as an error."""
    if student is None or student is ...:
        raise NotSolvedError("the answer is still `...`")
    if not callable(student):
        return student

    @functools.wraps(student)
    def watched(*args: Any, **kwargs: Any) -> Any:
        answer = student(*args, **kwargs)
        if answer is None or answer is ...:
            name = getattr(student, "__name__", "it")
            raise NotSolvedError(f"{name} gives back {answer!r}")
        return answer

    return watched


def _describe(error: BaseException, student: object) -> str:
    """Say what went wrong and, if the student's own code raised it, on which line."""
    frames = traceback.extract_tb(error.__traceback__)
    code = getattr(inspect.unwrap(student), "__code__", None) if callable(student) else None
    watch = next((i for i, frame in enumerate(frames) if frame.name == "watched"), len(frames))
    own = [frame for frame in frames[watch + 1 :] if code and frame.filename == code.co_filename]
    if isinstance(error, AssertionError) and not own:
        return str(error) or f"this did not hold: {frames[-1].line}"
    what = f"{type(error).__name__}: {error}"
    where = own[-1] if own else frames[-1]
    whose = "your code" if own else "the check"
    return f"{what} (line {where.lineno} of {whose}: {where.line})"
