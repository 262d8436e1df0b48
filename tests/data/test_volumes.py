"""Prepared cases: served from the cache, never stale, whole after damage, alike for everybody."""

import gc
import multiprocessing
import pickle
from dataclasses import replace
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from torch.utils.data import DataLoader

from medkd_lib.data import file_digest
from medkd_lib.data import read_case as read_case_module
from medkd_lib.data.file_digest import digest
from medkd_lib.data.index import index
from medkd_lib.data.problems import DataError
from medkd_lib.data.recipe import Recipe
from medkd_lib.data.store import TensorStore
from medkd_lib.data.volumes import Prepared, Volumes

from .tiny import AFFINE, SHAPE, brain, lesion, manifest, write, write_case, write_set

RECIPE = Recipe(("t1", "t2"), "seg", axcodes="LPS", shape=(8, 8, 8))


def opened(root: Path, cache: Path, recipe: Recipe = RECIPE, **changes: Any) -> Volumes:
    listed = manifest(**changes)
    return Volumes(listed, index(listed, root).cases, recipe, TensorStore(cache, durable=False))


def entries(cache: Path) -> set[str]:
    return {p.name for p in cache.iterdir()} if cache.is_dir() else set()


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_set(tmp_path / "tiny")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def assert_equal(one: Prepared, other: Prepared) -> None:
    assert one.case == other.case
    assert torch.equal(one.image, other.image) and one.image.dtype == other.image.dtype
    assert torch.equal(one.affine, other.affine)
    assert one.mask is not None and other.mask is not None and torch.equal(one.mask, other.mask)


def test_a_case_becomes_tensors(tiny: Path, cache: Path) -> None:
    volumes = opened(tiny, cache)
    assert len(volumes) == 3
    first = volumes[0]
    assert first.case.id == "P0" and first.image.shape == (2, 8, 8, 8)
    assert first.image.dtype == torch.float16 and first.affine.dtype == torch.float64
    assert first.mask is not None and first.mask.dtype == torch.uint8
    np.testing.assert_array_equal(first.mask[:, 0], lesion(0)[1:9, 0, :8])
    np.testing.assert_allclose(first.affine @ torch.tensor([0.0, 0, 0, 1], dtype=torch.float64),
                               AFFINE @ [1, 0, 0, 1])  # fmt: skip
    assert opened(tiny, cache, Recipe(("t1",)))[0].mask is None


