"""Grading through otter: the solution earns all, the untouched nothing, each error its price."""

import csv
import importlib.util
import json
import os
import stat
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from itertools import zip_longest
from pathlib import Path
from types import ModuleType

import pytest
from nbformat import NotebookNode

from medkd_lib.course.build import as_text, build_lesson, build_solution
from medkd_lib.course.exercise import secret_for
from medkd_lib.course.grade import GradeError, grade, new_key, read_key, submissions_in
from medkd_lib.course.gradebook import Grade
from medkd_lib.course.master import read_master
from medkd_lib.course.otter import BundleError, make_bundle, standalone
from medkd_lib.course.otter_run import write_decoy
from medkd_lib.course.questions import checks_in, setup_source
from medkd_lib.course.submission import SubmissionError, known_cells, read_submission
from medkd_lib.fingerprint import PACKAGE
from tests.course import (
    planted_00,
    planted_01,
    planted_02,
    planted_03,
    planted_04,
    planted_05,
    planted_06,
    planted_07,
)
from tests.course.planted import Planted

MASTERS = Path(__file__).parents[2] / "notebooks/masters"
LESSONS = (
    planted_00, planted_01, planted_02, planted_03, planted_04, planted_05, planted_06, planted_07,
)  # fmt: skip
PLANTED = [(lesson, wrong) for lesson in LESSONS for wrong in lesson.PLANTED]
KEY = bytes(range(32))
KEYS = [KEY, bytes(32), b"\xff" * 32, *(bytes([n]) * 32 for n in range(1, 14))]

needs_otter = pytest.mark.skipif(
    importlib.util.find_spec("otter") is None, reason="otter-grader is not installed"
)

SMALL = '''# %% [markdown]
# # 01 · Small

# %% tags=["exercise-setup"]
import math

# %% tags=["exercise"] exercise="q1"
def double(x):
    # BEGIN SOLUTION
    return x + x
    # END SOLUTION

# %% tags=["check"] exercise="q1"
@score.check("q1", double, points=1)
def of_three(double):
    """Twice three is "six" (not \\\\pi)."""
    assert math.isclose(double(3), 6)

# %% tags=["hidden-check"] exercise="q1"
@score.hidden_check("q1", double, points=2)
def of_any(double, secret):
    """Twice any number."""
    assert double(secret) == 2 * secret

# %% tags=["exercise"] exercise="q2"
three = 3  # SOLUTION

# %% tags=["check"] exercise="q2"
@score.check("q2", three, points=1)
def is_three(three):
    """Three is three."""
    assert three == 3
'''


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "01_small.py"
    path.write_text(SMALL, encoding="utf-8")
    return path


def hand_in(folder: Path, master: Path, name: str, answers: dict[str, str | None]) -> Path:
    """Write a solved notebook with some exercises answered otherwise; None deletes the cell."""
    notebook = build_solution(master)
    kept = []
    for cell in notebook.cells:
        exercise = cell.metadata.get("exercise") if cell.id.startswith("exercise-") else None
        if exercise in answers:
            answer = answers[exercise]
            if answer is None:
                continue
            cell.source = answer
        kept.append(cell)
    notebook.cells = kept
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.ipynb"
    path.write_text(as_text(notebook), encoding="utf-8")
    return path


def lost(row: Grade) -> set[str]:
    return {name.split("/")[1] for name, points in row.checks.items() if points == 0}


def by_student(rows: Iterable[Grade]) -> dict[str, Grade]:
    return {row.student: row for row in rows}


def exercises_of(lesson: ModuleType) -> list[str]:
    return sorted({wrong.exercise for wrong in lesson.PLANTED})


def tripped_by(source: str, lesson: ModuleType, exercise: str, key: bytes) -> set[str]:
    """Run an exercise's checks on an answer as the autograder does; name those it fails."""
    master = read_master(MASTERS / f"{lesson.MASTER}.py")
    setup = setup_source(master)
    given: dict = {}
    exec(setup, given)
    exec(source, given)
    tripped = set()
    for check in checks_in(master, exercise):
        names: dict = {}
        secret = secret_for(key, master.lesson, check.exercise, check.name)
        exec(standalone(check, setup, secret), names)
        try:
            names[check.name](given[check.student])
        except Exception:
            tripped.add(check.name)
    return tripped


def answer_in(notebook: NotebookNode, exercise: str) -> str:
    cells = [c for c in notebook.cells if c.metadata.get("exercise") == exercise]
    return "\n".join(c.source for c in cells if "exercise" in c.metadata.tags)


