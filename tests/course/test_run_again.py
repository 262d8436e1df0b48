"""What is finished is not run again; whatever a result depends on makes it run again."""

import json
import shutil
import threading
from pathlib import Path

import pytest

from medkd_lib.course import job
from medkd_lib.course import run as runner
from medkd_lib.course.job import Request, RunnerError, claim_folder, clear, finished, held
from medkd_lib.course.locate import Lesson
from medkd_lib.course.result import Result, write_result
from medkd_lib.course.run import Outcome, make_request, run_lessons

NOTEBOOKS = Path(__file__).parent / "notebooks"


@pytest.fixture
def marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in which each real execution of 00_fine leaves a line."""
    path = tmp_path / "marks.txt"
    monkeypatch.setenv("MEDKD_TEST_MARKS", str(path))
    monkeypatch.setattr(runner, "code_hash", lambda: "code 1")
    return path


def run(caller: Path, notebook: Path, fresh: bool = False, **given: str) -> Outcome:
    request = make_request(Lesson(notebook), given, caller)
    out = Path(given.pop("out", "out"))
    return run_lessons([request], caller=caller, out=out, fresh=fresh, report=False)[0]


def test_kept_until_parameter_notebook_or_code_changes(
    tmp_path: Path, marks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = Path(shutil.copy(NOTEBOOKS / "00_fine.ipynb", tmp_path / "00_fine.ipynb"))
    assert run(tmp_path, notebook).how == "run"
    again = run(tmp_path, notebook)
    assert again.how == "kept" and len(marks.read_text().splitlines()) == 1

    other = run(tmp_path, notebook, temperature="2")
    assert other.how == "run" and other.result.metrics[0].value == pytest.approx(0.4)
    assert other.folder.name.startswith("00_fine-"), "another parameter, another folder"
    assert run(tmp_path, notebook).how == "kept", "the first one is still there"

    text = notebook.read_text("utf-8")
    notebook.write_text(text.replace("It ran.", "It ran again."), encoding="utf-8")
    changed = run(tmp_path, notebook)
    assert changed.how == "run" and changed.folder == again.folder
    monkeypatch.setattr(runner, "code_hash", lambda: "code 2")
    assert run(tmp_path, notebook).how == "run"
    assert run(tmp_path, notebook, fresh=True).how == "run"
    assert len(marks.read_text().splitlines()) == 5


def test_an_unneeded_spelling_of_the_default_is_the_same_run(tmp_path: Path) -> None:
    lesson = Lesson(NOTEBOOKS / "00_fine.ipynb")
    plain, spelt = (make_request(lesson, given, tmp_path) for given in ({}, {"temperature": "4"}))
    assert plain.key_parts("c") == spelt.key_parts("c")


def test_changed_data_changes_the_key(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    request = Request(
        Lesson(NOTEBOOKS / "00_fine.ipynb"), {"data_root": str(data)}, folders=("data_root",)
    )
    before = request.key_parts("c")
    (data / "case.nii").write_text("x")
    assert request.key_parts("c") != before


def test_a_new_stamp_copies_what_an_earlier_one_finished(tmp_path: Path, marks: Path) -> None:
    request = make_request(Lesson(NOTEBOOKS / "00_fine.ipynb"), {}, tmp_path)
    first = run_lessons([request], caller=tmp_path, report=False)[0]
    second = run_lessons([request], caller=tmp_path, report=False)[0]
    assert second.how == "copied" and second.folder != first.folder
    assert second.result.reused_from == f"../{first.folder.parent.name}/00_fine"
    assert (second.folder / "executed.ipynb").is_file()
    assert len(marks.read_text().splitlines()) == 1


@pytest.mark.parametrize("text", ['{"lesson": "00_fine", "sta', "", "[]", '{"lesson": "00_fine"}'])
def test_a_half_written_or_foreign_result_is_not_finished(tmp_path: Path, text: str) -> None:
    (tmp_path / "result.json").write_text(text)
    assert finished(tmp_path, "key") is None


def test_only_the_key_of_a_good_run_counts_as_finished(tmp_path: Path) -> None:
    write_result(tmp_path, Result(lesson="x", key="key"))
    assert finished(tmp_path, "key") and not finished(tmp_path, "other")
    write_result(tmp_path, Result(lesson="x", key="key", status="failed"))
    assert finished(tmp_path, "key") is None


def test_folders_one_lesson_twice_and_a_foreign_folder(tmp_path: Path) -> None:
    lesson = Lesson(NOTEBOOKS / "00_fine.ipynb")
    first, second = (make_request(lesson, {"steps": n}, tmp_path) for n in (1, 2))
    folders = [claim_folder(first, tmp_path, [])]
    folders.append(claim_folder(second, tmp_path, folders))
    assert [folder.name[:7] for folder in folders] == ["00_fine", "00_fine"]
    assert claim_folder(second, tmp_path, []) == folders[1], "found again by its parameters"
    foreign = tmp_path / "foreign"
    (foreign / "00_fine").mkdir(parents=True)
    (foreign / "00_fine" / "thesis.txt").write_text("mine")
    assert claim_folder(first, foreign, []).name != "00_fine"
    assert (foreign / "00_fine" / "thesis.txt").read_text() == "mine"


def test_clearing_leaves_what_is_not_ours(tmp_path: Path) -> None:
    for name in ("result.json", "executed.ipynb", "notes.txt"):
        (tmp_path / name).write_text("x")
    clear(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["figures", "notes.txt"]


def test_two_runners_never_share_a_folder(tmp_path: Path) -> None:
    with held(tmp_path), pytest.raises(RunnerError, match="another `medkd run`"), held(tmp_path):
        pass
    (tmp_path / "lock.json").write_text(json.dumps({"pid": 1, "started": 0, "host": "here"})[:9])
    with held(tmp_path):
        assert json.loads((tmp_path / "lock.json").read_text())["pid"]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("left", ["", '{"pid": 1, "st', "dead"], ids=["none", "half", "dead"])
def test_of_runners_that_claim_at_once_one_gets_in(tmp_path: Path, left: str) -> None:
    dead = json.dumps(job.owner() | {"started": 0.0})
    start, end = threading.Barrier(4), threading.Barrier(4)
    found: list[str] = []

    def claim() -> None:
        start.wait(30)
        try:
            with held(tmp_path):
                found.append("in")
                end.wait(30)
        except RunnerError:
            found.append("out")
            end.wait(30)

    for _ in range(10):
        if left:
            (tmp_path / "lock.json").write_text(dead if left == "dead" else left)
        threads = [threading.Thread(target=claim) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(found) == ["in", "out", "out", "out"]
        found.clear()


def test_a_claim_left_by_a_killed_start_says_what_to_delete(tmp_path: Path) -> None:
    (tmp_path / "lock.claim").touch()
    says = r"lock\.claim: held for 0\.1 s .* delete this file"
    claimed = job._alone(tmp_path / "lock.claim", patience_s=0.1)
    with pytest.raises(RunnerError, match=says), claimed:
        pass
