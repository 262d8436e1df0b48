"""The optional viewer: absent without its package, and given the right files with it."""

import importlib.machinery
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from medkd_lib.show.niivue import niivue


class Viewer:
    """Stands for ``ipyniivue.NiiVue``, of which only this much is used."""

    def __init__(self, *, height: int) -> None:
        self.height = height
        self.loaded: list[dict[str, Any]] = []

    def load_volumes(self, volumes: list[dict[str, Any]]) -> None:
        self.loaded += volumes


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("ipyniivue")
    module.__spec__ = importlib.machinery.ModuleSpec("ipyniivue", None)
    monkeypatch.setattr(module, "NiiVue", Viewer, raising=False)
    monkeypatch.setitem(sys.modules, "ipyniivue", module)


def test_without_the_package_there_is_no_viewer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ipyniivue", None)  # as if it were not installed
    assert niivue(Path("t1.nii.gz")) is None


@pytest.mark.usefixtures("package")
def test_the_mask_lies_over_the_image() -> None:
    viewer = niivue(Path("a") / "t1.nii.gz", Path("a") / "seg.nii.gz", height=300)
    assert isinstance(viewer, Viewer) and viewer.height == 300
    image, mask = viewer.loaded
    assert image["path"] == str(Path("a/t1.nii.gz")) and image["colormap"] == "gray"
    assert mask["path"] == str(Path("a/seg.nii.gz")) and 0 < mask["opacity"] < 1


@pytest.mark.usefixtures("package")
def test_an_image_alone() -> None:
    viewer = niivue(Path("t1.nii.gz"))
    assert isinstance(viewer, Viewer) and [v["path"] for v in viewer.loaded] == ["t1.nii.gz"]
