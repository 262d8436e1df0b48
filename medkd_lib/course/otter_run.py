"""Run otter on one small notebook, in a process and a folder of its own, without our library.

otter un-pickles what the graded kernel wrote. That happens in the child process, which has run the
student's code anyway; this process reads one JSON file and checks its form.

A guard stands in every Python that the run starts, and a process cannot take its own guard down:
our package is neither imported nor opened there. What it cannot see: another program that copies
the source (`subprocess`, whose child may drop the guard; `ctypes`), and a copy that lies elsewhere.
Such answers are left to the reader of the words that `submission` marks.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import nbformat
import psutil
from nbformat import NotebookNode

from medkd_lib.fingerprint import PACKAGE

RUNNER = """
import json, sys
from otter.api import grade_submission
results = grade_submission(sys.argv[1], sys.argv[2], quiet=True)
table = {name: [[bool(case.passed), str(case.message)] for case in test.test_case_results]
         for name, test in results.results.items()}
with open(sys.argv[3], "w", encoding="utf-8") as file:
    json.dump(table, file)
if results.catastrophic_error is not None:
    print(repr(results.catastrophic_error), file=sys.stderr)
"""
"""The child: grade through otter, and hand back per test case what `otter run` only sums up."""

REFUSAL = 'raise ImportError("medkd_lib is not available while grading: write the answer yourself")'

GUARD = f"""
import os, site, sys
from importlib.machinery import PathFinder

def guard(package):
    ways = [entry for entry in sys.path if os.path.isdir(os.path.join(entry, "medkd_lib"))]
    finders = [finder for finder in sys.meta_path if finder is not PathFinder]
    specs = [finder.find_spec("medkd_lib", None) for finder in finders]
    homes = [package, *(os.path.join(entry, "medkd_lib") for entry in ways)]
    homes += [os.path.dirname(spec.origin) for spec in specs if spec and spec.origin]
    real, separator = os.path.realpath, os.sep
    homes = tuple(real(home).casefold() + separator for home in homes)
    # The packages that answers need lie beside ours in site-packages, where only the hook helps.
    kept = [os.path.dirname(__file__), *site.getsitepackages()]
    sys.path[:] = [entry for entry in sys.path if entry not in ways or entry in kept]

    def refuse(event, args):
        if event == "import":
            ours = args[0].partition(".")[0] == "medkd_lib"
        elif event == "open" and isinstance(args[0], (str, bytes, os.PathLike)):
            ours = (real(os.fsdecode(args[0])).casefold() + separator).startswith(homes)
        else:
            return
        if ours:
            {REFUSAL}

    sys.addaudithook(refuse)  # unlike a finder, no code can remove it

guard({str(PACKAGE)!r})
"""
"""The `sitecustomize` of a graded Python: runs after the `.pth` files that show it our checkout."""

KEPT = ("PATH", "SYSTEMROOT", "WINDIR", "COMSPEC", "PATHEXT", "LANG", "LC_ALL", "LD_LIBRARY_PATH")
"""All a graded kernel inherits from our environment: no tokens, no PYTHONPATH, no home."""


@dataclass(frozen=True)
class Outcome:
    """What otter found: per exercise, (passed, message) of every test case; or why it did not."""

    cases: Mapping[str, list[tuple[bool, str]]]
    problem: str


def run_otter(notebook: NotebookNode, archive: Path, folder: Path, timeout_s: float) -> Outcome:
    """Grade one notebook with an autograder bundle.

    Args:
        notebook: the setup and the answers.
        archive: the autograder zip.
        folder: made anew; everything the run writes stays in it and is deleted afterwards.
        timeout_s: wall-clock seconds before the run and all its children are ended.
    """
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "tmp").mkdir(parents=True)
    write_decoy(folder / "decoy")
    nbformat.write(notebook, folder / "submission.ipynb")
    result = folder / "result.json"
    command = [sys.executable, "-X", "utf8", "-P", "-c", RUNNER]
    command += ["submission.ipynb", str(archive.resolve()), str(result.resolve())]
    try:
        with (folder / "log.txt").open("wb") as log:
            code = _run(command, folder, log.fileno(), timeout_s)
        if code is None:
            return Outcome({}, f"did not finish within {timeout_s:g} s")
        cases = _read(result)
        if cases is None:
            log_text = (folder / "log.txt").read_text(encoding="utf-8", errors="replace")
            last = [line.strip() for line in log_text.splitlines() if line.strip()][-1:]
            return Outcome({}, f"otter gave no result (exit {code}): {''.join(last)[:400]}")
        return Outcome(cases, "")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_decoy(folder: Path) -> None:
    """Write what hides our package from a Python with `folder` first on its `PYTHONPATH`."""
    (folder / "medkd_lib").mkdir(parents=True)
    (folder / "medkd_lib" / "__init__.py").write_text(REFUSAL + "\n", encoding="utf-8")
    (folder / "sitecustomize.py").write_text(GUARD, encoding="utf-8")


def _run(command: list[str], folder: Path, log: int, timeout_s: float) -> int | None:
    """Give the exit code, or None after ending the whole family when the time is up."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=_environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
    )
    try:
        return process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        family = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait()
        for child in family:  # the kernel sits in a session of its own
            if child.is_running():
                child.kill()
        psutil.wait_procs(family, timeout=5)
        return None


def _environment(folder: Path) -> dict[str, str]:
    home = str(folder.resolve())
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return kept | {
        # First on the path and alone there; the kernel inherits it, and so the guard.
        "PYTHONPATH": str((folder / "decoy").resolve()),
        "PYTHONUTF8": "1",
        "HOME": home,
        "USERPROFILE": home,
        "IPYTHONDIR": home,
        "MPLCONFIGDIR": home,
        "JUPYTER_RUNTIME_DIR": str((folder / "tmp").resolve()),
        "TMPDIR": str((folder / "tmp").resolve()),
        "TEMP": str((folder / "tmp").resolve()),
        "TMP": str((folder / "tmp").resolve()),
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }


def _read(result: Path) -> dict[str, list[tuple[bool, str]]] | None:
    """Read the child's table; None if it is missing or does not look like one."""
    if not result.is_file():
        return None
    try:
        table = json.loads(result.read_text(encoding="utf-8"))
        return {
            str(name): [(passed is True, str(message)) for passed, message in cases]
            for name, cases in table.items()
        }
    # The student's code ran beside this file and may have spoilt it: that is no result.
    except (ValueError, TypeError, AttributeError):
        return None
