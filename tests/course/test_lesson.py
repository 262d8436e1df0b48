"""What every lesson does with its data: where images come from, and what they are evidence of."""

from pathlib import Path

import pytest

from medkd_lib.course.lesson import Images, open_images
from medkd_lib.data.manifest import load_manifest
from medkd_lib.phantom.twin import NoTwinError, make_twin, twin


def films(dataset: str = "cxr3", data_root: str = "") -> Images:
    return open_images(dataset, data_root, patients=30, difficulty="clear")


def test_without_a_root_the_twin_is_made_once(home: Path) -> None:
    first, again = films(), films()
    assert first.evidence == "phantom" and first.root == again.root
    assert first.root.is_relative_to(home)
    assert "synthetic" in first.index.notes[0]


def test_a_twin_handed_over_as_data_root_stays_a_phantom(tmp_path: Path) -> None:
    root = make_twin(load_manifest("cxr3"), tmp_path / "t", patients=30, difficulty="none", seed=0)
    assert films(data_root=str(root)).evidence == "phantom"
    (root / "truth.csv").unlink()
    assert films(data_root=str(root)).evidence == "stand-in"


def test_a_set_without_a_twin_says_what_to_do() -> None:
    with pytest.raises(NoTwinError, match=r"data_root.*-p data_root="):
        films("breastmnist")


def test_unknown_difficulty(home: Path) -> None:
    with pytest.raises(ValueError, match="'clear', 'subtle', 'none'"):
        twin(load_manifest("cxr3"), patients=30, difficulty="hard")
