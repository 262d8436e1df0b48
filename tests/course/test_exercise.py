"""Checks speak, never block, and remember."""

import runpy
from pathlib import Path

import pytest

from medkd_lib.course.exercise import PUBLIC_KEY, Scoreboard, secret_for
from medkd_lib.course.master import read_master

MASTER = Path(__file__).parents[2] / "notebooks/masters/00_distillation_in_one_hour.py"


def right(x: float) -> float:
    return 2 * x


def wrong(x: float) -> float:
    return 3 * x


def unsolved(x: float) -> None: ...


def crashing(x: float) -> float:
    return x / 0


def _ask(score: Scoreboard, double: object) -> None:
    @score.check("q1", double, points=1)
    def of_three(double):
        """Twice three is six."""
        assert double(3) == 6, f"expected 6, got {double(3)}"

    @score.check("q1", double, points=1)
    def of_zero(double):
        """Twice nothing
        is nothing."""
        assert double(0) == 0


def test_right_answer(capsys: pytest.CaptureFixture[str]) -> None:
    score = Scoreboard("00")
    _ask(score, right)
    assert capsys.readouterr().out == "✓ of_three\n✓ of_zero\n"
    assert score.all_passed
    assert score.settle("q1", student=right, library=abs) is right
    assert "goes on with what you wrote" in capsys.readouterr().out


def test_wrong_answer_gives_hint_and_finding(capsys: pytest.CaptureFixture[str]) -> None:
    score = Scoreboard("00")
    _ask(score, wrong)
    out = capsys.readouterr().out
    assert out.startswith("✗ of_three — Twice three is six.\n    found: expected 6, got 9\n")
    assert out.endswith("✓ of_zero\n")
    assert not score.all_passed
    assert score.settle("q1", student=wrong, library=abs) is abs
    assert "the library's abs" in capsys.readouterr().out


@pytest.mark.parametrize("answer", [unsolved, ..., None, lambda x: ...])
def test_unsolved_is_said_once_and_again_on_a_second_run(
    answer: object, capsys: pytest.CaptureFixture[str]
) -> None:
    score = Scoreboard("00")
    _ask(score, answer)
    out = capsys.readouterr().out
    assert out.startswith("· q1 not solved yet (") and out.count("\n") == 1
    _ask(score, answer)
    assert capsys.readouterr().out.count("not solved yet") == 1
    assert score.settle("q1", student=answer, library=abs) is abs


def test_a_crash_is_reported_with_type_message_and_line(capsys: pytest.CaptureFixture[str]) -> None:
    score = Scoreboard("00")
    _ask(score, crashing)
    line = crashing.__code__.co_firstlineno + 1
    found = f"ZeroDivisionError: division by zero (line {line} of your code: return x / 0)"
    assert f"found: {found}" in capsys.readouterr().out


PLAIN = """
from medkd_lib.course.exercise import Scoreboard
score = Scoreboard("00")
@score.check("q1", lambda x: 6, points=1)
def of_zero(double):
    "Twice nothing is nothing."
    assert double(0) == 0
"""


def test_a_check_without_message_shows_its_own_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # In a file of its own: pytest rewrites the asserts of this one.
    path = tmp_path / "plain.py"
    path.write_text(PLAIN, encoding="utf-8")
    runpy.run_path(str(path))
    assert "found: this did not hold: assert double(0) == 0\n" in capsys.readouterr().out


def test_even_an_exit_does_not_end_the_lesson(capsys: pytest.CaptureFixture[str]) -> None:
    score = Scoreboard("00")

    def leaves(x: float) -> float:
        raise SystemExit(3)

    _ask(score, leaves)
    assert "SystemExit: 3" in capsys.readouterr().out


def test_values_can_be_checked_too(capsys: pytest.CaptureFixture[str]) -> None:
    score = Scoreboard("00")

    @score.check("q2", 3, points=1)
    def is_three(x):
        """x is three."""
        assert x == 3

    assert capsys.readouterr().out == "✓ is_three\n"


def test_an_answer_changed_after_its_checks_is_not_trusted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    score = Scoreboard("00")
    _ask(score, right)
    assert score.settle("q1", student=wrong, library=abs) is abs
    assert "has changed since its checks ran" in capsys.readouterr().out


def test_no_checks_means_not_passed() -> None:
    score = Scoreboard("00")
    assert not score.all_passed
    assert score.settle("q1", student=right, library=abs) is abs
    assert score.summary() == "no checks have run yet"


def test_summary_and_plain_data(capsys: pytest.CaptureFixture[str]) -> None:
    score = Scoreboard("00")
    _ask(score, wrong)
    assert score.summary() == "q1: 1 of 2 checks passed"
    data = score.as_dict()
    assert (data["points"], data["possible"]) == (1, 2)
    assert [c["status"] for c in data["checks"]] == ["failed", "passed"]


def test_hidden_checks_get_their_public_secret() -> None:
    score = Scoreboard("00")
    seen = []

    @score.hidden_check("q1", right, points=1)
    def any_number(double, secret):
        """Twice any number."""
        seen.append(secret)
        assert double(secret) == 2 * secret

    assert any_number.status == "passed" and any_number.hidden
    assert seen == [secret_for(PUBLIC_KEY, "00", "q1", "any_number")]
    assert 0 <= seen[0] < 2**64


def test_secrets_differ_by_key_lesson_exercise_and_check() -> None:
    names = [("00", "q1", "a"), ("01", "q1", "a"), ("00", "q2", "a"), ("00", "q1", "b")]
    secrets = {secret_for(key, *name) for key in (b"one", b"two") for name in names}
    assert len(secrets) == 8


def test_the_master_of_lesson_00_passes_all_its_checks(
    capsys: pytest.CaptureFixture[str],
) -> None:
    score = Scoreboard("00")
    names: dict[str, object] = {"score": score}
    wanted = {"exercise-setup", "exercise", "check", "hidden-check"}
    for cell in read_master(MASTER).cells:  # the others train networks
        if wanted & set(cell.tags):
            exec(cell.source, names)
    assert score.all_passed, capsys.readouterr().out
    assert score.as_dict()["possible"] == 12.0
    assert "q3: 7 of 7 checks passed" in score.summary()
