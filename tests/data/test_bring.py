"""What a person brings: verified where it lies, unpacked only if it must be."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medkd_lib.data.bring import bring
from medkd_lib.data.manifest import Manifest, load_manifest
from medkd_lib.data.problems import DataError
from medkd_lib.data.verified import RECORD_NAME
from tests.data.hosts import manifest
from tests.data.test_fetch import PATIENTS, png


def known(name: str, content: bytes, **other: Any) -> dict[str, Any]:
    digest = hashlib.sha256(content).hexdigest()
    return {"name": name, "hash": f"sha256:{digest}", "hash_source": "the test", **other}


def toy(**other: Any) -> Manifest:
    return manifest(known("set.zip", PATIENTS), **other)


def lay_out(folder: Path, patients: int = 2) -> Path:
    (folder / "set").mkdir(parents=True)
    for number in range(1, patients + 1):
        (folder / f"set/p{number}.png").write_bytes(png())
    return folder


def everything(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def test_a_folder_is_verified_in_place(home: Path, tmp_path: Path) -> None:
    root = lay_out(tmp_path / "share")
    (tmp_path / "share").chmod(0o555)
    done = bring(toy(), root)
    assert (done.root, done.cases, done.problems) == (root, 2, ())
    assert everything(root) == {"set/p1.png", "set/p2.png"}, "nothing written beside the data"
    assert done.record.is_relative_to(home) and not (home / "data").exists()
    record = json.loads(done.record.read_text())
    assert record["how"] == "brought" and record["files"] == []
    assert record["layout"] == {"cases": 2, "patients": 2, "files": {"image": 2}}


def test_a_part_of_a_set_is_a_warning(home: Path, tmp_path: Path) -> None:
    (problem,) = bring(toy(), lay_out(tmp_path / "share", patients=1)).problems
    assert (problem.kind, problem.severity) == ("count_mismatch", "warning")
    assert "{'patients': 2}" in problem.expected and "1 cases of 1 patients" in problem.found


def test_an_archive_is_verified_and_unpacked(home: Path, tmp_path: Path) -> None:
    (tmp_path / "set.zip").write_bytes(PATIENTS)
    done = bring(toy(), tmp_path / "set.zip")
    assert done.root == home / "data/toy" and done.cases == 2
    assert everything(done.root) == {"set/p1.png", "set/p2.png", RECORD_NAME}, "no copy of it"
    assert json.loads(done.record.read_text())["files"][0]["verified"] is True
    assert bring(toy(), tmp_path / "set.zip", tmp_path / "out").root == tmp_path / "out"


def test_a_renamed_archive_is_known_by_its_bytes(home: Path, tmp_path: Path) -> None:
    (tmp_path / "download (1).zip").write_bytes(PATIENTS)
    assert bring(toy(), tmp_path / "download (1).zip").cases == 2


def test_an_archive_unpacked_beside_itself_stays_there(home: Path, tmp_path: Path) -> None:
    root = lay_out(tmp_path / "share")
    (root / "set.zip").write_bytes(PATIENTS)
    done = bring(toy(), root)
    assert done.root == root and len(json.loads(done.record.read_text())["files"]) == 1
    shutil.rmtree(root / "set")
    assert bring(toy(), root).root == home / "data/toy", "alone, it is unpacked"


def test_releases_that_share_a_name(home: Path, tmp_path: Path) -> None:
    older = {"name": "set.zip", "hash": "md5:" + "0" * 32, "hash_source": "x"}
    both = manifest(older, known("set.zip", PATIENTS))
    (tmp_path / "set.zip").write_bytes(PATIENTS)
    assert bring(both, tmp_path / "set.zip").cases == 2
    (tmp_path / "set.zip").write_bytes(PATIENTS + b"x")
    with pytest.raises(DataError) as error:
        bring(both, tmp_path / "set.zip")
    problem = error.value.problem
    assert problem.kind == "hash_mismatch" and problem.expected.startswith("md5:000")
    assert hashlib.sha256(PATIENTS + b"x").hexdigest() in problem.found


def refused(of: Manifest, path: Path, kind: str) -> str:
    with pytest.raises(DataError) as error:
        bring(of, path)
    assert error.value.problem.kind == kind, error.value
    return str(error.value)


def test_what_is_not_the_dataset(home: Path, tmp_path: Path) -> None:
    refused(toy(), tmp_path / "none", "missing_file")
    (tmp_path / "other.bin").write_bytes(b"x")
    assert "set.zip" in refused(toy(), tmp_path / "other.bin", "unknown_file")
    (tmp_path / "empty/set").mkdir(parents=True)
    with pytest.raises(DataError):
        bring(toy(), tmp_path / "empty")
    assert not home.exists(), "no record of what was not verified"


def test_a_broken_case_is_not_verified(home: Path, tmp_path: Path) -> None:
    root = lay_out(tmp_path / "share")
    (root / "set/nobody.png").write_bytes(png())
    (root / "set/somebody.png").write_bytes(png())
    with pytest.raises(DataError, match=r"1 more: `medkd data check`"):
        bring(toy(), root)
    assert not home.exists()


def test_files_of_unknown_hash(home: Path, tmp_path: Path) -> None:
    bare = manifest({"name": "set.zip"})
    (tmp_path / "set.zip").write_bytes(PATIENTS)
    refused(bare, tmp_path / "set.zip", "no_known_hash")
    done = bring(bare, tmp_path / "set.zip", unverified=True)
    (row,) = json.loads(done.record.read_text())["files"]
    assert row["hash"] == "sha256:" + hashlib.sha256(PATIENTS).hexdigest() and not row["verified"]


def test_a_set_without_a_layout(home: Path, tmp_path: Path) -> None:
    root = lay_out(tmp_path / "share")
    refused(toy(layout=None), root, "no_layout")
    assert bring(toy(layout=None), root, unverified=True).cases is None
    (tmp_path / "set.zip").write_bytes(PATIENTS)
    assert bring(toy(layout=None), tmp_path / "set.zip").cases is None, "its hash is known"


@pytest.mark.parametrize(
    ("label", "kind"), [(7, "unknown_label"), (None, "bad_archive"), (1, "wrong_name")]
)
def test_a_single_archive_of_rows_tells_its_own_defect(
    home: Path, tmp_path: Path, label: int | None, kind: str
) -> None:
    labels = {"kind": "classes", "values": [{"id": 0, "name": "no"}, {"id": 1, "name": "yes"}]}
    layout = {"kind": "npz", "images": {"image": "toy.npz"}}
    name = "mine.npz" if kind == "wrong_name" else "toy.npz"
    parts = ("train", "val", "test")
    arrays: dict[str, Any] = {}
    for part in parts if label is not None else ():
        arrays[f"{part}_labels"] = np.full((2, 1), label)
        arrays[f"{part}_images"] = np.zeros((2, 4, 4), np.uint8)
    np.savez(tmp_path / name, other=np.zeros(1), **arrays)
    of = manifest({"name": "toy.npz"}, layout=layout, labels=labels)
    with pytest.raises(DataError) as error:
        bring(of, tmp_path / name, unverified=True)
    assert error.value.problem.kind == kind, error.value


@pytest.mark.real_data
def test_real_files_as_they_are(home: Path, real_data: Path, tmp_path: Path) -> None:
    npz = real_data / "medmnist/breastmnist.npz"
    done = bring(load_manifest("breastmnist"), npz)
    assert done.root == npz.parent and done.cases == 546 + 78 + 156
    assert bring(load_manifest("retinamnist"), npz.parent).cases == 1600
    shutil.copy(npz, tmp_path / "mine.npz")
    refused(load_manifest("breastmnist"), tmp_path / "mine.npz", "wrong_name")
    films = bring(load_manifest("cxr3"), real_data / "cxr3")
    assert films.cases == 1080 and films.record.is_relative_to(home)
