"""Every way a notebook can end, in one run: each is told as it was, and the others still run."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from medkd_lib.course.progress import Display
from medkd_lib.course.result import read_result
from medkd_lib.course.run import Outcome, exit_code, make_requests, run_lessons

NOTEBOOKS = Path(__file__).parent / "notebooks"
# Long against any honest cell on a busy machine, short against the ten minutes of the hanging one.
CELL_SECONDS = 15


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Outcome]]:
    caller = tmp_path_factory.mktemp("caller")
    with (
        pytest.MonkeyPatch.context() as patch,
        (caller / "shown.txt").open("w", encoding="utf-8") as shown,
    ):
        patch.setenv("MEDKD_NOTEBOOKS", str(NOTEBOOKS))
        patch.setattr("medkd_lib.course.follow.GRACE_SECONDS", 1.0)
        names = ["00", "raises", "02_hangs", "03", "05", "06", "07"]
        outcomes = run_lessons(
            make_requests(names, {}, caller=caller),
            caller=caller,
            jobs=2,
            cell_timeout=CELL_SECONDS,
            display=Display(len(names), shown),
        )
    yield {outcome.lesson: outcome for outcome in outcomes}


def test_a_good_run_has_everything(ended: dict[str, Outcome]) -> None:
    outcome = ended["00_fine"]
    result = read_result(outcome.folder)
    assert (result.status, result.failure, result.title) == ("ok", None, "A run that ends well")
    assert result.metrics[0].value == pytest.approx(0.2)
    assert result.params == {"profile": "smoke", "temperature": 4.0, "steps": 2}
    assert result.seconds and result.peak_memory_mb and result.peak_memory_mb > 10
    assert result.budget_seconds == 60
    caller = outcome.folder.parents[2]
    assert outcome.folder.parent.parent == caller / "runs"
    assert (outcome.folder / "stdout.log").read_text("utf-8") == f"cwd {caller}\n"
    # jupyter_client interrupts a kernel before it asks it to end: a busy machine may log that.
    interrupted = "[IPKernelApp] ERROR | KeyboardInterrupt caught in kernel.\n"
    errors = (outcome.folder / "stderr.log").read_text("utf-8")
    assert errors.replace(interrupted, "") == "warned\n"
    assert json.loads((outcome.folder / "params.json").read_text())["given"] == []
    executed = json.loads((outcome.folder / "executed.ipynb").read_text("utf-8"))
    assert executed["cells"][2]["outputs"][0]["text"] == [f"cwd {caller}\n"]
    assert (outcome.folder.parent / "index.html").is_file()


def test_a_raising_cell_is_named_with_source_and_traceback(ended: dict[str, Outcome]) -> None:
    outcome = ended["01_raises"]
    failure = read_result(outcome.folder).failure
    assert outcome.result.status == "failed" and failure is not None
    assert failure.cell == 3 and "share(steps, 0)" in failure.source
    assert failure.error == "ZeroDivisionError: division by zero"
    assert "whole / parts" in failure.traceback and "\x1b" not in failure.traceback
    assert "ZeroDivisionError" in (outcome.folder / "executed.ipynb").read_text("utf-8")
    shown = (outcome.folder.parents[2] / "shown.txt").read_text("utf-8")
    assert "cell 3: ZeroDivisionError" in shown and "share(steps, 0)" in shown


def test_a_hanging_cell_is_a_timeout_and_says_where_it_hung(ended: dict[str, Outcome]) -> None:
    result = ended["02_hangs"].result
    assert result.status == "timeout" and result.failure is not None
    assert (
        f"{CELL_SECONDS} s" in result.failure.error
        and "time.sleep(600)" in result.failure.traceback
    )
    assert (ended["02_hangs"].folder / "stdout.log").read_text() == "before\n"


def test_a_cell_deaf_to_the_interrupt_is_killed(ended: dict[str, Outcome]) -> None:
    result = ended["06_stubborn"].result
    assert result.status == "timeout" and result.failure is not None
    assert result.failure.cell == 3 and "killed" in result.failure.error
    assert json.loads((ended["06_stubborn"].folder / "executed.ipynb").read_text("utf-8"))["cells"]


def test_a_dead_kernel_is_told_as_such(ended: dict[str, Outcome]) -> None:
    result = ended["03_dies"].result
    assert result.status == "kernel_died" and result.failure is not None
    assert result.failure.cell == 3 and "SIGKILL" in result.failure.error


def test_a_broken_result_file_is_a_failure_and_kept(ended: dict[str, Outcome]) -> None:
    outcome = ended["05_writes_nan"]
    assert outcome.result.status == "failed" and outcome.result.failure is not None
    assert "metrics[0].value: expected a finite number" in outcome.result.failure.error
    assert (outcome.folder / "result.invalid.json").is_file()
    assert read_result(outcome.folder).metrics == []


def test_no_parameters_and_no_result_is_ok_without_metrics(ended: dict[str, Outcome]) -> None:
    result = ended["07_bare"].result
    assert (result.status, result.metrics, result.title) == ("ok", [], "07_bare")


def test_one_failure_makes_the_exit_code_nonzero(ended: dict[str, Outcome]) -> None:
    assert exit_code(list(ended.values())) == 1
    assert exit_code([ended["00_fine"], ended["07_bare"]]) == 0


def test_nothing_is_left_running(ended: dict[str, Outcome]) -> None:
    mine = psutil.Process(os.getpid()).children(recursive=True)
    assert [p for p in mine if p.status() != psutil.STATUS_ZOMBIE] == []
    started = int((ended["02_hangs"].folder / "started.txt").read_text())
    assert not psutil.pid_exists(started) or psutil.Process(started).status() == "zombie"
