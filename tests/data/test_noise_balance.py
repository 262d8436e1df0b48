"""Balanced rows and noise on purpose: seeded, bounded, nothing else touched."""

import pytest
import torch

from medkd_lib.data.batches import balanced, batches
from medkd_lib.data.noise import noisy


def test_every_class_is_as_frequent_as_the_most_frequent() -> None:
    labels = torch.tensor([0, 0, 0, 0, 0, 1, 2, 2])
    rows = balanced(labels)
    assert labels[rows].bincount().tolist() == [5, 5, 5]
    assert set(rows.tolist()) == set(range(8)), "no image may be lost"
    assert rows[labels[rows] == 2].bincount(minlength=8)[6:].tolist() == [3, 2]


def test_a_class_that_is_absent_takes_no_place() -> None:
    assert torch.tensor([0, 2])[balanced(torch.tensor([0, 2]))].tolist() == [0, 2]


def test_batches_over_repeated_rows_go_on_where_they_stopped() -> None:
    tensors = {"images": torch.arange(4.0)}
    rows = torch.tensor([0, 0, 1, 1, 2, 3])
    loader = iter(batches(tensors, 2, seed=3, rows=rows))
    seen = [next(loader)["images"] for _ in range(6)]
    assert torch.cat(seen[:3]).sort().values.tolist() == [0, 0, 1, 1, 2, 3]
    later = iter(batches(tensors, 2, seed=3, rows=rows, start=4))
    assert torch.equal(next(later)["images"], seen[4])


def test_noise_has_its_size_and_spares_the_background() -> None:
    images = torch.zeros(8, 2, 32, 32)
    images[:, 0, 8:, :] = 1.0
    before = torch.get_rng_state()
    worse = noisy(images, 0.5, seed=1, background=0.0)
    assert torch.equal(torch.get_rng_state(), before)
    assert float((worse - images)[:, :, 8:].std()) == pytest.approx(0.5, rel=0.03)
    assert torch.equal(worse[:, :, :8], images[:, :, :8])
    assert torch.equal(worse, noisy(images, 0.5, seed=1, background=0.0))
    assert not torch.equal(worse, noisy(images, 0.5, seed=2, background=0.0))
    assert noisy(images, 0.5, seed=1).std() > worse.std()
    assert torch.equal(noisy(images.half(), 0.0, seed=1), images)
