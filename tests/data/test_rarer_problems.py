"""Defects that no other file plants: each is stopped or told under its own kind."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from medkd_lib.data.archive import unpack
from medkd_lib.data.boxes import boxes_from_mask
from medkd_lib.data.bring import bring
from medkd_lib.data.case import Case
from medkd_lib.data.check import check
from medkd_lib.data.fetch import get
from medkd_lib.data.images import load_images
from medkd_lib.data.index import index
from medkd_lib.data.manifest import Manifest
from medkd_lib.data.picture import read_index_mask, read_picture
from medkd_lib.data.png_stack import read_png_stack
from medkd_lib.data.problems import DataError, Problem
from medkd_lib.data.recipe import Recipe
from medkd_lib.data.verified import RECORD_NAME, write_record
from medkd_lib.data.voc import read_voc
from medkd_lib.data.volume import Volume
from tests.data import hosts

from .tiny import AFFINE, SHAPE, brain, lesion, manifest, write_set

PARTS = ("train", "val", "test")
VOC = """<annotation><filename>a.png</filename>
<size><width>4</width><height>3</height></size></annotation>"""


def picture(folder: Path, name: str, mode: str = "L", size: tuple[int, int] = (4, 3)) -> Path:
    Image.new(mode, size).save(folder / name)
    return folder / name


def coloured_mask(folder: Path) -> object:
    pixels = np.zeros((3, 4, 3), np.uint8)
    pixels[0, 0] = 255, 0, 0
    Image.fromarray(pixels).save(folder / "m.png")
    return read_index_mask(folder / "m.png")


def annotation_of_another_size(folder: Path) -> object:
    (folder / "a.xml").write_text(VOC, encoding="utf-8")
    return read_voc(folder / "a.xml", image=picture(folder, "a.png", size=(8, 6)))


def prepared(mask: NDArray[Any], affine: NDArray[np.float64]) -> object:
    return Recipe(("t1",), "seg").apply(
        {"t1": Volume(brain(1), AFFINE), "seg": Volume(mask, affine)}
    )


def sixteen_bits(folder: Path) -> object:
    Image.fromarray(np.full((8, 8), 300, np.uint16)).save(folder / "a.png")
    return load_images([Case("a", "a", "toy", {"image": folder / "a.png"}, label=0)], 8)


def unpacked_onto_something(folder: Path) -> object:
    (folder / "notes.txt").write_text("mine", encoding="utf-8")
    return unpack(folder / "a.zip", folder)


def archive_of_rows(folder: Path, *, labels_per_image: int = 1, images: int = 2) -> Path:
    shape = (2, labels_per_image)
    arrays = {f"{p}_labels": np.zeros(shape, int) for p in PARTS}
    arrays |= {f"{p}_images": np.zeros((images, 4, 4), np.uint8) for p in PARTS}
    np.savez(folder / "toy.npz", **arrays)  # type: ignore[arg-type]
    return folder / "toy.npz"


def rows_manifest(**other: Any) -> Manifest:
    labels = {"kind": "classes", "values": [{"id": 0, "name": "benign"}, {"id": 1, "name": "bad"}]}
    layout = {"kind": "npz", "images": {"image": "toy.npz"}}
    return hosts.manifest(*other.pop("files", ()), layout=layout, labels=labels, **other)


def several_labels(folder: Path) -> object:
    archive_of_rows(folder, labels_per_image=2)
    return index(rows_manifest(), folder)


def foreign_archive(folder: Path) -> object:
    np.savez(folder / "toy.npz", x=np.zeros(3))
    return index(rows_manifest(), folder)


def another_name(folder: Path) -> object:
    mine = archive_of_rows(folder).rename(folder / "mine.npz")
    named = rows_manifest(files=[{"name": "toy.npz"}])
    return bring(named, mine, unverified=True)


def another_set(folder: Path) -> object:
    write_record(
        folder / RECORD_NAME, rows_manifest(id="other"), how="downloaded",
        licence_accepted="in a test", files=[],
    )  # fmt: skip
    return get(downloadable(), folder, accept_licence=True)


def downloadable() -> Manifest:
    stated = {"hash": "md5:" + "0" * 32, "hash_source": "the test"}
    return hosts.manifest({"name": "a.zip", **stated})


STOPPED: dict[str, tuple[Callable[[Path], object], str]] = {
    "colour_mask": (coloured_mask, "2 colours; translate the colours"),
    "lossy_mask": (lambda f: read_index_mask(picture(f, "m.jpg")), "found a JPEG file"),
    "unsupported_mode": (lambda f: read_picture(picture(f, "a.tif", "LAB"), mode="rgb"), "LAB"),
    "size_mismatch": (annotation_of_another_size, r"expected 4 × 3 pixels.*found 8 × 6"),
    "not_binary": (lambda _: boxes_from_mask(np.array([[0, 1, 2]])), r"values \[0, 1, 2\]"),
    "off_grid": (lambda _: prepared(lesion(1), AFFINE @ np.diag([1, 1, 2, 1])),
                 "seg: expected the first channel's grid"),
    "many_labels": (lambda _: prepared(np.full(SHAPE, 300, np.int16), AFFINE), "up to 255.*300"),
    "sixteen_bit": (sixteen_bits, "expected 8 bits, found uint16"),
    "no_slices": (lambda f: read_png_stack(f, axcodes="LPS", spacing_mm=(1, 1, 1)), "PNG slices"),
    "not_empty": (unpacked_onto_something, "a new or empty folder"),
    "several_labels": (several_labels, "one label per image, found 2"),
    "no_archive": (lambda f: index(rows_manifest(), f), r"toy\.npz, found none; data_root"),
    "bad_archive": (foreign_archive, r"toy\.npz: expected a \.npz with"),
    "wrong_name": (another_name, r"toy\.npz.*found mine\.npz"),
    "other_dataset": (another_set, "expected a folder for toy, found other"),
    "unknown_source": (lambda f: get(downloadable(), f, accept_licence=True, source=2),
                       "a source from 1 to 1, found 2"),
}  # fmt: skip


@pytest.mark.parametrize("kind", STOPPED)
def test_defects_that_stop_the_loader(home: Path, tmp_path: Path, kind: str) -> None:
    provoke, message = STOPPED[kind]
    with pytest.raises(DataError, match=message) as error:
        provoke(tmp_path)
    assert (error.value.problem.kind, error.value.problem.severity) == (kind, "error")


def told(problems: list[Problem]) -> list[tuple[str, str, str]]:
    return [(p.kind, p.severity, Path(p.where).name) for p in problems]


def test_a_second_file_for_a_role_breaks_that_case_alone(tmp_path: Path) -> None:
    write_set(tmp_path, 2)
    again = tmp_path / "P1" / "P1-t1.nii"
    again.write_bytes(b"a second one")
    two_ways = {"images": {"t1": {"glob": ["*/*-t1.nii.gz", "*/*-t1.nii"]}, "t2": "*/*-t2.nii.gz"}}
    problems = check(manifest(two_ways), tmp_path)
    assert [p[:2] for p in told(problems)] == [("duplicate_role", "error")]


def test_a_scan_twice_is_a_warning_within_a_patient(tmp_path: Path) -> None:
    write_set(tmp_path, 1)
    for path in sorted((tmp_path / "P0").iterdir()):
        (tmp_path / "P0" / path.name.replace("P0", "P7")).write_bytes(path.read_bytes())
    assert told(check(manifest(), tmp_path)) == [("duplicate_case", "warning", "case P7")]


def test_an_archive_with_more_labels_than_images(tmp_path: Path) -> None:
    archive_of_rows(tmp_path, images=1)
    assert told(check(rows_manifest(), tmp_path)) == [
        ("row_mismatch", "error", f"toy.npz {part}") for part in sorted(PARTS)
    ]
    archive_of_rows(tmp_path)
    assert check(rows_manifest(), tmp_path) == []
