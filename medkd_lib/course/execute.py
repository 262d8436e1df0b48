"""One notebook, in a process of its own: ``python -m medkd_lib.course.execute JOB.json``.

The runner starts this file; it is also the way to repeat one run by hand. It calls papermill and
tells the runner what happens through a file of JSON lines beside the job: how many cells there
are, which one runs and for how long it may, and how it all ended.
"""

import json
import math
import os
import re
import shutil
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    # jsonschema compiles a grammar of international web addresses when this optional package is
    # there, at every import: 0.7 s of each run, for a check that no notebook needs.
    sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]

from nbclient.exceptions import CellTimeoutError, DeadKernelError
from papermill import PapermillExecutionError, execute_notebook
from papermill.iorw import papermill_io

from medkd_lib.course.kernel import LocalKernelManager, exit_text, kernel_manager
from medkd_lib.course.result import write_atomic

START_TIMEOUT = 120
START_RETRIES = 2
ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class CellRanTooLong(RuntimeError):
    """A cell swallowed the interrupt that its time limit sent, and ended later on its own."""


class AtomicFiles:
    """papermill's file access for the run folder: a notebook on disk is always a whole one."""

    def read(self, path: str) -> str:
        """Return the file's text."""
        return Path(path).read_text(encoding="utf-8")

    def write(self, buf: str, path: str) -> None:
        """Write the whole file or leave the one before."""
        write_atomic(Path(path), buf, durable=False)

    def pretty_path(self, path: str) -> str:
        """Return the path as messages show it."""
        return path


class Watch:
    """Follows the cells, limits their time, and remembers the first one that failed."""

    def __init__(self, events: Path, cell_timeout: float | None, deadline: float) -> None:
        self.events, self.cell_timeout, self.deadline = events, cell_timeout, deadline
        self.ready = False
        self.over_time = False
        self.cell: dict[str, Any] = {"cell": None, "source": ""}
        self.error: dict[str, Any] | None = None
        self._positions: list[int] = []
        self._began = 0.0
        self._limit = math.inf

    def say(self, **event: object) -> None:
        """Append one event; the runner reads whole lines only."""
        # An error can quote a file name that is no valid text; the report wants readable text.
        line = json.dumps(event, ensure_ascii=False) + "\n"
        with self.events.open("ab") as stream:
            stream.write(line.encode("utf-8", "replace"))

    def hooks(self) -> dict[str, object]:
        """Return the callbacks that papermill hands through to nbclient."""
        return {
            "on_notebook_start": self._notebook_starts,
            "on_cell_execute": self._cell_starts,
            "on_cell_error": self._cell_fails,
            "on_cell_executed": self._cell_ends,
            "timeout_func": lambda cell: self._limit,
        }

    def _notebook_starts(self, notebook: Any) -> None:
        self.ready = True
        # Cells are counted as the notebook's reader counts them: without papermill's own cell.
        own = [
            "injected-parameters" not in cell.metadata.get("tags", []) for cell in notebook.cells
        ]
        self._positions = [max(1, sum(own[: index + 1])) for index in range(len(own))]
        self.say(event="cells", n=sum(own))

    def _cell_starts(self, cell: Any, cell_index: int) -> None:
        self._began = time.monotonic()
        left = max(1.0, self.deadline - self._began)
        self._limit = left if self.cell_timeout is None else min(left, self.cell_timeout)
        self.cell = {"cell": self._positions[cell_index], "source": cell.source}
        lines = [line for line in cell.source.splitlines() if line.strip()]
        self.say(event="cell", limit=self._limit, line=lines[0] if lines else "", **self.cell)

    def _cell_fails(self, cell: Any, cell_index: int, execute_reply: Any) -> None:
        content = execute_reply["content"]
        if self.error is None:
            self.over_time = time.monotonic() - self._began >= self._limit
            self.error = self.cell | {
                "error": f"{content['ename']}: {content['evalue']}".strip(": "),
                "traceback": ANSI.sub("", "\n".join(content.get("traceback", []))),
            }
            if self.over_time:
                self.error["error"] = self.over_time_text()
                # Said at once: a kernel that hung may have to be killed at its end, too.
                self.say(event="late", status="timeout", failure=self.error)

    def _cell_ends(self, cell: Any, cell_index: int, execute_reply: Any) -> None:
        late = time.monotonic() - self._began >= self._limit
        if late and execute_reply["content"]["status"] == "ok":
            raise CellRanTooLong

    def over_time_text(self) -> str:
        """Say which limit the running cell met."""
        return f"the cell ran past its limit of {self._limit:.0f} s"


