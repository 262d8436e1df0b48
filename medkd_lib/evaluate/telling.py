"""Which cases to look at: the surest mistakes, and the right answers that were nearly wrong."""

import numpy as np

from medkd_lib.evaluate.classify import Predictions


def telling_rows(p: Predictions, *, wrong: int = 4, right: int = 4) -> list[int]:
    """Return rows of the surest wrong answers, then of the least sure right ones.

    One row per patient in either half: neighbouring slices of one patient would fill it. Equally
    sure ones stand in the order of the cases.

    Args:
        p: predictions of labelled cases.
        wrong: most wrong answers.
        right: most right answers.
    """
    sure = p.probabilities.max(axis=1)
    surest = np.argsort(-sure, kind="stable").tolist()
    least_sure = np.argsort(sure, kind="stable").tolist()
    mistakes = _one_per_patient([i for i in surest if not p.correct[i]], p)
    narrow_escapes = _one_per_patient([i for i in least_sure if p.correct[i]], p)
    return mistakes[:wrong] + narrow_escapes[:right]


def _one_per_patient(rows: list[int], p: Predictions) -> list[int]:
    first: dict[str, int] = {}
    for row in rows:
        first.setdefault(p.patients[row], row)
    return list(first.values())
