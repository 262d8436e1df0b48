"""Cases to look at: who was sure and wrong, who nearly was."""

import numpy as np

from medkd_lib.evaluate.classify import Predictions
from medkd_lib.evaluate.telling import telling_rows


def predictions() -> Predictions:
    first = np.array([0.9, 0.4, 0.2, 0.45, 0.95, 0.7, 0.55])
    labels = np.array([1, 0, 0, 1, 0, 0, 0])
    patients = ("a", "b", "c", "d", "e", "e", "f")
    # right: d .55, e .95, e .70, f .55; wrong: a sure .9, b .6, c .8
    return Predictions(np.stack([first, 1 - first], axis=1), labels, patients)


def test_the_surest_mistakes_come_first_then_the_narrowest_escapes() -> None:
    assert telling_rows(predictions()) == [0, 2, 1, 3, 6, 5]
    assert telling_rows(predictions(), wrong=1, right=2) == [0, 3, 6]


def test_a_patient_comes_once() -> None:
    # of patient e the less sure of two right answers
    rows = telling_rows(predictions(), wrong=0)
    assert 5 in rows and 4 not in rows


def test_without_a_mistake_there_is_none_to_see() -> None:
    p = Predictions(np.eye(2), np.array([0, 1]), ("a", "b"))
    assert telling_rows(p) == [0, 1]
    assert telling_rows(p, right=0) == []
