"""Style and types, as tests: the same commands a contributor runs."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["mypy", "--no-error-summary"],
    ],
    ids=["ruff", "format", "mypy"],
)
def test_clean(command: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_imports_run_downhill() -> None:
    """course → methods → distill, models, data; show and evaluate import no method."""
    forbidden = {
        "data": ("models", "distill", "methods", "evaluate", "show", "course", "phantom", "train"),
        "models": ("data", "distill", "methods", "evaluate", "show", "course", "phantom", "train"),
        "distill": ("data", "models", "methods", "evaluate", "show", "course", "phantom", "train"),
        "phantom": ("models", "distill", "methods", "evaluate", "show", "course", "train"),
        "methods": ("evaluate", "show", "course", "phantom", "train"),
        "evaluate": ("methods", "show", "course", "phantom", "train"),
        "show": ("methods", "course", "phantom", "train"),
    }
    for room, rooms in forbidden.items():
        for path in (ROOT / "medkd_lib" / room).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            uphill = [r for r in rooms if f"medkd_lib.{r}" in text.replace(f"medkd_lib.{room}", "")]
            assert not uphill, f"{path} imports {uphill}"
