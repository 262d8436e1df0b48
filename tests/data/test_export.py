"""Exported slices: read back they are what was prepared, and what they are not is written down."""

import csv
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from medkd_lib.data.check import check
from medkd_lib.data.export import LABEL_COLUMNS, export_slices, slice_id
from medkd_lib.data.images import load_images
from medkd_lib.data.index import index
from medkd_lib.data.manifest import Manifest, load_manifest
from medkd_lib.data.recipe import Recipe
from medkd_lib.data.slices import SliceRow, load_slices
from medkd_lib.data.split import LeakageError, check_overlaps
from medkd_lib.data.store import TensorStore
from medkd_lib.data.volumes import Volumes

from .tiny import manifest, write_set

RECIPE = Recipe(("t1", "t2"), "seg", axcodes="LPS", intensity="unit", shape=(8, 6, 8))
NAMES = {0: "none", 1: "core, nothing enhances"}
NO_LICENCE = {"spdx": None, "name": "on request", "redistribute": False}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_set(tmp_path / "tiny")


def prepared(root: Path, recipe: Recipe = RECIPE, **changes: Any) -> Volumes:
    listed = manifest(**changes)
    cache = TensorStore(root.parent / "cache", durable=False)
    return Volumes(listed, index(listed, root).cases, recipe, cache)


def rows(volumes: Volumes) -> list[SliceRow]:
    """Two slices of every case, the last case first."""
    return [
        SliceRow(volumes.cases[number], number, k, (number + k) % 2)
        for number in (2, 0, 1)
        for k in (5, 3)
    ]


def export(volumes: Volumes, out: Path, **changes: Any) -> Manifest:
    options: dict[str, Any] = {"dataset": "tiny_png", "names": NAMES, "preview": ("t2", "t1", "t2")}
    return export_slices(volumes, rows(volumes), out, **(options | changes))


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_the_index_reads_it_back(root: Path, home: Path, tmp_path: Path) -> None:
    volumes = prepared(root)
    made = export(volumes, tmp_path / "out")
    listed = load_manifest("tiny_png", tmp_path / "out")
    assert listed == made
    found = index(listed, tmp_path / "out")
    wanted = {slice_id(r): (r.case.patient, r.label) for r in rows(volumes)}
    assert {c.id: (c.patient, c.label) for c in found.cases} == wanted
    assert len(wanted) == 6 and not found.problems
    images = load_images(found.cases, 8, channels=3)
    assert images.images.shape == (6, 3, 8, 8)
    assert images.patients == ("P0", "P0", "P1", "P1", "P2", "P2")
    assert check(listed, tmp_path / "out") == []


def test_arrays_hold_every_channel_and_the_mask(root: Path, tmp_path: Path) -> None:
    volumes = prepared(root)
    export(volumes, tmp_path / "out")
    upright = load_slices(volumes, rows(volumes))
    for number, row in enumerate(rows(volumes)):
        path = tmp_path / "out" / "arrays" / row.case.patient / f"{slice_id(row)}.npz"
        with np.load(path, allow_pickle=False) as arrays:
            assert sorted(arrays) == ["affine", "channels", "image", "mask"]
            assert arrays["channels"].tolist() == ["t1", "t2"]
            assert arrays["image"].dtype == np.float16 and arrays["image"].shape == (2, 6, 8)
            np.testing.assert_array_equal(arrays["image"], upright.images[number])
            np.testing.assert_array_equal(arrays["mask"], upright.masks[number])
            np.testing.assert_array_equal(arrays["affine"], volumes[row.row].affine)
    assert (upright.masks > 0).any()


@pytest.mark.parametrize(("preview", "channels"), [(("t2", "t1", "t2"), [1, 0, 1]), (("t1",), [0])])
def test_pictures_show_the_named_channels(
    root: Path, tmp_path: Path, preview: tuple[str, ...], channels: list[int]
) -> None:
    volumes = prepared(root)
    export(volumes, tmp_path / "out", preview=preview)
    upright = load_slices(volumes, rows(volumes))
    for number, row in enumerate(rows(volumes)):
        path = tmp_path / "out" / "images" / row.case.patient / f"{slice_id(row)}.png"
        with Image.open(path) as picture:
            pixels = np.asarray(picture)
        assert picture.mode == ("RGB" if len(preview) == 3 else "L")
        wanted = np.rint(255 * upright.images[number].numpy()[channels]).astype(np.uint8)
        np.testing.assert_array_equal(np.atleast_3d(pixels).transpose(2, 0, 1), wanted)
        assert len(np.unique(pixels)) > 10


def test_the_tables_are_true(root: Path, tmp_path: Path) -> None:
    volumes = prepared(root)
    export(volumes, tmp_path / "out")
    lines = table(tmp_path / "out" / "labels.csv")
    assert tuple(lines[0]) == LABEL_COLUMNS
    for line, row in zip(lines, rows(volumes), strict=True):
        assert (line["case"], line["patient"], int(line["slice"]), int(line["label"])) == (
            slice_id(row), row.case.patient, row.k, row.label)  # fmt: skip
        assert (tmp_path / "out" / line["file"]).is_file()
    hashes = table(tmp_path / "out" / "files.csv")
    on_disk = {p.relative_to(tmp_path / "out").as_posix()
               for p in (tmp_path / "out").rglob("*") if p.is_file()}  # fmt: skip
    assert {h["path"] for h in hashes} == on_disk - {"files.csv"}
    for entry in hashes:
        blob = (tmp_path / "out" / entry["path"]).read_bytes()
        assert entry["sha256"] == hashlib.sha256(blob).hexdigest()
        assert int(entry["bytes"]) == len(blob)
    recipe = json.loads((tmp_path / "out" / "recipe.json").read_text())
    assert recipe["source"] == "tiny" and recipe["recipe"]["intensity"] == "unit"