def test_the_second_time_no_image_is_opened(
    tiny: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = [opened(tiny, cache)[i] for i in range(3)]
    assert len(entries(cache)) == 3

    def closed(*_: object, **__: object) -> None:
        raise AssertionError("a volume was read")

    for name in ("read_volume", "read_mask"):
        monkeypatch.setattr(read_case_module, name, closed)
    for one, other in zip(first, (opened(tiny, cache)[i] for i in range(3)), strict=True):
        assert_equal(one, other)


def test_a_file_is_hashed_once_in_a_process(
    tiny: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volumes = opened(tiny, cache)
    _ = volumes[0]
    before = file_digest._digest.cache_info().misses
    _ = volumes[0]
    assert file_digest._digest.cache_info().misses == before


def test_a_changed_byte_is_never_served_from_the_cache(tiny: Path, cache: Path) -> None:
    volumes = opened(tiny, cache)
    old = volumes[0]
    changed = brain(0)
    changed[4, 4, 4] += 1
    write(tiny / "P0" / "P0-t1.nii.gz", changed)
    new = volumes[0]
    assert not torch.equal(old.image[0], new.image[0])
    assert torch.equal(old.image[1], new.image[1])
    write(tiny / "P0" / "P0-t1.nii.gz", brain(0))
    assert_equal(volumes[0], old)


@pytest.mark.parametrize(
    "other",
    [
        replace(RECIPE, images=("t2", "t1")), replace(RECIPE, mask=None),
        replace(RECIPE, axcodes="RAS"), replace(RECIPE, intensity="unit"),
        replace(RECIPE, intensity="unit", percentiles=(1, 99)), replace(RECIPE, shape=(8, 8, 7)),
        replace(RECIPE, dtype="float32"), replace(RECIPE, spacing_mm=(1, 1, 1)),
        replace(RECIPE, reference="t2"), replace(RECIPE, intensity="window", window=(0, 500)),
    ],
)  # fmt: skip
def test_another_recipe_has_another_key(tiny: Path, cache: Path, other: Recipe) -> None:
    one, two = opened(tiny, cache), opened(tiny, cache, other)
    assert one.key(one.cases[0]) != two.key(two.cases[0])


def test_a_repair_has_a_key_of_its_own_and_is_carried_out(tiny: Path, cache: Path) -> None:
    swap = {"cases": ["P0"], "what": "swapped", "action": "relabel", "source": "here",
            "role": "seg", "to": "1->2, 2->1"}  # fmt: skip
    plain, mended = opened(tiny, cache), opened(tiny, cache, known_issues=[swap])
    keys = [[v.key(c) for c in v.cases] for v in (plain, mended)]
    assert keys[0][0] != keys[1][0] and keys[0][1:] == keys[1][1:]
    before, after = plain[0].mask, mended[0].mask
    assert before is not None and after is not None
    assert torch.equal(before == 1, after == 2)


def test_the_role_a_repair_copies_from_belongs_to_the_key(tiny: Path, cache: Path) -> None:
    copy = {"cases": ["P0"], "what": "lost", "action": "fix_affine", "source": "here",
            "role": "t1", "to": "copy:t2"}  # fmt: skip
    volumes = opened(tiny, cache, Recipe(("t1",)), known_issues=[copy])
    old = volumes[0].affine
    moved = AFFINE.copy()
    moved[0, 3] += 5
    write(tiny / "P0" / "P0-t2.nii.gz", brain(100), moved)
    assert (volumes[0].affine - old)[0, 3].abs() == 5


def test_folders_are_hashed_with_the_names_inside(tmp_path: Path) -> None:
    for name in ("one", "same", "swapped"):
        for sub, text in (("a", "1"), ("b", "2")):
            path = tmp_path / name / sub / "slice"
            path.parent.mkdir(parents=True)
            path.write_text(text if name != "swapped" else {"1": "2", "2": "1"}[text])
    one, same, swapped = (digest(tmp_path / n) for n in ("one", "same", "swapped"))
    assert one == same != swapped


def test_damage_is_seen_and_made_good(tiny: Path, cache: Path) -> None:
    whole = opened(tiny, cache)[1]
    (entry,) = cache.iterdir()
    blob = bytearray(entry.read_bytes())
    blob[len(blob) // 2] ^= 1
    entry.write_bytes(blob)
    with pytest.warns(UserWarning, match="damaged"):
        again = opened(tiny, cache)[1]
    assert_equal(whole, again)
    entry.write_bytes(entry.read_bytes()[:100])
    with pytest.warns(UserWarning, match="damaged"):
        assert_equal(whole, opened(tiny, cache)[1])
    assert len(entries(cache)) == 1


class KeyAndTensors(torch.utils.data.Dataset[dict[str, Any]]):
    """What a training reads: names and tensors (a `Case` is no tensor)."""

    def __init__(self, volumes: Volumes) -> None:
        self.volumes = volumes

    def __len__(self) -> int:
        return len(self.volumes)

    def __getitem__(self, row: int) -> dict[str, Any]:
        case = self.volumes[row]
        return {"id": case.case.id, "image": case.image, "mask": case.mask}


def _fill(root: str, cache: str, out: str, together: Barrier) -> None:
    """One training process with two workers: read everything twice, keep what was seen."""
    volumes = KeyAndTensors(opened(Path(root), Path(cache)))
    loader = DataLoader(volumes, batch_size=None, num_workers=2, persistent_workers=True)
    together.wait(120)
    seen = [list(loader), list(loader)]
    torch.save(seen, out)


def test_processes_with_workers_share_one_cache(tiny: Path, cache: Path, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(2)
    ours, theirs = (tmp_path / f"{name}.pt" for name in ("ours", "theirs"))
    other = context.Process(target=_fill, args=(str(tiny), str(cache), str(theirs), together))
    other.start()
    _fill(str(tiny), str(cache), str(ours), together)
    other.join(120)
    assert other.exitcode == 0
    assert len(entries(cache)) == 3 and not list(cache.glob(".part-*"))
    alone = opened(tiny, tmp_path / "alone")
    for out in (ours, theirs):
        for epoch in torch.load(out, weights_only=True):
            assert [row["id"] for row in epoch] == ["P0", "P1", "P2"]
            for row, case in zip(epoch, (alone[i] for i in range(3)), strict=True):
                assert torch.equal(row["image"], case.image)
                assert case.mask is not None and torch.equal(row["mask"], case.mask)


def test_it_travels_to_workers_as_paths(tiny: Path, cache: Path) -> None:
    for i in range(3):
        _ = opened(tiny, cache)[i]
    volumes = opened(tiny, cache)
    assert len(pickle.dumps(volumes)) < 20_000
    assert_equal(pickle.loads(pickle.dumps(volumes))[2], volumes[2])


@pytest.mark.parametrize(("number", "text"), [(28, "No space left"), (30, "Read-only file system")])
def test_a_disk_that_takes_nothing_leaves_nothing_and_says_so(
    tiny: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, number: int, text: str
) -> None:
    class Full:
        """A file on a full disk: the first bytes fit, the rest does not."""

        def __init__(self, stream: Any) -> None:
            self.stream = stream

        def __enter__(self) -> "Full":
            return self

        def __exit__(self, *_: object) -> None:
            self.stream.close()

        def write(self, content: bytes) -> None:
            self.stream.write(content[:100])
            raise OSError(number, text)

    import medkd_lib.atomic as atomic

    real = atomic.os.fdopen
    monkeypatch.setattr(atomic.os, "fdopen", lambda *a, **k: Full(real(*a, **k)))
    with pytest.raises(OSError, match=f"{text}.* MB could not be written to the cache .*MEDKD_HOME"
                       ) as caught:  # fmt: skip
        _ = opened(tiny, cache)[0]
    assert str(cache) in str(caught.value) and caught.value.errno == number
    assert entries(cache) == set()
    monkeypatch.undo()
    assert opened(tiny, cache)[0].image.shape == (2, 8, 8, 8)


def test_a_cache_that_may_only_be_read_still_serves(
    tiny: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = opened(tiny, cache)[0]

    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkstemp", forbidden)
    assert_equal(opened(tiny, cache)[0], kept)
    with pytest.raises(PermissionError, match="could not be written to the cache"):
        _ = opened(tiny, cache)[1]


def test_a_cache_folder_that_is_a_file(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    with pytest.raises(OSError, match="could not be written to the cache"):
        _ = opened(tiny, tmp_path / "cache")[0]


def test_an_error_of_the_recipe_names_the_file(tiny: Path, cache: Path) -> None:
    write(tiny / "P2" / "P2-t2.nii.gz", np.zeros(SHAPE, np.int16))
    volumes = opened(tiny, cache)
    assert volumes[0].image.shape[0] == 2
    with pytest.raises(DataError, match=r"P2-t2\.nii\.gz: expected tissue"):
        _ = volumes[2]
    assert len(entries(cache)) == 1


def test_more_cases_leave_old_entries_alone(tiny: Path, cache: Path) -> None:
    _ = opened(tiny, cache)[0]
    before = entries(cache)
    write_case(tiny, "P5", 5)
    volumes = opened(tiny, cache)
    for i in range(len(volumes)):
        _ = volumes[i]
    assert before < entries(cache) and len(entries(cache)) == 4


def test_memory_does_not_grow_with_the_cases(tmp_path: Path, cache: Path) -> None:
    """Keeping 20 more cases would cost 140 MB; paths and checksums cost a few kilobytes."""
    root = write_set(tmp_path / "tiny", 25)
    large = replace(RECIPE, shape=(96, 96, 96), dtype="float32")
    volumes = opened(root, cache, large)
    assert volumes[0].image.nbytes > 7e6

    def resident() -> int:
        gc.collect()
        return psutil.Process().memory_info().rss

    for row in range(5):
        _ = volumes[row]
    before = resident()
    for _ in range(2):
        for row in range(25):
            _ = volumes[row]
    assert resident() - before < 70e6
