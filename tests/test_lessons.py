"""Every lesson and every solution: built fresh, sound, and running to its end."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from medkd_lib.course.build import stale
from medkd_lib.course.check import check_all
from medkd_lib.course.result import read_result

ROOT = Path(__file__).parents[1]
NOTEBOOKS = ROOT / "notebooks"
LESSONS = sorted(p.stem for p in (NOTEBOOKS / "masters").glob("[0-9]*.py"))


def medkd(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from medkd_lib.cli import main; main()", *arguments],
        cwd=home, capture_output=True, text=True, check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def test_built_notebooks_equal_the_committed_ones() -> None:
    assert stale(NOTEBOOKS) == []


def test_nothing_would_break_a_reader() -> None:
    errors = [str(f) for f in check_all(NOTEBOOKS) if f.severity == "error"]
    assert errors == []


def test_committed_notebooks_hold_no_output() -> None:
    for path in [*NOTEBOOKS.glob("*.ipynb"), *(NOTEBOOKS / "solutions").glob("*.ipynb")]:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        assert not any(c.get("outputs") or c.get("execution_count") for c in cells), path


@pytest.mark.slow
@pytest.mark.parametrize("solutions", [False, True], ids=["lesson", "solution"])
@pytest.mark.parametrize("lesson", LESSONS)
def test_smoke(lesson: str, solutions: bool, tmp_path: Path) -> None:
    flags = ["--solutions"] if solutions else []
    done = medkd("run", lesson, "--profile", "smoke", "--out", "out", *flags, home=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    (folder,) = [p.parent for p in (tmp_path / "out").glob("*/result.json")]
    result = read_result(folder)
    assert result.status == "ok" and result.metrics and result.figures and result.headline
    assert all((folder / figure.file).is_file() for figure in result.figures)
    earned, possible = result.exercises["points"], result.exercises["possible"]
    assert earned == (possible if solutions else 0)
    assert result.peak_memory_mb is not None and result.peak_memory_mb < 4096
    assert (tmp_path / "out" / "index.html").is_file()
