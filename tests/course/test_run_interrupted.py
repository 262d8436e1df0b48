"""Killed in the middle, told to stop, or robbed of its child: nothing is lost, nothing stays."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

NOTEBOOKS = Path(__file__).parent / "notebooks"
POSIX = pytest.mark.skipif(os.name != "posix", reason="sends POSIX signals")

# A program of its own, like the command line; the code hash is held still while files change. A
# suite that a shell runs in the background would hand on an ignored Ctrl-C.
PROGRAM = """
import signal
import sys
from pathlib import Path
from medkd_lib.course import run
run.code_hash = lambda: "code"
signal.signal(signal.SIGINT, signal.default_int_handler)
here = Path.cwd()
try:
    outcomes = run.run_lessons(run.make_requests(sys.argv[1:], {}, caller=here), caller=here)
except KeyboardInterrupt:
    sys.exit(130)
print(*[outcome.how for outcome in outcomes])
sys.exit(run.exit_code(outcomes))
"""


class Place:
    """A caller's folder with the marks its notebooks leave and the file that lets them go on."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.marks, self.go = folder, folder / "marks.txt", folder / "go"
        self.env = os.environ | {
            "MEDKD_NOTEBOOKS": str(NOTEBOOKS),
            "MEDKD_TEST_MARKS": str(self.marks),
            "MEDKD_TEST_GO": str(self.go),
        }

    def start(self, *lessons: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *lessons],
            cwd=self.folder,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_for_the_waiting_cell(self) -> psutil.Process:
        until(lambda: self.marks.exists() and "waits" in self.marks.read_text())
        return psutil.Process(int(self.marks.read_text().split("waits ")[1].split()[0]))


def until(true: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def gone(processes: list[psutil.Process]) -> bool:
    return not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in processes)


@POSIX
def test_killed_runner_leaves_nothing_and_goes_on_where_it_was(tmp_path: Path) -> None:
    place = Place(tmp_path)
    first = place.start("00", "04")
    started = [place.wait_for_the_waiting_cell(), *psutil.Process(first.pid).children(True)]
    first.kill()
    first.communicate()
    until(lambda: gone(started), 10)
    (stamp,) = (tmp_path / "runs").iterdir()
    assert json.loads((stamp / "00_fine" / "result.json").read_text())["status"] == "ok"
    assert not (stamp / "04_waits" / "result.json").exists()
    assert json.loads((stamp / "04_waits" / "executed.ipynb").read_text("utf-8"))["cells"]

    place.go.touch()
    (stamp / "04_waits" / "result.json").write_text('{"lesson": "04_waits", "status": "ok"')
    second = place.start("00", "04")
    out, err = second.communicate(timeout=60)
    assert (second.returncode, out) == (0, "kept run\n"), err
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [stamp.name]
    assert [line.split()[0] for line in place.marks.read_text().splitlines()] == [
        *("fine", "waits", "waits"),
    ]
    assert json.loads((stamp / "run.json").read_text())["state"] == "finished"


@POSIX
def test_ctrl_c_ends_everything_and_leaves_the_run_unfinished(tmp_path: Path) -> None:
    place = Place(tmp_path)
    runner = place.start("04", "00")
    started = [place.wait_for_the_waiting_cell(), *psutil.Process(runner.pid).children(True)]
    runner.send_signal(signal.SIGINT)
    runner.communicate(timeout=60)
    assert runner.returncode == 130 and gone(started)
    (stamp,) = (tmp_path / "runs").iterdir()
    assert not list(stamp.glob("*/result.json"))
    assert json.loads((stamp / "run.json").read_text())["state"] == "running"


@POSIX
def test_a_killed_child_is_reported_and_its_kernel_ended(tmp_path: Path) -> None:
    place = Place(tmp_path)
    runner = place.start("04", "00")
    kernel = place.wait_for_the_waiting_cell()
    time.sleep(0.5)  # longer than a sample: the runner has seen the kernel
    psutil.Process(kernel.ppid()).kill()
    out, err = runner.communicate(timeout=60)
    assert (runner.returncode, out) == (1, "run run\n"), err
    assert gone([kernel])
    (found,) = (tmp_path / "runs").glob("*/04_waits/result.json")
    failure = json.loads(found.read_text())["failure"]
    assert failure["cell"] == 3 and "ended with -9" in failure["error"]
    assert "while not Path" in failure["source"] and "while not Path" in err
