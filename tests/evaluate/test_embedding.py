"""Plane pictures of features."""

import numpy as np
import pytest
import torch
from torch import Tensor

from medkd_lib.evaluate.embedding import embeddings


def two_groups() -> Tensor:
    x = torch.randn(60, 8, generator=torch.Generator().manual_seed(0))
    x[30:, :4] += 8
    return x


def test_groups_that_are_apart_stay_apart_in_every_picture() -> None:
    found = embeddings(two_groups(), perplexities=(5, 15))
    assert list(found) == ["PCA", "t-SNE, perplexity 5", "t-SNE, perplexity 15"]
    for points in found.values():
        assert points.shape == (60, 2)
        near = np.linalg.norm(points[:, None] - points[None], axis=2)
        np.fill_diagonal(near, np.inf)
        same = (near.argmin(1) < 30) == (np.arange(60) < 30)
        assert same.mean() > 0.95


def test_channels_are_brought_to_one_scale() -> None:
    x = two_groups()
    loud = x.clone()
    loud[:, 5] *= 1e4
    a, b = (embeddings(f, perplexities=(10,))["PCA"] for f in (x, loud))
    assert np.allclose(a, b, atol=1e-6)


def test_the_same_seed_draws_the_same_picture() -> None:
    a, b, c = (embeddings(two_groups(), perplexities=(10,), seed=s) for s in (0, 0, 1))
    key = "t-SNE, perplexity 10"
    assert np.array_equal(a[key], b[key]) and np.array_equal(a["PCA"], c["PCA"])


def test_too_many_neighbours_are_refused() -> None:
    with pytest.raises(ValueError, match="below 60"):
        embeddings(two_groups(), perplexities=(60,))
