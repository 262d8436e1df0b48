"""Pixels and the cache: modes, sizes, damage, several processes."""

import multiprocessing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from medkd_lib.data.batches import SeededBatches, batches
from medkd_lib.data.case import Case
from medkd_lib.data.images import load_images
from medkd_lib.data.problems import DataError
from medkd_lib.data.store import TensorStore, key_of


def case(path: Path, label: int = 0) -> Case:
    return Case(path.stem, path.stem, "toy", {"image": path}, label=label, split="train")


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P"])
def test_modes_become_grey(home: Path, tmp_path: Path, mode: str) -> None:
    ramp = np.tile(np.arange(0, 256, 8, dtype=np.uint8), (32, 1))
    Image.fromarray(ramp).convert(mode).save(tmp_path / "a.png")
    images = load_images([case(tmp_path / "a.png")], 32).images
    assert images.shape == (1, 1, 32, 32) and images.dtype == torch.uint8
    # A palette of 256 colours cannot hold the ramp exactly.
    np.testing.assert_allclose(images[0, 0].numpy(), ramp, atol=26 if mode == "P" else 1)


def test_downsizing_averages(home: Path, tmp_path: Path) -> None:
    checker = np.kron([[0, 255], [255, 0]], np.ones((1, 1))).astype(np.uint8)
    Image.fromarray(np.tile(checker, (8, 8))).save(tmp_path / "c.png")
    assert set(load_images([case(tmp_path / "c.png")], 8).images.unique().tolist()) <= {127, 128}


def test_a_changed_file_is_never_served_from_the_cache(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    for value in (10, 200):
        Image.fromarray(np.full((8, 8), value, np.uint8)).save(path)
        images = load_images([case(path)], 8)
        assert int(images.images.max()) == value


def test_a_broken_image_is_named(home: Path, tmp_path: Path) -> None:
    (tmp_path / "b.png").write_bytes(b"\x89PNG not really")
    with pytest.raises(ValueError, match=r"b\.png: expected a readable image"):
        load_images([case(tmp_path / "b.png")], 8)


def test_floats_are_scaled_and_leave_the_bytes_alone(home: Path, tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 255]], np.uint8)).resize((8, 8)).save(tmp_path / "a.png")
    images = load_images([case(tmp_path / "a.png")], 8)
    assert images.floats().aminmax() == (-1.0, 1.0)
    assert images.images.dtype == torch.uint8


def test_rows_keep_patients_and_change_the_fingerprint(home: Path, tmp_path: Path) -> None:
    for name in "abc":
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / f"{name}.png")
    images = load_images([case(tmp_path / f"{n}.png", k) for k, n in enumerate("abc")], 8)
    part = images.rows([2, 0])
    assert part.patients == ("c", "a") and part.labels.tolist() == [2, 0]
    assert part.fingerprint != images.fingerprint != images.rows([0, 2]).fingerprint


def test_the_store_notices_damage(tmp_path: Path) -> None:
    store = TensorStore(tmp_path)
    store.put("k", {"x": torch.arange(5)}, {"a": 1})
    entry = store.get("k")
    assert (
        entry is not None and entry.note == {"a": 1} and entry.tensors["x"].tolist() == [*range(5)]
    )
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-1] + b"\x01")
    with pytest.warns(UserWarning, match="damaged"):
        assert store.get("k") is None
    assert not list(tmp_path.iterdir())


def _write(folder: str) -> None:
    for number in range(20):
        TensorStore(Path(folder)).put("k", {"x": torch.full((1000,), float(number % 2))})


def test_several_processes_write_one_key(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write, args=(str(tmp_path),)) for _ in range(2)]
    for writer in writers:
        writer.start()
    store = TensorStore(tmp_path)
    while any(w.is_alive() for w in writers):
        entry = store.get("k")
        assert entry is None or len(entry.tensors["x"].unique()) == 1
    assert [w.exitcode for w in writers] == [0, 0]
    assert not list(tmp_path.glob(".part-*"))


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        TensorStore(tmp_path).put("k", {"x": torch.zeros(3)})
    assert not list(tmp_path.iterdir())


def test_keys_depend_on_every_part() -> None:
    assert key_of(a=1, b=2) == key_of(b=2, a=1) != key_of(a=1, b=3)


def test_an_epoch_shows_every_row_once() -> None:
    sampler = iter(SeededBatches(12, 4, seed=1))
    first, second = ([next(sampler) for _ in range(3)] for _ in range(2))
    for epoch in (first, second):
        assert sorted(row for batch in epoch for row in batch) == [*range(12)]
    assert first != second


def test_fewer_rows_than_a_batch_are_one_batch() -> None:
    loader = iter(batches({"x": torch.arange(3)}, 8, seed=0))
    assert sorted(next(loader)["x"].tolist()) == [0, 1, 2]
    with pytest.raises(ValueError, match="no cases"):
        SeededBatches(0, 8, seed=0)


ARCHIVES: dict[str, tuple[Any, str, str]] = {
    "no images": (None, "bad_archive", "train_images"),
    "fewer images than labels": (np.zeros((1, 8, 8), np.uint8), "row_mismatch", "1 images"),
    "volumes": (np.zeros((2, 8, 8, 8), np.uint8), "not_a_picture", r"\(2, 8, 8, 8\)"),
    "floats": (np.zeros((2, 8, 8), np.float32), "sixteen_bit", "float32"),
}


@pytest.mark.parametrize("what", ARCHIVES)
def test_archives_that_hold_no_pictures_are_refused(home: Path, tmp_path: Path, what: str) -> None:
    images, kind, message = ARCHIVES[what]
    path = tmp_path / "x.npz"
    np.savez(path, **({} if images is None else {"train_images": images}))
    rows = [replace(case(path), id=str(row), row=row) for row in range(2)]
    with pytest.raises(DataError, match=message) as caught:
        load_images(rows, 8)
    assert caught.value.problem.kind == kind


def test_cases_without_picture_or_label_are_named(home: Path, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "a.png")
    whole = case(tmp_path / "a.png")
    for broken, kind in (
        (replace(whole, label=None), "no_label"),
        (replace(whole, images={"ct": tmp_path}), "missing_modality"),
    ):
        with pytest.raises(DataError, match="case a") as caught:
            load_images([broken], 8)
        assert caught.value.problem.kind == kind