@pytest.mark.parametrize(
    ("lesson", "wrong"),
    [(lesson, wrong) for lesson, wrong in PLANTED if not wrong.review],
    ids=[f"{lesson.MASTER[:2]}-{p.exercise}-{p.name}" for lesson, p in PLANTED if not p.review],
)
def test_planted_answers_trip_their_checks_whatever_the_key(
    lesson: ModuleType, wrong: Planted
) -> None:
    for key in KEYS[:3]:
        assert tripped_by(wrong.source, lesson, wrong.exercise, key) == wrong.loses


@pytest.mark.parametrize(
    ("lesson", "exercise"),
    [(lesson, exercise) for lesson in LESSONS for exercise in exercises_of(lesson)],
    ids=lambda value: value if isinstance(value, str) else value.MASTER[:2],
)
def test_the_solution_trips_nothing_and_the_stub_everything_whatever_the_key(
    lesson: ModuleType, exercise: str
) -> None:
    path = MASTERS / f"{lesson.MASTER}.py"
    checks = {check.name for check in checks_in(read_master(path), exercise)}
    solution, stub = (answer_in(build(path), exercise) for build in (build_solution, build_lesson))
    for key in KEYS:
        assert tripped_by(solution, lesson, exercise, key) == set()
    assert tripped_by(stub, lesson, exercise, KEY) == checks


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.MASTER[:2])
def test_every_exercise_has_its_wrong_answers_and_every_check_catches_one(
    lesson: ModuleType,
) -> None:
    checks = checks_in(read_master(MASTERS / f"{lesson.MASTER}.py"))
    honest = [wrong for wrong in lesson.PLANTED if not wrong.review]
    number = Counter(wrong.exercise for wrong in honest)
    assert number.keys() == {check.exercise for check in checks} and min(number.values()) >= 4
    assert {check.name for check in checks} == {name for wrong in honest for name in wrong.loses}


@needs_otter
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.MASTER[:2])
def test_each_planted_answer_loses_exactly_its_points(lesson: ModuleType, tmp_path: Path) -> None:
    handed, master = tmp_path / "handed", MASTERS / f"{lesson.MASTER}.py"
    # Exercises are graded apart, so that one student errs in all: a fraction to run.
    by_exercise = [
        [p for p in lesson.PLANTED if p.exercise == exercise] for exercise in exercises_of(lesson)
    ]
    students = {
        f"student{number:02d}": [p for p in some if p]
        for number, some in enumerate(zip_longest(*by_exercise))
    }
    for name, planted in students.items():
        hand_in(handed, master, name, {p.exercise: p.source for p in planted})
    rows = by_student(grade(master, submissions_in(handed), KEY, tmp_path / "out", jobs=2))
    price = {check.name: check.points for check in checks_in(read_master(master))}
    assert {name: (lost(row), row.errors) for name, row in rows.items()} == {
        name: (frozenset().union(*(p.loses for p in planted)), ())
        for name, planted in students.items()
    }
    for name, planted in students.items():
        missed = sum(price[check] for p in planted for check in p.loses)
        assert rows[name].total == lesson.POSSIBLE - missed
        assert rows[name].review == tuple(word for p in planted for word in p.review)


FREE = "import importlib, site, sys\nsys.path[:] = [p for p in sys.path if 'decoy' not in p]\n"
WAYS = {
    "named": "import medkd_lib.fingerprint",
    "loaded": "import importlib\nimportlib.import_module('medkd_lib.fingerprint')",
    "decoy removed": FREE + "import medkd_lib.fingerprint",
    "decoy removed, loaded": FREE + "importlib.import_module('medkd_lib.fingerprint')",
    "path put back": FREE + f"sys.path.append({str(PACKAGE.parent)!r})\n"
    "sys.meta_path[:] = [f for f in sys.meta_path if isinstance(f, type)]\n"
    "importlib.import_module('medkd_lib.fingerprint')",
    "by its file": "from importlib.util import module_from_spec, spec_from_file_location\n"
    f"spec = spec_from_file_location('mine', {str(PACKAGE / 'fingerprint.py')!r})\n"
    "spec.loader.exec_module(module_from_spec(spec))",
    "read": f"open({str(PACKAGE / 'fingerprint.py')!r}).read()",
    "read from where it lies": f"import os\nos.chdir({str(PACKAGE)!r})\n"
    "from pathlib import Path\nPath('fingerprint.py').read_bytes()",
    "beside it": "import benchmarks.runner",
}


