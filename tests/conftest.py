"""Shared fixtures: a medkd home of its own for the whole session, and the real images if named."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric


@pytest.fixture(autouse=True, scope="session")
def session_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep caches out of the user's home; children of the session inherit it."""
    home = Path(os.environ.get("MEDKD_TEST_HOME") or tmp_path_factory.mktemp("home"))
    before = os.environ.get("MEDKD_HOME")
    os.environ["MEDKD_HOME"] = str(home)
    torch.set_num_threads(1)
    yield home
    if before is None:
        del os.environ["MEDKD_HOME"]
    else:
        os.environ["MEDKD_HOME"] = before


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh medkd home for one test."""
    monkeypatch.setenv("MEDKD_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def cpu() -> Fabric:
    return Fabric(accelerator="cpu", devices=1)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real images, or a skip that says why."""
    named = os.environ.get("MEDKD_REAL_DATA")
    if not named:
        pytest.skip("MEDKD_REAL_DATA names no folder of real images")
    return Path(named).resolve()
