"""The oracle of the ``cxr3`` twin: how well the truth itself tells the classes apart."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

ORACLE_FEATURES = (
    "log_total_ml",
    "log_smaller_side_ml",
    "foci",
    "lobes",
    "mean_hu",
    "cuffing",
    "interstitial",
)


def read_truth(folder: Path) -> list[dict[str, str]]:
    """Rows of a twin's ``truth.csv``, one per film.

    Raises:
        FileNotFoundError: if the folder has none (a real set has none).
    """
    path = Path(folder) / "truth.csv"
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: expected the truth table of a synthetic set, found none; "
            "only sets made by write_cxr3 have one"
        )
    with path.open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def oracle_features(
    rows: Sequence[Mapping[str, str]],
) -> tuple[NDArray[np.float64], NDArray[np.str_], NDArray[np.int64]]:
    """Collect the true attributes of the disease, one line per patient.

    Uses only what describes the opacities; ``diagnosis``, file and split are left out.

    Args:
        rows: rows of ``truth.csv``; of a patient's films the first counts.

    Returns:
        Features (N, 7) in the order of :data:`ORACLE_FEATURES`, labels (N,), patient numbers (N,).
    """
    first = {int(row["patient_number"]): row for row in reversed(list(rows))}
    numbers = sorted(first)
    features = []
    for number in numbers:
        row = first[number]
        right, left = float(row["right_ml"]), float(row["left_ml"])
        features.append(
            [
                np.log1p(right + left),
                np.log1p(min(right, left)),
                float(row["foci"]),
                float(len(row["lobes"].split("+")) if row["lobes"] else 0),
                float(row["mean_hu"]),
                float(row["cuffing"]),
                float(row["interstitial"]),
            ]
        )
    labels = np.array([first[number]["label"] for number in numbers])
    return np.array(features), labels, np.array(numbers)


def oracle_accuracy(rows: Sequence[Mapping[str, str]], folds: int = 5, seed: int = 0) -> float:
    """Cross-validated accuracy of logistic regression on the true attributes.

    One line per patient, so folds are split by patient. An upper mark for what a perfect reader
    of the *anatomy* could reach; a network sees only its shadow.

    Args:
        rows: rows of ``truth.csv``.
        folds: number of folds, stratified by label.
        seed: seed of the folds.
    """
    features, labels, _ = oracle_features(rows)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    parts = StratifiedKFold(folds, shuffle=True, random_state=seed)
    predicted = cross_val_predict(model, features, labels, cv=parts)
    return float((predicted == labels).mean())