@pytest.mark.parametrize("way", WAYS)
def test_no_way_to_the_answers_stays_open(tmp_path: Path, way: str) -> None:
    write_decoy(tmp_path / "decoy")
    ended = {}
    for name, path in {"free": [], "guarded": [tmp_path / "decoy"]}.items():
        (tmp_path / name).mkdir()
        python_path = os.pathsep.join(map(str, [*path, PACKAGE.parent]))
        ended[name] = subprocess.run(
            [sys.executable, "-c", WAYS[way]],
            cwd=tmp_path / name,
            env=os.environ | {"PYTHONPATH": python_path},
            capture_output=True,
            text=True,
            check=False,
        )
    assert ended["free"].returncode == 0, ended["free"].stderr
    assert ended["guarded"].returncode == 1
    last = ended["guarded"].stderr.splitlines()[-1]
    assert last.startswith(("ImportError: medkd_lib is not available", "ModuleNotFoundError: No"))


@needs_otter
@pytest.mark.slow
def test_trouble_costs_one_exercise_or_one_row(small: Path, tmp_path: Path) -> None:
    handed = tmp_path / "handed"
    hand_in(handed, small, "right", {})
    hand_in(handed, small, "hangs", {"q1": "import time\ntime.sleep(10**6)"})
    hand_in(handed, small, "dies", {"q1": "import os\nos._exit(7)"})
    hand_in(handed, small, "leaves", {"q1": "import sys\ndef double(x): sys.exit()"})
    hand_in(handed, small, "raises", {"q2": "three = 1 / 0"})
    hand_in(handed, small, "syntax", {"q2": "three = ("})
    hand_in(handed, small, "deleted", {"q2": None})
    hand_in(handed, small, "overwrites", {"q1": "import math\nmath = None\ndouble = abs"})
    hand_in(handed, small, "imports", {"q2": "import medkd_lib\nthree = 3"})
    (handed / "broken.ipynb").write_text('{"cells": [', encoding="utf-8")
    (handed / "not_a_notebook.ipynb").write_text("[1, 2]", encoding="utf-8")
    seen: list[str] = []
    rows = by_student(
        grade(
            small,
            submissions_in(handed),
            KEY,
            tmp_path / "out",
            jobs=2,
            timeout_s=60,
            progress=lambda row: seen.append(row.student),
        )
    )
    assert {name: row.total for name, row in rows.items()} == {
        "right": 4,
        "hangs": 1,
        "dies": 1,
        "leaves": 1,
        "raises": 3,
        "syntax": 3,
        "deleted": 3,
        "overwrites": 1,
        "imports": 3,
        "broken": 0,
        "not_a_notebook": 0,
    }
    assert sorted(seen) == sorted(rows)
    assert rows["hangs"].errors == ("q1: did not finish within 60 s",)
    assert "q1: otter gave no result" in rows["dies"].errors[0]
    assert "q2: its cell is missing" in rows["deleted"].errors[0]
    assert "JSON is broken" in rows["broken"].errors[0]
    assert "has no cells" in rows["not_a_notebook"].errors[0]
    assert rows["imports"].review == ("medkd_lib",)
    assert str(rows["imports"]) == "imports: 3 of 4 (75 %) · look at 'medkd_lib'"
    assert "Twice any number" in rows["hangs"].messages["q1/of_any"]
    lines = (tmp_path / "out" / "grades.csv").read_text(encoding="utf-8").splitlines()
    table = list(csv.DictReader(lines))
    assert {row["student"]: float(row["total"]) for row in table}["raises"] == 3
    assert {row["student"]: float(row["percent"]) for row in table}["hangs"] == 25
    data = json.loads((tmp_path / "out" / "grades.json").read_text(encoding="utf-8"))
    assert data[0]["checks"].keys() == {"q1/of_three", "q1/of_any", "q2/is_three"}
    assert not list((tmp_path / "out" / "work").glob("*"))


@needs_otter
@pytest.mark.slow
def test_no_one_is_graded_by_a_grader_that_fails_the_solution(tmp_path: Path, small: Path) -> None:
    # A package that is missing where the grading runs shows as a solution below 100 %.
    small.write_text(SMALL.replace("import math", "import math, no_such_package"), encoding="utf-8")
    with pytest.raises(GradeError, match=r"no one was graded, because the solution itself earns 0"):
        grade(small, [hand_in(tmp_path / "in", small, "a", {})], KEY, tmp_path / "out")
    assert not (tmp_path / "out" / "grades.csv").exists()


@needs_otter
@pytest.mark.slow
def test_no_one_is_graded_when_the_untouched_lesson_earns_points(
    tmp_path: Path, small: Path
) -> None:
    free = SMALL.replace("three = 3  # SOLUTION", "three = 3\nfour = 4  # SOLUTION")
    small.write_text(free, encoding="utf-8")
    with pytest.raises(GradeError, match=r"(?s)untouched lesson earns 1 points.*q2/is_three"):
        grade(small, [], KEY, tmp_path / "out")


