"""Lesson 05, sarcomas: how numbers of a patient rank who had lung metastases. An illustration."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from scipy.stats import rankdata

from medkd_lib.course.arm_titles import ARM_TITLES
from medkd_lib.course.experiments.sts_scans import PARTS, SPACING_MM, sts_scans
from medkd_lib.data.index import Index
from medkd_lib.evaluate.auc import auc_table
from medkd_lib.evaluate.classify import Predictions

OUTCOMES = ("no metastasis", "metastasis")
DRAWS = 2000
# With fewer of a kind the bootstrap has no width where the order happens to be perfect, or wrong.
LEAST_OF_A_KIND = 5


def outcome_rows(
    found: Index, results: Mapping[str, Predictions], tested: Sequence[str]
) -> pd.DataFrame:
    """Return how well each score of a patient ranks who had lung metastases.

    Rows without a network (`of_scans`) are of all patients, and of the tested ones. A network's
    score is the highest probability of the last class over a patient's test blocks. Columns:
    ``score``, ``patients``, ``with metastasis``, ``AUC``; it has its interval, or says why there
    is none.

    Args:
        found: ``sts_petctmr``, or its twin. Patients without a label are left out.
        results: arm → probabilities of the blocks of tested patients.
        tested: these patients.
    """
    outcome = {c.patient: c.label for c in found.cases if c.label is not None}
    everybody = of_scans(found)
    rows = [_row(f"{name}, all patients", score, outcome) for name, score in everybody.items()]
    rows += [
        _row(f"{name}, tested patients", {p: score[p] for p in dict.fromkeys(tested)}, outcome)
        for name, score in everybody.items()
    ]
    rows += [
        _row(ARM_TITLES.get(arm, arm), highest_by_patient(p), outcome) for arm, p in results.items()
    ]
    return pd.DataFrame(rows)


def of_scans(found: Index) -> dict[str, dict[str, float]]:
    """Return scores that need no network, by their name and patient.

    The highest SUV wherever in the scan it is, and in the outlined tumour; and the extent of
    the crop in mL, for which no voxel is needed.
    """
    scores: dict[str, dict[str, float]] = {
        "highest SUV of the scan": {}, "highest SUV in the tumour": {}, "extent of the crop": {}
    }  # fmt: skip
    for scan in sts_scans(found):
        tumour = (scan.parts == PARTS.index("core") + 1) | (scan.parts == PARTS.index("rim") + 1)
        numbers = (
            float(scan.suv.max()), float(torch.where(tumour, scan.suv, 0.0).max()),
            float(np.prod(SPACING_MM)) * scan.field.numel() / 1000,
        )  # fmt: skip
        for score, number in zip(scores.values(), numbers, strict=True):
            score[scan.patient] = number
    return scores


def highest_by_patient(p: Predictions) -> dict[str, float]:
    """Return the highest probability of the last class over each patient's cases."""
    highest: dict[str, float] = {}
    for patient, probability in zip(p.patients, p.probabilities[:, -1].tolist(), strict=True):
        highest[patient] = max(probability, highest.get(patient, 0.0))
    return highest


def _row(name: str, score: Mapping[str, float], outcome: Mapping[str, int]) -> dict[str, str | int]:
    who = [p for p in score if p in outcome]
    labels = np.array([outcome[p] for p in who], np.int64)
    row: dict[str, str | int] = {
        "score": name, "patients": len(who), "with metastasis": int(labels.sum())
    }  # fmt: skip
    if len(np.unique(labels)) < 2:
        return row | {"AUC": "does not exist: all of one kind"}
    # A rank between 0 and 1 is no probability, but an AUC reads the order alone.
    rank = rankdata([score[p] for p in who]) / (len(who) + 1)
    found = auc_table(
        Predictions(np.stack([1 - rank, rank], axis=1), labels, tuple(who)), OUTCOMES, draws=DRAWS
    )[OUTCOMES[1]]
    if np.bincount(labels).min() < LEAST_OF_A_KIND:
        return row | {"AUC": f"{found.value:.2f}, too few for an interval"}
    low, high = found.interval
    return row | {"AUC": f"{found.value:.2f} [{low:.2f}, {high:.2f}]"}
