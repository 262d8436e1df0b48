"""Every lesson and every solution: built fresh, sound, and running to its end."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from medkd_lib.course.build import stale
from medkd_lib.course.check import check_all
from medkd_lib.course.readme import refreshed
from medkd_lib.course.result import Result, read_result

ROOT = Path(__file__).parents[1]
NOTEBOOKS = ROOT / "notebooks"
NO_NETWORK = ROOT / "tests" / "no_network"
LESSONS = sorted(p.stem for p in (NOTEBOOKS / "masters").glob("[0-9]*.py"))


def medkd(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from medkd_lib.cli import main; main()", *arguments],
        cwd=home, capture_output=True, text=True, check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(NO_NETWORK)},
    )  # fmt: skip


def test_the_network_is_off_for_the_runs_below() -> None:
    code = "import socket; socket.create_connection(('192.0.2.1', 80), timeout=1)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(NO_NETWORK)},
    )  # fmt: skip
    assert "the network is off: a lesson tried to reach 192.0.2.1" in done.stderr


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


def run_on_real_images(lesson: str, folder: Path, roots: dict[str, Path], **values: str) -> Result:
    given = values | {name: os.path.relpath(root, folder) for name, root in roots.items()}
    where = [word for name, value in given.items() for word in ("-p", f"{name}={value}")]
    done = medkd("run", lesson, "--profile", "smoke", "--out", "out", *where, home=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = (folder / "out").glob("*/result.json")
    return read_result(path)


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.parametrize(("dataset", "folder"), [("cxr3", "cxr3"), ("breastmnist", "medmnist")])
def test_real_images_by_parameters_alone(
    dataset: str, folder: str, tmp_path: Path, real_data: Path
) -> None:
    result = run_on_real_images("00", tmp_path, {"data_root": real_data / folder}, dataset=dataset)
    assert {m.dataset for m in result.metrics} == {dataset}
    assert {m.evidence for m in result.metrics} == {"stand-in"}


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.parametrize("dataset", ["glioma_4ch", "openms_4ch", "totalseg_ct", "sts_petctmr"])
def test_lesson_01_on_real_volumes(dataset: str, tmp_path: Path, real_data: Path) -> None:
    roots = {"data_root": real_data / dataset}
    if dataset == "sts_petctmr":
        roots["sts_root"] = real_data / dataset
    result = run_on_real_images("01", tmp_path, roots, dataset=dataset)
    blind = {m.arm: m for m in result.metrics if m.name == "dice_without_pixels"}
    if dataset == "sts_petctmr":
        assert blind["crop"].evidence == "stand-in" and blind["crop"].n == 21
        assert abs(blind["crop"].value - 0.74) < 0.01, "as measured on the origin's 21 patients"
        assert blind["window"].value < 0.4
    else:
        assert blind["crop"].evidence == "phantom"


def metrics_of(folder: Path) -> dict[tuple[str, str], float]:
    return {(m.arm, m.name): m.value for m in read_result(folder).metrics}


@pytest.mark.slow
@pytest.mark.parametrize("lesson", LESSONS)
def test_the_same_metrics_however_and_from_wherever_it_runs(lesson: str, tmp_path: Path) -> None:
    """``medkd run``, bare papermill and "Run all", each with its own cache and working folder."""
    notebook = NOTEBOOKS / f"{lesson}.ipynb"
    python, shared = sys.executable, tmp_path / "phantoms"
    shared.mkdir()

    def execute(name: str, *command: str) -> Path:
        where, home = tmp_path / f"{name} – ünïcode", tmp_path / f"home {name}"
        if not home.exists():
            where.mkdir()
            home.mkdir()
            # Phantoms are shared (their bytes are tested elsewhere); every training is made anew.
            (home / "phantoms").symlink_to(shared)
        env = os.environ | {"MEDKD_HOME": str(home), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [python, *command], cwd=where, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return where

    cli = ("-c", "from medkd_lib.cli import main; main()")
    where = execute("ours", *cli, "run", lesson, "--profile", "smoke", "--out", "out")
    ours = metrics_of(where / "out" / notebook.stem)
    bare_home = tmp_path / "home papermill" / "runs" / notebook.stem / "interactive"
    again = ("-m", "papermill", str(notebook), "out.ipynb", "-p", "profile", "smoke")
    execute("papermill", *again)
    bare = metrics_of(bare_home)
    execute("papermill", *again)  # a second "Run all" in the same place finds the first one's files
    assert metrics_of(bare_home) == bare
    copy = tmp_path / "copy.ipynb"
    default = '"profile: str = \\"lesson\\"'
    text = notebook.read_text(encoding="utf-8")
    assert default in text
    copy.write_text(text.replace(default, '"profile: str = \\"smoke\\"'), encoding="utf-8")
    execute("all", "-m", "nbconvert", "--to", "notebook", "--execute", str(copy))
    everything = metrics_of(tmp_path / "home all" / "runs" / notebook.stem / "interactive")
    assert ours == bare == everything and len(ours) >= 6


def test_the_readme_shows_the_recorded_numbers() -> None:
    path = ROOT / "README.md"
    assert path.read_text(encoding="utf-8") == refreshed(path), "run `medkd course readme`"
