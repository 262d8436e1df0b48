"""One job from start to its complete ``result.json``: start, watch, end, write down.

The notebook runs in a process of its own (`medkd_lib.course.execute`), which this one follows
through a file of events. Whatever happens to that process — it ends, hangs, or is killed — the
run folder gets a result that says so.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from medkd_lib.course.follow import Ending, Follower, OnCell
from medkd_lib.course.job import Request, clear, write_params
from medkd_lib.course.processes import ProcessTree
from medkd_lib.course.result import Failure, Result, ResultError, read_result, write_result
from medkd_lib.threads import VARIABLES

SAMPLE_SECONDS = 0.2
PACKAGE_PARENT = Path(__file__).resolve().parents[2]
if sys.platform == "win32":  # where there are no sessions
    OWN_GROUP = subprocess.CREATE_NEW_PROCESS_GROUP
else:
    OWN_GROUP = 0


class Stopped(Exception):
    """The runner was asked to stop; the run stays unfinished."""


@dataclass(frozen=True)
class Limits:
    """Seconds: one cell, the whole notebook, and the budget the report compares with."""

    cell: float | None
    total: float
    budget: float | None


def run_job(
    request: Request,
    folder: Path,
    *,
    key: str,
    limits: Limits,
    caller: Path,
    on_cell: OnCell,
    stop: Event,
) -> Result:
    """Run the notebook and return its completed result, also written to ``folder``.

    Raises:
        Stopped: ``stop`` was set; everything started is ended, and no result is written.
    """
    clear(folder)
    write_params(folder, request, key=key)
    scratch = Path(tempfile.mkdtemp(prefix="mkd-", dir=_short_temp()))
    job = {
        "notebook": str(request.lesson.notebook),
        "folder": str(folder),
        "inject": {name: request.parameters[name] for name in request.given},
        "cwd": str(caller),
        "cell_timeout": limits.cell,
        "total_timeout": limits.total,
        "lifeline": True,
    }
    (scratch / "job.json").write_text(json.dumps(job), encoding="utf-8")
    try:
        ending = _watch(
            scratch, folder, environment(request.profile, folder), limits, on_cell, stop
        )
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    result = _completed(request, folder, ending, key, limits)
    write_result(folder, result)
    return result


def environment(profile: str, folder: Path) -> dict[str, str]:
    """Return the kernel's environment: its run folder, fixed hashing, one thread if small."""
    env = dict(os.environ) | {"MEDKD_RUN_DIR": str(folder), "PYTHONHASHSEED": "0"}
    # A backend chosen for scripts would keep figures out of the notebook.
    env.pop("MPLBACKEND", None)
    if profile in ("smoke", "lesson"):
        env |= dict.fromkeys(VARIABLES, "1")
    return env


def _short_temp() -> str | None:
    """Return ``/tmp`` where the usual temporary folder is too deep for a socket's path."""
    usual = tempfile.gettempdir()
    deep = len(os.fsencode(usual)) > 60
    return "/tmp" if deep and os.name == "posix" and os.access("/tmp", os.W_OK) else None


def _watch(
    scratch: Path, folder: Path, env: dict[str, str], limits: Limits, on_cell: OnCell, stop: Event
) -> Ending:
    follower, began = Follower(scratch / "events.jsonl", limits.total, on_cell), time.monotonic()
    with (
        (folder / "stdout.log").open("ab") as stdout,
        (folder / "stderr.log").open("ab") as stderr,
        subprocess.Popen(
            [sys.executable, "-m", "medkd_lib.course.execute", str(scratch / "job.json")],
            # A working folder of ours: a stray random.py where the user stands shadows nothing.
            cwd=PACKAGE_PARENT,
            env=env,
            stdin=subprocess.PIPE,  # held open: its end tells the child that we are gone
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,  # Ctrl-C reaches the runner alone, which ends its children
            creationflags=OWN_GROUP,
        ) as process,
    ):
        tree = ProcessTree(process.pid)
        try:
            done = False
            while not done:
                done = _wait(process)
                tree.sample()
                follower.read()
                if stop.is_set():
                    raise Stopped
                if not done and time.monotonic() > follower.kill_at:
                    follower.blame("timeout", "past its limit, deaf to the interrupt: killed")
                    tree.kill()
        finally:
            tree.kill()
    code = process.returncode
    follower.blame(
        "failed", f"the process that runs the notebook ended with {code}, see stderr.log"
    )
    follower.ending.seconds = time.monotonic() - began
    follower.ending.peak_bytes = tree.peak_bytes
    return follower.ending


def _wait(process: "subprocess.Popen[bytes]") -> bool:
    try:
        process.wait(SAMPLE_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True


def _completed(request: Request, folder: Path, ending: Ending, key: str, limits: Limits) -> Result:
    """Return the notebook's own result (or an empty one) with what the runner knows."""
    failure = Failure(**ending.failure) if ending.failure else None
    status = ending.status
    own = Result(lesson=request.lesson.name)
    if (folder / "result.json").exists():
        try:
            own = read_result(folder)
        except ResultError as error:
            (folder / "result.json").replace(folder / "result.invalid.json")
            if failure is None:
                status, failure = "failed", Failure(error=str(error))
    known = {
        "lesson": request.lesson.name,
        "title": own.title or request.lesson.title,
        "profile": own.profile or request.profile,
        "params": own.params or request.parameters,
        "truncated": own.truncated or bool(request.parameters.get("max_steps")),
        "status": status,
        "failure": failure.model_dump() if failure else None,
        "seconds": round(ending.seconds, 2),
        "peak_memory_mb": round(ending.peak_bytes / 2**20, 1),
        "budget_seconds": limits.budget,
        "key": key,
        "reused_from": None,
    }
    return Result.model_validate(own.model_dump() | known)
