"""Boxes of several modalities: chosen, cut at their own places, joined, refused."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from medkd_lib.data.blocks import Blocks, joined

SHAPE = (4, 5, 6)


def blocks(patient: str = "a", n: int = 3, spacing_mm: float = 2.0) -> Blocks:
    """Voxels that say where they are: n · 1000 + z · 100 + y · 10 + x, exact in half precision."""
    z, y, x = torch.meshgrid(*(torch.arange(k) for k in SHAPE), indexing="ij")
    values = torch.arange(n)[:, None, None, None] * 1000 + z * 100 + y * 10 + x
    ct = values[:, None].half()
    return Blocks(
        {"ct": ct, "pet": -ct},
        (values % 3).to(torch.uint8),
        ("liver", "mass"),
        torch.arange(n) % 2,
        (patient,) * n,
        tuple(f"{patient}/b{k}" for k in range(n)),
        (spacing_mm, 1.0, 1.0),
        {"suv": np.arange(n, dtype=np.float64)},
        f"{patient}{n}",
    )


def test_rows_take_every_part_along() -> None:
    whole, chosen = blocks(), blocks().rows([2, 0])
    assert len(chosen) == 2 and chosen.ids == ("a/b2", "a/b0")
    assert torch.equal(chosen.images["ct"], whole.images["ct"][[2, 0]])
    assert torch.equal(chosen.images["pet"], -chosen.images["ct"])
    assert torch.equal(chosen.regions, whole.regions[[2, 0]])
    assert chosen.labels.tolist() == [0, 0] and chosen.facts["suv"].tolist() == [2, 0]
    keys = [blocks().rows(rows).fingerprint for rows in ([2, 0], [0, 2], torch.tensor([2, 0]))]
    assert keys[0] == keys[2] != keys[1] and whole.fingerprint not in keys
    assert len(whole.rows([])) == 0


def test_joining_and_choosing_patients() -> None:
    both = joined([blocks("a"), blocks("b", 2), blocks("a", 1)])
    assert len(both) == 6 and both.patients == ("a", "a", "a", "b", "b", "a")
    assert both.of(["a"]).ids == ("a/b0", "a/b1", "a/b2", "a/b0")
    assert torch.equal(both.of(["b"]).images["pet"], blocks("b", 2).images["pet"])
    assert both.of(["b"]).facts["suv"].tolist() == [0, 1] and len(both.of(["c"])) == 0
    assert both.fingerprint != joined([blocks("b", 2), blocks("a"), blocks("a", 1)]).fingerprint
    assert joined([blocks()]).ids == blocks().ids


def test_each_box_is_cut_at_its_own_place() -> None:
    whole, first = blocks(), np.array([[0, 0, 0], [1, 2, 3], [2, 2, 3]])
    cut = whole.cut((2, 3, 3), first, "drawn with seed 0")
    assert cut.images["ct"].shape == (3, 1, 2, 3, 3) and cut.images["ct"].dtype == torch.float16
    for n, (z, y, x) in enumerate(first):
        window = (slice(z, z + 2), slice(y, y + 3), slice(x, x + 3))
        assert torch.equal(cut.images["ct"][n, 0], whole.images["ct"][n, 0][window])
        assert torch.equal(cut.images["pet"][n, 0], whole.images["pet"][n, 0][window])
        assert torch.equal(cut.regions[n], whole.regions[n][window])
    assert cut.ids == whole.ids and cut.labels is whole.labels
    other = whole.cut((2, 3, 3), first, "drawn with seed 1")
    smaller = whole.cut((2, 3, 2), first, "drawn with seed 0")
    assert len({x.fingerprint for x in (whole, cut, other, smaller)}) == 4
    assert torch.equal(whole.cut(SHAPE, np.zeros((3, 3), int), "all").regions, whole.regions)


@pytest.mark.parametrize(
    "first",
    [
        np.array([[0, 0, 0]] * 2 + [[3, 0, 0]]),
        np.array([[0, 0, 0]] * 2 + [[0, -1, 0]]),
        np.zeros((2, 3), int),
        np.zeros(3, int),
    ],
)
def test_a_box_beyond_the_edge_is_refused(first: NDArray[np.integer]) -> None:
    with pytest.raises(ValueError, match=r"each of 3 boxes, from 0 to \[2, 2, 3\]"):
        blocks().cut((2, 3, 3), first, "")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: replace(blocks(), patients=("a",)), "expected 3 of everything.*'patients': 1"),
        (lambda: replace(blocks(), facts={"suv": np.zeros(2)}), "'suv': 2"),
        (lambda: replace(blocks(), images={"ct": blocks().images["ct"][:1]}), "'ct': 1"),
        (lambda: joined([]), "at least one part"),
        (lambda: joined([blocks("a"), blocks("b", spacing_mm=1.0)]), "one frame"),
        (lambda: joined([blocks(), replace(blocks(), region_names=("liver",))]), "parts alike"),
        (lambda: joined([blocks(), replace(blocks(), facts={})]), "parts alike"),
    ],
)
def test_what_does_not_fit_is_refused(call: Callable[[], Blocks], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
