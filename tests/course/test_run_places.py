"""Where lessons are found, from where they may be run, and what is refused before any work."""

import json
import stat
from pathlib import Path

import pytest

from medkd_lib.course.job import RunnerError
from medkd_lib.course.locate import LessonError, find_lessons
from medkd_lib.course.outfolder import open_out
from medkd_lib.course.parameters import ParameterError
from medkd_lib.course.run import make_requests, run_lessons

NOTEBOOKS = Path(__file__).parent / "notebooks"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout in a folder with spaces and letters beyond ASCII."""
    folder = tmp_path / "mein Kurs – 蒸留 é"
    (folder / "notebooks" / "solutions").mkdir(parents=True)
    for target in ("notebooks", "notebooks/solutions"):
        text = (NOTEBOOKS / "00_fine.ipynb").read_bytes()
        (folder / target / "00_fine.ipynb").write_bytes(text)
    monkeypatch.setenv("MEDKD_NOTEBOOKS", str(folder))
    return folder


@pytest.mark.parametrize("name", ["00", "0", "fine", "00_fine", "FINE", "all"])
def test_names_of_a_lesson(checkout: Path, name: str) -> None:
    assert [lesson.name for lesson in find_lessons([name, name], checkout)] == ["00_fine"]


def test_a_solution_has_a_folder_of_its_own(checkout: Path) -> None:
    (lesson,) = find_lessons(["00"], checkout, solutions=True)
    assert lesson.name == "00_fine_solutions" and lesson.notebook.parent.name == "solutions"


def test_errors_name_what_there_is(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LessonError, match=r"'fien'.*did you mean 'fine'.*00_fine"):
        find_lessons(["fien"], checkout)
    with pytest.raises(LessonError, match="found none at"):
        find_lessons(["missing.ipynb"], checkout)
    (checkout / "notebooks" / "00_fine.ipynb").write_text('{"cells": ')
    with pytest.raises(LessonError, match="not a readable notebook"):
        make_requests(["00"], {}, caller=checkout)
    monkeypatch.setenv("MEDKD_NOTEBOOKS", "nowhere")
    with pytest.raises(LessonError, match="MEDKD_NOTEBOOKS"):
        find_lessons(["00"], checkout)


def test_a_misspelt_parameter_is_refused_before_any_work(checkout: Path) -> None:
    with pytest.raises(ParameterError, match=r"00_fine: .*temprature.*temperature"):
        make_requests(["all"], {"temprature": "2"}, caller=checkout)
    with pytest.raises(ParameterError, match=r"max_steps"):
        make_requests(["00"], {}, caller=checkout, max_steps=2)
    assert not (checkout / "runs").exists()


def test_spaces_other_letters_and_a_read_only_checkout(checkout: Path, tmp_path: Path) -> None:
    caller = tmp_path / "où je travaille"
    caller.mkdir()
    folder = checkout / "notebooks"
    before = {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}
    for path in before:
        # The administrator ignores these modes; the listing below still shows any write.
        path.chmod(stat.S_IREAD | (stat.S_IEXEC if path.is_dir() else 0))
    try:
        requests = make_requests(["00"], {"steps": "3"}, caller=caller, profile="lesson")
        (outcome,) = run_lessons(requests, caller=caller, out=Path("mes résultats"))
    finally:
        for path in before:
            path.chmod(stat.S_IRWXU)
    assert outcome.ok, outcome.result.failure
    assert outcome.folder == caller / "mes résultats" / "00_fine"
    assert (outcome.folder / "stdout.log").read_text("utf-8") == f"cwd {caller}\n"
    params = json.loads((outcome.folder / "params.json").read_text("utf-8"))
    assert params["parameters"] == {"profile": "lesson", "temperature": 4.0, "steps": 3}
    assert before == {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}


def test_an_out_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(RunnerError, match="--out"):
        open_out(Path("out"), tmp_path, request="r", fresh=False)


def test_results_go_home_where_the_caller_cannot_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runs").write_text("a file where the folder should be")
    monkeypatch.setenv("MEDKD_HOME", str(tmp_path / "home"))
    place = open_out(None, tmp_path, request="r", fresh=False)
    assert place.folder.parent == tmp_path / "home" / "runs"


def test_an_unfinished_stamp_goes_on_once_its_process_is_gone(tmp_path: Path) -> None:
    first = open_out(None, tmp_path, request="r", fresh=False)
    assert open_out(None, tmp_path, request="r", fresh=False).folder != first.folder, "still ours"
    mark = json.loads((first.folder / "run.json").read_text())
    (first.folder / "run.json").write_text(json.dumps(mark | {"started": 0.0}))
    assert open_out(None, tmp_path, request="other", fresh=False).folder != first.folder
    assert open_out(None, tmp_path, request="r", fresh=True).folder != first.folder
    assert open_out(None, tmp_path, request="r", fresh=False).folder == first.folder
    assert [path.name for path in first.folder.iterdir()] == ["run.json"]
