"""What counts as the bytes of an image: both of a pair, the detached voxels, a whole folder."""

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from medkd_lib.data.check import check
from medkd_lib.data.file_digest import content_of, digest, files_of
from medkd_lib.data.index import index
from medkd_lib.data.problems import DataError
from medkd_lib.data.recipe import Recipe
from medkd_lib.data.store import TensorStore
from medkd_lib.data.volumes import Volumes

from .tiny import SHAPE, brain, manifest

RECIPE = Recipe(("t1",), intensity="as_stored", dtype="float32")


def analyze(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.AnalyzeImage(brain(seed), np.eye(4)), path)
    return path


def nifti_pair(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Pair(brain(seed), np.diag([-1.0, -1, 1, 1])), path)
    return path


def detached(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(sitk.GetImageFromArray(brain(seed)), str(path))
    return path


# Writer, suffix, and what the manifest has to add.
FORMATS: dict[str, tuple[Any, str, dict[str, Any]]] = {
    "Analyze": (analyze, "hdr", {"axcodes": "LPS", "spacing_mm": [1, 1, 1]}),
    "NIfTI pair": (nifti_pair, "hdr", {}),
    "MetaImage": (detached, "mhd", {}),
    "NRRD": (detached, "nhdr", {}),
}


@pytest.mark.parametrize("name", FORMATS)
def test_equal_headers_are_not_equal_images(name: str, tmp_path: Path) -> None:
    writer, suffix, more = FORMATS[name]
    root = tmp_path / "set"
    headers = [writer(root / f"P{i}" / f"t1.{suffix}", i) for i in range(2)]
    assert headers[0].read_bytes() == headers[1].read_bytes()
    assert [len(files_of(h)) for h in headers] == [2, 2]
    layout = {"images": {"t1": {"glob": f"*/t1.{suffix}", **more}}, "annotations": {},
              "case_regex": r"^(?P<patient>P\d)/"}  # fmt: skip
    dedupe = {"cases": ["*"], "what": "repeats", "action": "dedupe", "source": "here"}
    listed = manifest(layout, known_issues=[dedupe])
    found = index(listed, root)
    assert [c.id for c in found.cases] == ["P0", "P1"]
    assert not [p for p in check(listed, root) if p.kind == "duplicate_patient"]

    volumes = Volumes(listed, found.cases, RECIPE, TensorStore(tmp_path / "cache"))
    assert volumes.key(found.cases[0]) != volumes.key(found.cases[1])
    before = [volumes[i].image.clone() for i in range(2)]
    assert not np.array_equal(before[0], before[1])
    writer(headers[0], 7)  # the header stays, the voxels change
    assert not np.array_equal(volumes[0].image, before[0])


def test_half_of_a_pair_is_named(tmp_path: Path) -> None:
    path = analyze(tmp_path / "P0" / "t1.hdr", 0)
    path.with_suffix(".img").unlink()
    with pytest.raises(DataError) as caught:
        digest(path)
    assert caught.value.problem.kind == "missing_pair"
    with pytest.raises(DataError) as caught:
        files_of(tmp_path / "nothing.nii")
    assert caught.value.problem.kind == "missing_file"


def test_a_copy_under_other_names_has_the_same_content(tmp_path: Path) -> None:
    for folder, names in (("a", "xyz"), ("b", "klm")):
        (tmp_path / folder).mkdir()
        for i, name in enumerate(names):
            (tmp_path / folder / name).write_bytes(bytes([i]))
    a, b = tmp_path / "a", tmp_path / "b"
    assert content_of({"ct": a}) == content_of({"ct": b}) != content_of({"mr": a})
    assert digest(a) != digest(b), "names order the slices of a stack"
    (b / "m").write_bytes(b"7")
    assert content_of({"ct": a}) != content_of({"ct": b})


def test_bytes_are_hashed_piece_by_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "big.nii"
    path.write_bytes(brain(0).tobytes() * 1000)
    assert path.stat().st_size > 1 << 20 and np.prod(SHAPE) == 720

    def whole(_: Path) -> bytes:
        raise AssertionError("the whole file was taken into memory")

    monkeypatch.setattr(Path, "read_bytes", whole)
    assert len(digest(path)) == 64
