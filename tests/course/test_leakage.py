"""The leak that lesson 01 measures: recognition of patients, not of labels."""

import numpy as np
import pandas as pd
import pytest
import torch

from medkd_lib.course.experiments.leakage import (
    contrasts,
    fingerprints,
    meaningless,
    slice_against_patient,
)

PATIENTS, SLICES = 30, 8


def cohort(own: float) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Slices that share a patient's own pattern of strength ``own``; labels show in nothing."""
    rng = np.random.default_rng(0)
    pattern = own * rng.normal(size=(PATIENTS, 20))
    vectors = np.repeat(pattern, SLICES, axis=0) + rng.normal(size=(PATIENTS * SLICES, 20))
    who = [f"p{i:02d}" for i in range(PATIENTS) for _ in range(SLICES)]
    return vectors.astype(np.float32), who, np.repeat(np.arange(PATIENTS) % 3, SLICES)


def accuracy(runs: pd.DataFrame, split: str) -> float:
    return float(runs[runs.split == split].accuracy.mean())


def test_meaningless_labels_are_predicted_only_through_the_patient() -> None:
    vectors, who, labels = cohort(own=3.0)
    runs = slice_against_patient(
        vectors, labels, who, title="coin", seeds=range(5), random_labels=True
    )
    assert accuracy(runs, "slice") > 0.95 and abs(accuracy(runs, "patient") - 0.5) < 0.2
    assert runs.chance.eq(0.5).all()


def test_without_a_patients_pattern_there_is_nothing_to_leak() -> None:
    vectors, who, labels = cohort(own=0.0)
    runs = slice_against_patient(vectors, labels, who, title="true", seeds=range(5))
    assert abs(accuracy(runs, "slice") - accuracy(runs, "patient")) < 0.1


def test_the_coin_is_fair_belongs_to_the_patient_and_falls_anew() -> None:
    _, who, _ = cohort(1.0)
    coin = meaningless(who, seed=1)
    assert coin.mean() == 0.5
    assert all(
        len({int(c) for c, w in zip(coin, who, strict=True) if w == p}) == 1 for p in set(who)
    )
    assert not np.array_equal(coin, meaningless(who, seed=2))


def test_fingerprints_average() -> None:
    images = torch.arange(64.0).reshape(1, 1, 8, 8)
    assert fingerprints(images, 2).shape == (1, 4)
    assert fingerprints(images, 2)[0, 0] == pytest.approx(images[0, 0, :4, :4].mean().item())


def test_contrasts_pair_the_seeds() -> None:
    rows = [
        {"labels": kind, "split": split, "seed": seed, "chance": 0.5,
         "accuracy": base + 0.01 * seed + (gap if split == "slice" else 0)}
        for kind, base, gap in (("coin", 0.5, 0.4), ("none", 0.5, 0.0))
        for split in ("slice", "patient") for seed in range(4)
    ]  # fmt: skip
    found = contrasts(pd.DataFrame(rows), "phantom", patients=9).set_index("contrast")
    assert found.difference["coin"] == pytest.approx(0.4) and found.verdict["coin"] == "better"
    assert found.verdict["none"] == "undecided" and found.patients.eq(9).all()
