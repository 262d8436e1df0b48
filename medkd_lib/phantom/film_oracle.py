"""The oracle of the film collages: how well the truth itself tells the classes apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

FILM_FEATURES = (
    "log_total_ml",
    "log_smaller_side_ml",
    "foci",
    "lobes",
    "mean_hu",
    "cuffing",
    "interstitial",
    "peripheral",
)


def film_features(
    rows: Sequence[Mapping[str, str]],
) -> tuple[NDArray[np.float64], NDArray[np.str_]]:
    """Collect the true attributes of the disease, one line per person.

    Volumes are those of an adult chest, so that a child's body tells nothing. Source, diagnosis,
    file and split are left out.

    Args:
        rows: rows of a collage's ``truth.csv``; of a person's films the first counts.

    Returns:
        Features (N, 8) in the order of :data:`FILM_FEATURES`, labels (N,).
    """
    first = {row["person"]: row for row in reversed(list(rows))}
    features, labels = [], []
    for person in sorted(first):
        row = first[person]
        size = float(row["scale"]) ** 3
        right, left = float(row["right_ml"]) / size, float(row["left_ml"]) / size
        features.append(
            [
                np.log1p(right + left),
                np.log1p(min(right, left)),
                float(row["foci"]),
                float(len(row["lobes"].split("+")) if row["lobes"] else 0),
                float(row["mean_hu"]),
                float(row["cuffing"]),
                float(row["interstitial"]),
                float(row["peripheral"]),
            ]
        )
        labels.append(row["label"])
    return np.array(features), np.array(labels)


def film_oracle(rows: Sequence[Mapping[str, str]], folds: int = 5, seed: int = 0) -> float:
    """Cross-validated balanced accuracy of logistic regression on the true attributes.

    An upper mark for what a perfect reader of the *anatomy* could reach without looking at the
    source; a network sees only its shadow.

    Args:
        rows: rows of ``truth.csv``.
        folds: number of folds, stratified by label; people, and not films, are divided.
        seed: seed of the folds.
    """
    features, labels = film_features(rows)
    model = make_pipeline(
        StandardScaler(), LogisticRegression(max_iter=2000, class_weight="balanced")
    )
    parts = StratifiedKFold(folds, shuffle=True, random_state=seed)
    predicted = cross_val_predict(model, features, labels, cv=parts)
    return float(balanced_accuracy_score(labels, predicted))
