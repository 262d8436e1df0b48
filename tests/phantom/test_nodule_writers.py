"""What the three writers of detection sets promise: the same bytes, refusals, who is marked."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from medkd_lib.data.manifest import load_manifest
from medkd_lib.data.split import LeakageError, check_overlaps
from medkd_lib.phantom import deeplesion
from medkd_lib.phantom.deeplesion import write_deeplesion
from medkd_lib.phantom.lung_pet_ct_dx import write_lung_pet_ct_dx
from medkd_lib.phantom.lungct_roboflow import write_lungct_roboflow
from medkd_lib.phantom.nodule_boxes import HABITS

SEED = 3
WRITERS = {
    "lung_pet_ct_dx": write_lung_pet_ct_dx,
    "deeplesion": write_deeplesion,
    "lungct_roboflow": write_lungct_roboflow,
}


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def hashes(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("name", WRITERS)
def test_bytes_depend_on_seed_and_patients_alone(name: str, tmp_path: Path) -> None:
    write = WRITERS[name]
    one = hashes(write(tmp_path / "1", patients=2, seed=1))
    two = hashes(write(tmp_path / "2", patients=2, seed=1, workers=2))
    assert one == two
    pixels = (".dcm", ".png", ".jpg")
    first = hashes(write(tmp_path / "3", patients=1, seed=1))
    kept = {k: v for k, v in first.items() if k.endswith(pixels)}
    assert kept.items() <= one.items()
    other = hashes(write(tmp_path / "4", patients=1, seed=2))
    assert not set(kept.values()) & set(other.values())


@pytest.mark.parametrize("name", WRITERS)
def test_nonsense_is_refused(name: str, tmp_path: Path) -> None:
    write = WRITERS[name]
    for wrong in ({"patients": 0}, {"workers": 0}, {"difficulty": "hard"}, {"size": "tiny"}):
        with pytest.raises(ValueError, match=str(next(iter(wrong)))):
            write(tmp_path / "out", **wrong)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").touch()
    with pytest.raises(FileExistsError):
        write(tmp_path / "out", patients=1)


def test_sets_that_may_share_images_never_meet() -> None:
    roboflow, dx = load_manifest("lungct_roboflow"), load_manifest("lung_pet_ct_dx")
    with pytest.raises(LeakageError, match="share patients"):
        check_overlaps([roboflow], [dx])
    check_overlaps([load_manifest("deeplesion")], [dx])


def test_only_the_lesion_looked_for_is_sure_to_be_marked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert HABITS["deeplesion"].marked == 0.5
    rows = {}
    for share in (0.0, 1.0):
        habit = replace(HABITS["deeplesion"], marked=share)
        monkeypatch.setattr(deeplesion, "HABITS", {"deeplesion": habit})
        out = write_deeplesion(tmp_path / f"{share}", patients=4, seed=SEED)
        rows[share] = Counter(row["File_name"] for row in table(out / "DL_info.csv"))
    # the key slices are the same, each with one row or with all it shows
    assert set(rows[0.0]) == set(rows[1.0]) and set(rows[0.0].values()) == {1}
    assert sum(rows[1.0].values()) >= len(rows[1.0])