def test_the_bytes_do_not_depend_on_the_hour(root: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        export(prepared(root), tmp_path / name)
    one, two = ((tmp_path / n / "files.csv").read_bytes() for n in ("one", "two"))
    assert one == two


def test_the_manifest_inherits_and_tells_what_was_lost(root: Path, tmp_path: Path) -> None:
    issues = [
        {"cases": ["P0"], "what": "swapped", "action": "relabel", "source": "here", "role": "seg",
         "to": "1->2, 2->1"},
        {"cases": ["X*"], "what": "elsewhere", "action": "warn", "source": "here"},
    ]  # fmt: skip
    overlaps = [{"id": "cousin", "evidence": "same hospital"}]
    volumes = prepared(root, licence=NO_LICENCE, known_issues=issues, overlaps=overlaps)
    made = export(volumes, tmp_path / "out", preview=("t2",))
    assert made.licence == volumes.manifest.licence and made.licence.redistribute is False
    assert made.citation == ["Derived from Tiny (tiny, version 1).", "Nobody. Nothing."]
    notes = index(made, tmp_path / "out").notes
    assert any("256 levels of grey = t2; t1 only in arrays/" in note for note in notes)
    assert any("swapped (relabel was carried out before the export)" in note for note in notes)
    assert not any("elsewhere" in note for note in notes)
    assert made.splits is not None and made.splits.group_by == "patient"
    for other in (volumes.manifest, manifest(id="cousin")):
        with pytest.raises(LeakageError):
            check_overlaps([made], [other])


def test_without_a_mask_there_is_none(root: Path, tmp_path: Path) -> None:
    export(prepared(root, replace(RECIPE, mask=None)), tmp_path / "out")
    path = next((tmp_path / "out" / "arrays").rglob("*.npz"))
    with np.load(path, allow_pickle=False) as arrays:
        assert "mask" not in arrays


@pytest.mark.parametrize(
    ("recipe", "options", "message"),
    [
        (replace(RECIPE, axcodes="RAS"), {}, "expected axcodes 'LPS'"),
        (replace(RECIPE, intensity="zscore"), {}, "intensity 'unit' or 'window'"),
        (replace(RECIPE, intensity=("unit", "zscore")), {}, "intensity 'unit' or 'window'"),
        (RECIPE, {"preview": ("t1", "t2")}, "one or three of"),
        (RECIPE, {"preview": ("flair",)}, "one or three of"),
        (RECIPE, {"names": {0: "none"}}, "found 1; name it"),
    ],
)
def test_impossible_requests(
    root: Path, tmp_path: Path, recipe: Recipe, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        export(prepared(root, recipe), tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_rows_are_checked(root: Path, tmp_path: Path) -> None:
    volumes = prepared(root)
    one = rows(volumes)[0]
    odd = replace(one, case=replace(one.case, id="../P2"))
    for chosen, message in (([], "found none"), ([one, one], "twice"), ([odd], "file's name")):
        with pytest.raises(ValueError, match=message):
            export_slices(volumes, chosen, tmp_path / "out", dataset="tiny_png", names=NAMES,
                          preview=("t1",))  # fmt: skip


def test_a_mixed_recipe_that_ends_in_0_to_1_is_fine(root: Path, tmp_path: Path) -> None:
    mixed = replace(RECIPE, intensity=("unit", (0.0, 900.0)))
    assert export(prepared(root, mixed), tmp_path / "out").n_cases["slices"] == 6


def test_a_folder_with_content_is_left_alone(root: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("")
    with pytest.raises(FileExistsError, match="found content"):
        export(prepared(root), tmp_path / "out")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_a_failure_halfway_leaves_nothing(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volumes, real, calls = prepared(root), np.savez_compressed, []

    def full(*args: Any, **kwargs: Any) -> None:
        calls.append(args)
        if len(calls) == 4:
            raise OSError(28, "No space left on device")
        real(*args, **kwargs)

    monkeypatch.setattr("numpy.savez_compressed", full)
    with pytest.raises(OSError, match="No space left"):
        export(volumes, tmp_path / "here" / "out")
    assert not list((tmp_path / "here").iterdir())


@pytest.mark.parametrize(("redistribute", "refused"), [(False, True), (None, True), (True, False)])
def test_what_may_not_be_passed_on_stays_out_of_a_repository(
    root: Path, tmp_path: Path, redistribute: bool | None, refused: bool
) -> None:
    (tmp_path / "checkout" / ".git").mkdir(parents=True)
    out = tmp_path / "checkout" / "deep" / "out"
    volumes = prepared(root, licence=NO_LICENCE | {"redistribute": redistribute})
    if refused:
        message = r"outside the git checkout .*checkout, since.*for example .*checkout-exports"
        with pytest.raises(ValueError, match=message):
            export(volumes, out)
        assert not out.exists()
        export(volumes, tmp_path / "checkout-exports")  # where the message sends
        export(volumes, out, inside_checkout=True)
        assert (out / "labels.csv").is_file()
    else:
        export(volumes, out)
        assert (out / "labels.csv").is_file()


def test_synthetic_images_go_anywhere_and_say_what_they_are(root: Path, tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()  # a home folder may be a checkout itself
    volumes = prepared(root, licence=NO_LICENCE)
    with pytest.raises(ValueError, match="git checkout"):
        export(volumes, tmp_path / "out")
    made = export(volumes, tmp_path / "out", synthetic=True)
    notes = index(made, tmp_path / "out").notes
    assert any("none shows a real person" in note for note in notes)
    real = export(volumes, tmp_path / "real", inside_checkout=True)
    assert not any("synthetic" in issue.what for issue in real.known_issues)
