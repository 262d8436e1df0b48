"""`result.json`: finite numbers, no unknown fields, whole files or none."""

import json
import math
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from pydantic import ValidationError

from medkd_lib.course.result import (
    Failure,
    Figure,
    Metric,
    Result,
    ResultError,
    read_result,
    result_schema,
    run_folder,
    write_atomic,
    write_result,
)


def metric(**changed: object) -> Metric:
    fields = {
        **{"name": "dice", "value": 0.7, "n": 12, "seed": 0, "evidence": "phantom"},
        **{"interval": (0.6, 0.8), "interval_kind": "95 % bootstrap over patients"},
    }
    return Metric.model_validate(fields | changed)


def test_written_and_read_back(tmp_path: Path) -> None:
    result = Result(lesson="04_x", metrics=[metric(unit="", dataset="kits")], params={"seed": 0})
    assert read_result(write_result(tmp_path, result)) == result
    assert read_result(tmp_path) == result
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, np.float32("nan")])
def test_a_number_that_is_none_is_refused_by_name(bad: float) -> None:
    with pytest.raises(ValidationError, match=r"'dice'.*value: expected a finite number, found"):
        metric(value=bad)
    with pytest.raises(ValidationError, match=r"interval\[1\]: expected a finite number"):
        metric(interval=(0.1, bad))
    with pytest.raises(ValidationError, match=r"params\.lr: expected a finite number"):
        Result(lesson="x", params={"lr": bad})


def test_a_result_edited_into_nan_is_not_written(tmp_path: Path) -> None:
    result = Result(lesson="x", metrics=[metric()])
    result.metrics[0].value = math.nan
    with pytest.raises(ValidationError, match=r"metrics\[0\]\.value: expected a finite number"):
        write_result(tmp_path, result)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"interval": (0.9, 0.1)}, "low, high"),
        ({"interval_kind": ""}, "interval_kind"),
        ({"n": 0}, "n"),
        ({"evidence": "real"}, "evidence"),
        ({"mean": 0.5}, "mean"),
    ],
)
def test_a_metric_that_cannot_be_is_refused(changed: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        metric(**changed)


@pytest.mark.parametrize("file", ["/etc/x.png", "../x.png", "a/../../x.png", "C:\\x.png", ""])
def test_a_figure_stays_in_its_run_folder(file: str) -> None:
    with pytest.raises(ValidationError):
        Figure(file=file, alt="text")


@pytest.mark.parametrize("text", ["", '{"lesson": "x", "sta', "[1]", '{"lesson": "x", "new": 1}'])
def test_a_broken_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "result.json").write_text(text)
    with pytest.raises(ResultError, match=r"result\.json: not"):
        read_result(tmp_path)
    with pytest.raises(ResultError, match="found none"):
        read_result(tmp_path / "elsewhere.json")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = write_atomic(tmp_path / "a.txt", "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomic(path, "new \ud800")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_the_schema_accepts_what_is_written(tmp_path: Path) -> None:
    result = Result(lesson="x", metrics=[metric()], failure=Failure(cell=3, error="boom"))
    written = json.loads(write_result(tmp_path, result).read_text("utf-8"))
    jsonschema.Draft202012Validator(result_schema()).validate(written)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(written | {"surprise": 1}, result_schema())


def test_the_run_folder_is_the_runners_else_at_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MEDKD_RUN_DIR", raising=False)
    monkeypatch.setenv("MEDKD_HOME", str(tmp_path / "home"))
    assert run_folder("04_x") == tmp_path / "home" / "runs" / "04_x" / "interactive"
    monkeypatch.setenv("MEDKD_RUN_DIR", str(tmp_path / "run"))
    assert run_folder("04_x") == tmp_path / "run" and (tmp_path / "run").is_dir()
