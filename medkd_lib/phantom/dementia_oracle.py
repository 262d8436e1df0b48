"""The oracle of the dementia twins: how well the true anatomy and the age tell the label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

ORACLE_FEATURES = ("ventricle_share", "hippocampus_share", "cortex_mm", "sulci", "age")
"""What the oracle reads: shares are of the volume inside the skull, so head size drops out."""


def oracle_features(rows: Sequence[Mapping[str, str | float]]) -> NDArray[np.float64]:
    """Collect :data:`ORACLE_FEATURES`, volumes as logarithms: (N, 5).

    Args:
        rows: of a twin's ``truth.csv``; label, drawn grade and severity are left out.
    """
    shares = [
        [float(np.log(float(row[f"{part}_ml"]) / float(row["skull_ml"]))) for row in rows]
        for part in ("ventricle", "hippocampus")
    ]
    others = [[float(row[name]) for row in rows] for name in ("cortex_mm", "sulci", "age")]
    return np.array([*shares, *others]).T


def oracle_balanced_accuracy(
    rows: Sequence[Mapping[str, str | float]],
    labels: Sequence[int],
    *,
    only: Sequence[str] = ORACLE_FEATURES,
    folds: int = 5,
    seed: int = 0,
) -> float:
    """Cross-validated balanced accuracy of logistic regression on the true anatomy and the age.

    An upper mark for what a perfect reader of the volumes could reach.

    Args:
        rows: of ``truth.csv``, which name the ``patient``; folds are split by patient.
        labels: class of each row.
        only: features to use, ``("age",)`` for what the age alone tells.
        folds: number of folds, stratified by label.
        seed: seed of the folds.

    Raises:
        ValueError: for an unknown feature.
    """
    if unknown := sorted(set(only) - set(ORACLE_FEATURES)):
        raise ValueError(f"only: expected some of {ORACLE_FEATURES}, found {unknown}")
    features = oracle_features(rows)[:, [ORACLE_FEATURES.index(name) for name in only]]
    model = make_pipeline(
        StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=2000)
    )
    predicted = cross_val_predict(
        model, features, np.asarray(labels), groups=[row["patient"] for row in rows],
        cv=StratifiedGroupKFold(folds, shuffle=True, random_state=seed),
    )  # fmt: skip
    return float(balanced_accuracy_score(labels, predicted))
