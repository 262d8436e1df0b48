"""Batches of unpaired sets: own epochs, resumable, and who was touched is on record."""

from itertools import islice

import pytest
import torch

from medkd_lib.data.unpaired import Drawn, UnpairedBatches, root_sizes


def two_sets(ct: int = 7, mr: int = 4) -> dict[str, Drawn]:
    return {
        "ct": Drawn({"ct": torch.arange(ct)}, [f"c{i // 2}" for i in range(ct)]),
        "mr": Drawn({"mr": torch.arange(mr)}, [f"m{i}" for i in range(mr)]),
    }


def test_every_set_runs_through_its_own_epochs() -> None:
    drawn = list(islice(UnpairedBatches(two_sets(), 2, seed=0), 6))
    # Seven sections give three batches an epoch, four give two: neither stops the other.
    for epoch in (drawn[:3], drawn[3:]):
        assert len(set(torch.cat([b["ct"] for b in epoch]).tolist())) == 6
    for epoch in (drawn[:2], drawn[2:4], drawn[4:]):
        assert sorted(torch.cat([b["mr"] for b in epoch]).tolist()) == [0, 1, 2, 3]


def test_the_order_depends_on_seed_and_step_alone() -> None:
    whole = list(islice(UnpairedBatches(two_sets(), 2, seed=3), 8))
    rest = list(islice(UnpairedBatches(two_sets(), 2, seed=3, start=5), 3))
    for a, b in zip(whole[5:], rest, strict=True):
        assert a["ct"].tolist() == b["ct"].tolist() and a["mr"].tolist() == b["mr"].tolist()
    other = list(islice(UnpairedBatches(two_sets(), 2, seed=4), 8))
    assert [b["ct"].tolist() for b in other] != [b["ct"].tolist() for b in whole]


def test_equal_sets_are_not_drawn_in_step() -> None:
    sets = two_sets(ct=40, mr=40)
    batches = list(islice(UnpairedBatches(sets, 4, seed=0), 10))
    assert any(b["ct"].tolist() != b["mr"].tolist() for b in batches)


def test_who_was_handed_out_is_on_record() -> None:
    sets = two_sets()
    assert not sets["ct"].touched
    batch = next(iter(UnpairedBatches(sets, 2, seed=0)))
    assert sets["ct"].touched == {f"c{i // 2}" for i in batch["ct"].tolist()}
    assert sets["mr"].touched == {f"m{i}" for i in batch["mr"].tolist()}


def test_lengths_and_names_must_fit() -> None:
    with pytest.raises(ValueError, match="expected 2 sections"):
        Drawn({"ct": torch.zeros(3)}, ["a", "b"])
    same = Drawn({"ct": torch.zeros(2)}, ["a", "b"])
    with pytest.raises(ValueError, match="different names"):
        UnpairedBatches({"one": same, "two": same}, 1, seed=0)


def test_sets_may_have_sizes_of_their_own() -> None:
    batch = next(iter(UnpairedBatches(two_sets(), {"ct": 3, "mr": 1}, seed=0)))
    assert (len(batch["ct"]), len(batch["mr"])) == (3, 1)


def test_root_sampling_lies_between_all_alike_and_by_size() -> None:
    assert root_sizes({"small": 100, "large": 900}, 8) == {"small": 2, "large": 6}
    assert root_sizes({"a": 50, "b": 50, "c": 50}, 12) == {"a": 4, "b": 4, "c": 4}
    assert root_sizes({"one": 1, "many": 10_000}, 8) == {"one": 1, "many": 8}
