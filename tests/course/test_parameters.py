"""Parameters: what is refused, with which words, and what `resolve` derives."""

from pathlib import Path
from typing import Any

import pytest
import torch

from medkd_lib.course.parameters import ParameterError, read_parameters, validate
from medkd_lib.course.resolve import resolve

CELL = """profile: str = "lesson"  # [smoke | lesson | paper] how much to compute
data_root: str = ""  # [folder] real images; empty: the phantom twin
temperature: float = 4.0  # [> 0] softening
alpha: float = 0.9  # [0..1] weight
epochs: int | None = None  # [>= 1] passes; None: the profile decides
seed: int = 0  # [0..4294967295] of everything
deep: bool = False  # a switch without rule
weights: str = ""  # [file, paper only] published weights; empty: none
"""
PROFILES = {"lesson": {"epochs": 5, "width": 8}, "smoke": {"epochs": 1, "width": 4}}
HERE = Path(__file__).parent


def checked(**given: object) -> dict[str, object]:
    return validate(read_parameters(CELL), given, HERE)


def test_reading() -> None:
    first, *_, last, _ = read_parameters(CELL)
    assert (first.name, first.kind, first.default, first.rule) == (
        "profile", "str", "lesson", "smoke | lesson | paper")  # fmt: skip
    assert first.meaning == "how much to compute"
    assert last.type_text == "bool" and read_parameters(CELL)[4].type_text == "int | None"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"temprature": 2}, "unknown parameter 'temprature': did you mean 'temperature'"),
        ({"epochs": "ten"}, "epochs: expected a value of type int, found 'ten'; for example"),
        ({"epochs": 2.5}, "expected a value of type int"),
        ({"epochs": 0}, "epochs: expected a value >= 1, found 0"),
        ({"temperature": -1}, "temperature: expected a value > 0, found -1"),
        ({"temperature": "nan"}, "type float, found 'nan'"),
        ({"seed": "5000000000"}, "0..4294967295"),
        ({"seed": "1" + 400 * "0"}, "seed: expected"),
        ({"temperature": "1e999"}, "type float"),
        ({"temperature": None}, "expected a value of type float, found None"),
        ({"alpha": 1.01}, r"expected a value 0\.\.1"),
        ({"profile": "leson"}, "one of smoke, lesson, paper.*did you mean 'lesson'"),
        ({"deep": "yes"}, "type bool"),
        ({"seed": True}, "type int"),
        (
            {"data_root": "nowhere"},
            "data_root: expected an existing folder, .*nowhere",
        ),
        (
            {"weights": "nowhere.pth", "profile": "paper"},
            "weights: expected an existing file, .*nowhere.pth.*give published weights; empty",
        ),
        ({"weights": ".", "profile": "paper"}, "weights: expected an existing file"),
        (
            {"weights": Path(__file__).name},
            "weights: expected profile='paper'.*found profile='lesson'; add -p profile=paper",
        ),
    ],
)
def test_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        checked(**given)


def test_converted() -> None:
    values = checked(epochs="10", temperature=3, deep="true", alpha="0.5", data_root="masters")
    assert values["epochs"] == 10 and values["deep"] is True and values["alpha"] == 0.5
    assert isinstance(values["temperature"], float)
    assert values["data_root"] == str((HERE / "masters").resolve())
    assert checked(epochs="None")["epochs"] is None
    assert checked(epochs="9007199254740993")["epochs"] == 9007199254740993


def test_a_file_of_published_weights_is_taken_by_the_paper_profile() -> None:
    name = Path(__file__).name
    assert checked(profile="paper", weights=name)["weights"] == str(HERE.resolve() / name)
    assert checked(weights="")["weights"] == checked()["weights"] == ""


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("x = 3", "expected `name: type = default"),
        ("x: list = []", "one of the types"),
        ("x: int = 3  # [about 3] what", "is not understood"),
    ],
)
def test_a_bad_cell_is_named(cell: str, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        validate(read_parameters(cell), {}, HERE)


def kernel(*cells: str) -> dict[str, Any]:
    """What a kernel's globals hold after these cells ran."""
    namespace: dict[str, Any] = {"In": ["", *cells]}
    for cell in cells:
        exec(cell, namespace)
    return namespace


def test_resolve_fills_the_profile_and_keeps_what_was_given() -> None:
    config = resolve(kernel(CELL), PROFILES, quiet=True)
    assert (config.epochs, config.width, config.device) == (
        5,
        8,
        "cpu",
    ) or torch.cuda.is_available()
    config = resolve(kernel(CELL, "# Parameters\nepochs = 7\n"), PROFILES, quiet=True)
    assert (config.epochs, config.width) == (7, 8)


def test_resolve_sees_what_papermill_lets_pass() -> None:
    with pytest.raises(ParameterError, match="did you mean 'temperature'"):
        resolve(kernel(CELL, "# Parameters\ntemprature = 2\n"), PROFILES, quiet=True)
    with pytest.raises(ParameterError, match="type int"):
        resolve(kernel(CELL, '# Parameters\nepochs = "ten"\n'), PROFILES, quiet=True)


def test_a_second_run_all_in_the_same_kernel_is_fine() -> None:
    later = "answer = 42\ntable = [1, 2]"
    config = resolve(kernel(CELL, later, CELL, later), PROFILES, quiet=True)
    assert config.epochs == 5


def test_resolve_seeds(capsys: pytest.CaptureFixture[str]) -> None:
    draws = []
    for _ in range(2):
        resolve(kernel(CELL), PROFILES)
        draws.append(float(torch.rand(1)))
    assert draws[0] == draws[1]
    assert "temperature" in capsys.readouterr().out


def test_resolve_before_the_parameters_cell_says_so() -> None:
    with pytest.raises(ParameterError, match="run it first"):
        resolve(kernel("x = 1"), PROFILES, quiet=True)