@needs_otter
def test_the_bundle_keeps_points_hints_and_secrets(tmp_path: Path, small: Path) -> None:
    bundle = make_bundle(small, KEY, tmp_path / "bundle")
    assert (bundle.possible, bundle.exercises) == (4, ("q1", "q2"))
    assert bundle.archive.is_file()
    student = (tmp_path / "bundle" / "otter" / "student" / "problem_set.ipynb").read_text("utf-8")
    tests = tmp_path / "bundle" / "otter" / "student" / "tests"
    shown = student + "".join(path.read_text("utf-8") for path in tests.glob("*.py"))
    secret = str(secret_for(KEY, "01", "q1", "of_any"))
    hidden = (tmp_path / "bundle" / "otter" / "autograder" / "tests" / "q1.py").read_text("utf-8")
    assert secret in hidden and "of_any" in hidden
    assert secret not in shown and "of_any" not in shown and "x + x" not in shown
    names: dict = {}
    exec(hidden, names)
    assert names["of_three"].failure_message == 'Twice three is "six" (not \\pi).'
    assert [(names[n].points, names[n].hidden) for n in ("of_three", "of_any")] == [
        (1.0, False),
        (2.0, True),
    ]


def test_a_master_that_does_not_hold_together_makes_no_bundle(tmp_path: Path, small: Path) -> None:
    small.write_text(SMALL.replace('"""Three is three."""', "pass"), encoding="utf-8")
    with pytest.raises(BundleError, match="is_three has no docstring"):
        make_bundle(small, KEY, tmp_path / "bundle")


def test_a_standalone_check_guards_against_unsolved_answers(small: Path) -> None:
    master = read_master(small)
    (check,) = [c for c in checks_in(master) if c.name == "is_three"]
    names: dict = {}
    exec(standalone(check, setup_source(master), 0), names)
    names["is_three"](3)
    for unsolved in (None, ...):
        with pytest.raises(AssertionError, match="not solved yet"):
            names["is_three"](unsolved)


def test_answers_are_found_by_metadata_then_by_id_and_nothing_else_is_taken(
    tmp_path: Path, small: Path
) -> None:
    path = hand_in(tmp_path / "in", small, "ann", {"q2": "three = 3  # mine"})
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        cell["metadata"] = {}  # as some tools leave it
    notebook["cells"].append({"cell_type": "code", "source": ["import os\n"], "metadata": {}})
    path.write_text(json.dumps(notebook), encoding="utf-8")
    submission = read_submission(path, known_cells(small))
    assert submission.student == "ann" and submission.errors == ()
    assert submission.answers["q2"] == ("three = 3  # mine",)
    assert "import os" not in str(submission.answers)


def test_the_untouched_lesson_is_read_as_stubs(tmp_path: Path, small: Path) -> None:
    path = tmp_path / "bob.ipynb"
    path.write_text(as_text(build_lesson(small)), encoding="utf-8")
    answers = read_submission(path, known_cells(small)).answers
    assert answers == {"q1": ("def double(x):\n    ...",), "q2": ("three = ...",)}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "JSON is broken"),
        (b"\xff\xfe\x00", "JSON is broken"),
        (b"{}", "has no cells"),
        (b'{"cells": [1]}', "has no cells"),
        (b'{"worksheets": []}', "has no cells"),
        (b"[" * 100_000, "JSON is broken"),
    ],
)
def test_what_is_no_notebook_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "x.ipynb"
    path.write_bytes(content)
    with pytest.raises(SubmissionError, match=says):
        read_submission(path, {"exercise-q1": "q1"})


def test_keys(tmp_path: Path) -> None:
    path = new_key(tmp_path / "instructor.key")
    assert len(read_key(path)) == 32
    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(GradeError, match="is there already"):
        new_key(path)
    with pytest.raises(GradeError, match="make one with `medkd course grade --new-key`"):
        read_key(tmp_path / "none.key")
    path.write_text("abc", encoding="ascii")
    with pytest.raises(GradeError, match="expected 32 bytes in hexadecimal"):
        read_key(path)


def test_no_submissions_and_doubled_students_are_errors(tmp_path: Path, small: Path) -> None:
    with pytest.raises(GradeError, match=r"expected one NAME\.ipynb per student, found none"):
        submissions_in(tmp_path)
    twice = [tmp_path / "a" / "ann.ipynb", tmp_path / "b" / "ann.ipynb"]
    with pytest.raises(GradeError, match="two files for the same student: ann"):
        grade(small, twice, KEY, tmp_path / "out")
