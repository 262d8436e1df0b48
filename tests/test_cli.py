"""The command line: exit codes, messages that name the fix, output for programs."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from medkd_lib import cli
from medkd_lib.data.manifest import manifest_ids


def call(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli.app, [*arguments])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "00", "-p", "temprature=2"], "did you mean 'temperature'"),
        (["run", "00", "-p", "epochs=ten"], "epochs: expected a value of type int, found 'ten'"),
        (["run", "00", "-p", "temperature=-1"], "temperature: expected a value > 0, found -1"),
        (["run", "00", "-p", "data_root=nowhere"], "data_root: expected an existing folder"),
        (["run", "00", "-p", "profile"], "expected name=value"),
        (["run", "99"], "99"),
        (["data", "show", "cxr4"], "breastmnist, chaos"),
        (["data", "index", "cxr3", "--root", "nowhere"], "found none"),
        (["data", "make", "breastmnist"], "no phantom twin"),
        (["record", "99"], "declares no recorded experiment"),
        (["record", "00", "--arms", "few_kdd"], "not in the declared grid"),
        (["course", "grade", "00"], "--submissions"),
    ],
)
def test_what_is_wrong_is_one_message_and_exit_code_2(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["medkd", *arguments])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    shown = capsys.readouterr().err
    assert stopped.value.code == 2 and message in shown and "Traceback" not in shown
    assert not list(tmp_path.iterdir()), "refused before any work"


def test_params_for_people_and_programs() -> None:
    code, text = call("params", "00")
    assert code == 0 and "temperature" in text and "softens teacher and student" in text
    code, text = call("params", "00", "--json")
    assert {"profile", "dataset", "data_root", "temperature", "alpha", "seed"} <= {
        p["name"] for p in json.loads(text)}  # fmt: skip


def test_data_list_and_show() -> None:
    code, text = call("data", "list", "--json")
    assert code == 0 and [m["id"] for m in json.loads(text)] == manifest_ids()
    assert "Kermany" in call("data", "show", "cxr3")[1]


def test_make_then_index(tmp_path: Path) -> None:
    code, _ = call("data", "make", "cxr3", "--out", str(tmp_path / "t"), "--patients", "4")
    assert code == 0
    code, text = call("data", "index", "cxr3", "--root", str(tmp_path / "t"), "--json")
    assert json.loads(text)["patients"] == 4
    with pytest.raises(FileExistsError):
        call("data", "make", "cxr3", "--out", str(tmp_path / "t"), "--patients", "4")


def test_a_new_key_is_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert call("course", "grade", "00", "--new-key")[0] == 0
    assert (tmp_path / "instructor.key").stat().st_mode & 0o077 == 0


def test_the_exercises_leave_for_nbgrader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    call("course", "grade", "00", "--new-key")
    code, _ = call("course", "nbgrader", "00", "--out", "course")
    assert code == 0 and (tmp_path / "course" / "nbgrader_config.py").is_file()
    (source,) = (tmp_path / "course" / "source").glob("*/*.ipynb")
    assert "BEGIN SOLUTION" in source.read_text(encoding="utf-8")
