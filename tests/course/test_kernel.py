"""The kernel is this Python, over sockets that fit, whatever is installed on the machine."""

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from medkd_lib.course import execute, kernel
from medkd_lib.course.kernel import kernel_command, kernel_manager, socket_fits
from medkd_lib.course.supervise import environment


@pytest.fixture
def short() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mkd-") as name:
        yield Path(name)


def test_it_is_the_running_interpreter_whatever_the_name(short: Path) -> None:
    for name in ("python3", "a-kernel-nobody-installed"):
        spec = kernel_manager(short)(kernel_name=name).kernel_spec
        assert spec is not None and spec.argv == kernel_command()
        assert spec.argv[0] == sys.executable


@pytest.mark.skipif(os.name != "posix", reason="unix sockets")
def test_sockets_where_the_path_is_short_else_tcp(short: Path, tmp_path: Path) -> None:
    manager = kernel_manager(short)()
    assert (manager.transport, manager.ip) == ("ipc", str(short / "k-ipc"))
    assert list(short.iterdir()) == [], "trying leaves nothing"
    deep = tmp_path / ("d" * 90)
    deep.mkdir()
    assert not socket_fits(deep)
    assert kernel_manager(deep)().transport == "tcp"
    other_letters = tmp_path / ("é" * 40)  # two bytes each: too long only in bytes
    other_letters.mkdir()
    assert not socket_fits(other_letters)
    assert not socket_fits(tmp_path / "missing")


def test_two_managers_keep_their_folders(short: Path, tmp_path: Path) -> None:
    first, second = kernel_manager(short), kernel_manager(tmp_path)
    assert (first.folder, second.folder) == (short, tmp_path)


@pytest.mark.parametrize(("profile", "threads"), [("smoke", "1"), ("lesson", "1"), ("paper", "6")])
def test_one_thread_where_networks_are_small(
    profile: str, threads: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "6")
    monkeypatch.setenv("MPLBACKEND", "Agg")
    env = environment(profile, tmp_path)
    assert env["OMP_NUM_THREADS"] == threads
    assert (env["MEDKD_RUN_DIR"], env["PYTHONHASHSEED"]) == (str(tmp_path), "0")
    assert "MPLBACKEND" not in env


def job(folder: Path) -> dict[str, object]:
    notebook = Path(__file__).parent / "notebooks" / "00_fine.ipynb"
    (folder / "out").mkdir()
    return {
        **{"notebook": str(notebook), "folder": str(folder / "out"), "inject": {}},
        **{"cwd": str(folder), "cell_timeout": None, "total_timeout": 60},
    }


def last_event(folder: Path) -> dict[str, object]:
    return json.loads((folder / "events.jsonl").read_text("utf-8").splitlines()[-1])


@pytest.mark.parametrize(("failures", "status"), [(2, "ok"), (3, "failed")])
def test_only_a_kernel_that_does_not_start_is_tried_again(
    short: Path, monkeypatch: pytest.MonkeyPatch, failures: int, status: str
) -> None:
    tries: list[object] = []

    def papermill(job: object, watch: execute.Watch, manager: object) -> None:
        tries.append(manager)
        if len(tries) <= failures:
            raise RuntimeError("Kernel didn't respond in 120 seconds")

    monkeypatch.setattr(execute, "_papermill", papermill)
    execute.execute(job(short), short)
    assert len(tries) == 3 and last_event(short)["status"] == status


def test_a_failure_after_the_start_is_not_tried_again(
    short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def papermill(job: object, watch: execute.Watch, manager: object) -> None:
        watch.ready = True
        raise OSError("disk full")

    monkeypatch.setattr(execute, "_papermill", papermill)
    execute.execute(job(short), short)
    failure = last_event(short)["failure"]
    assert (
        isinstance(failure, dict) and "papermill failed: OSError('disk full')" in failure["error"]
    )


def test_over_tcp_and_a_path_with_braces(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = short / "a{b}"
    folder.mkdir()
    monkeypatch.setattr(kernel, "MAX_SOCKET_PATH", 1)
    monkeypatch.setenv("MEDKD_RUN_DIR", str(folder))
    execute.execute(job(folder), folder)
    assert last_event(folder) == {"event": "end", "status": "ok", "failure": {}}
    assert json.loads((folder / "out" / "executed.ipynb").read_text("utf-8"))["cells"]
