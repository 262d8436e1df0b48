"""Lesson 01: what a split by slices measures, on true labels and on labels that mean nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import stats
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor

from medkd_lib.evaluate.intervals import decide, holm, t_interval


def fingerprints(images: Tensor, side: int = 16) -> NDArray[np.float32]:
    """Return each slice as a short vector: all channels, averaged down to ``side`` pixels square.

    Args:
        images: ``(N, C, H, W)``.
        side: of the small picture.
    """
    small = F.adaptive_avg_pool2d(images.float(), side)
    return np.asarray(small.flatten(1), dtype=np.float32)


def meaningless(patients: Sequence[str], seed: int) -> NDArray[Any]:
    """Return a coin's label for each patient (half heads, half tails), given to all its slices."""
    names = sorted(set(patients))
    rng = np.random.default_rng(seed)
    coin = dict(zip(names, rng.permutation(np.arange(len(names)) % 2), strict=True))
    return np.array([coin[p] for p in patients])


def slice_against_patient(
    vectors: NDArray[np.float32],
    labels: NDArray[Any],
    patients: Sequence[str],
    *,
    title: str,
    seeds: Sequence[int],
    random_labels: bool = False,
) -> pd.DataFrame:
    """Return the accuracy of the nearest neighbour under both splits, one row per seed and split.

    The classifier is deliberately dull: the label of the most similar training slice. It knows
    nothing of tumours, so what it scores beyond chance under a split by slices is recognition of
    the patient.

    Args:
        vectors: ``(N, D)``, from `fingerprints`.
        labels: ``(N,)``; ignored with ``random_labels``.
        patients: of each slice.
        title: name of the kind of labels.
        seeds: of the split, and of the coin.
        random_labels: give every patient a coin's label, another one for each seed.
    """
    rows = []
    groups = list(patients)
    for seed in seeds:
        y = meaningless(patients, seed) if random_labels else np.asarray(labels)
        chance = max(np.bincount(y).tolist()) / len(y)
        for split in ("slice", "patient"):
            splitter = (
                StratifiedKFold(5, shuffle=True, random_state=seed)
                if split == "slice"
                else StratifiedGroupKFold(5, shuffle=True, random_state=seed)
            )
            right = []
            for train, test in splitter.split(vectors, y, groups if split == "patient" else None):
                model = KNeighborsClassifier(1).fit(vectors[train], y[train])
                right.append(model.predict(vectors[test]) == y[test])
            rows.append(
                {"labels": title, "split": split, "seed": seed, "chance": chance,
                 "accuracy": float(np.concatenate(right).mean())}
            )  # fmt: skip
    return pd.DataFrame(rows)


def contrasts(runs: pd.DataFrame, setting: str, patients: int) -> pd.DataFrame:
    """Return slice minus patient split for each kind of labels, in the form the ledger reads.

    Pairs are seeds (divisions, and coins, drawn anew); the patients stay the same, so the interval
    speaks of other divisions of these patients, not of other patients. p after Holm.

    Args:
        runs: from `slice_against_patient`, several kinds of labels.
        setting: whose slices they are, as the claims name it.
        patients: how many there are.
    """
    wide = runs.pivot_table(index=["labels", "seed"], columns="split", values="accuracy")
    difference = (wide["slice"] - wide["patient"]).groupby("labels").agg(list)
    p = holm({kind: _paired_p(values) for kind, values in difference.items()})
    rows = []
    for kind, values in difference.items():
        low, high = t_interval(values)
        rows.append(
            {"setting": setting, "contrast": str(kind), "difference": float(np.mean(values)),
             "low": low, "high": high, "p": p[kind], "verdict": decide((low, high), p[kind]),
             "seeds": len(values), "patients": patients}
        )  # fmt: skip
    return pd.DataFrame(rows)


def _paired_p(values: Sequence[float]) -> float:
    if len(values) < 2 or np.ptp(values) < 1e-12:
        return 1.0 if abs(float(np.mean(values))) < 1e-12 or len(values) < 2 else 0.0
    return float(stats.ttest_1samp(values, 0).pvalue)