def execute(job: Mapping[str, Any], scratch: Path) -> None:
    """Run the job's notebook and report its end; sockets and events live in ``scratch``."""
    watch = Watch(
        scratch / "events.jsonl", job["cell_timeout"], time.monotonic() + job["total_timeout"]
    )
    for attempt in range(START_RETRIES + 1):
        sockets = scratch / str(attempt)
        sockets.mkdir()
        manager = kernel_manager(sockets)
        status, failure = _attempt(job, watch, manager)
        if watch.ready or status == "ok" or attempt == START_RETRIES:
            watch.say(event="end", status=status, failure=failure)
            return
        print(f"The kernel did not start ({failure['error']}); trying again.", file=sys.stderr)


def _attempt(
    job: Mapping[str, Any], watch: Watch, manager: type[LocalKernelManager]
) -> tuple[str, dict[str, Any]]:
    try:
        _papermill(job, watch, manager)
    except PapermillExecutionError as error:
        failure = watch.error or watch.cell | {"error": str(error)}
        return "timeout" if watch.over_time else "failed", failure
    except (CellRanTooLong, CellTimeoutError):
        return "timeout", watch.cell | {"error": watch.over_time_text()}
    except DeadKernelError:
        return "kernel_died", watch.cell | {"error": exit_text(manager)}
    except Exception as error:  # whatever papermill raises is the run's result, told in full
        what = "papermill failed" if watch.ready else "the kernel did not start"
        failure = {"error": f"{what}: {error!r}", "traceback": traceback.format_exc()}
        return "failed", watch.cell | failure
    return "ok", {}


def _papermill(job: Mapping[str, Any], watch: Watch, manager: type[LocalKernelManager]) -> None:
    folder = Path(job["folder"])
    papermill_io.register(str(folder), AtomicFiles())
    execute_notebook(
        _literal(job["notebook"]),
        _literal(str(folder / "executed.ipynb")),
        parameters=job["inject"],
        kernel_name="python3",
        language="python",
        progress_bar=False,
        cwd=job["cwd"],
        start_timeout=START_TIMEOUT,
        stdout_file=sys.stdout,
        stderr_file=sys.stderr,
        kernel_manager_class=manager,
        store_widget_state=False,
        interrupt_on_timeout=True,
        # A busy machine may deliver a cell's last output late; that is no failure.
        iopub_timeout=60,
        **watch.hooks(),
    )


def _literal(path: str) -> str:
    """Double the braces, because papermill takes a path for a format string."""
    return path.replace("{", "{{").replace("}", "}}")


def _end_with_runner(scratch: Path) -> None:
    """Wait until the runner is gone (its end of stdin closes), then leave nothing behind."""
    import psutil

    # Not sys.stdin: a thread waiting in its lock would crash the interpreter's shutdown.
    while os.read(0, 1024):
        continue
    for process in psutil.Process().children(recursive=True):
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue  # it ended by itself in between
    shutil.rmtree(scratch, ignore_errors=True)
    os._exit(3)


def main(job_file: str) -> None:
    """Run the job in ``job_file``."""
    path = Path(job_file)
    job = json.loads(path.read_text(encoding="utf-8"))
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    if job.get("lifeline"):
        threading.Thread(target=_end_with_runner, args=(path.parent,), daemon=True).start()
    execute(job, path.parent)


if __name__ == "__main__":
    main(sys.argv[1])
