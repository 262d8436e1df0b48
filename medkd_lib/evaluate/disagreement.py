"""Who answers differently, who is right alone, and what the answers say about a whole patient."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import cohen_kappa_score, confusion_matrix

from medkd_lib.evaluate.classify import Predictions

Rule = Literal["mean", "highest"]


def disagreement(predictions: Mapping[str, Predictions]) -> pd.DataFrame:
    r"""Return the share of cases on which two networks answer differently.

    $$D_{ab} = \frac1N\sum_n [\hat y_{an} \ne \hat y_{bn}]$$

    Two trainings of one architecture disagree as well: their disagreement is the measure of what
    another architecture adds.

    Args:
        predictions: name → answers to the same cases, in the same order.

    Returns:
        Square, symmetric, zero on the diagonal; rows and columns by name.

    Raises:
        ValueError: predictions of different cases.
    """
    _same_cases(predictions)
    answers = {name: answers_of(p) for name, p in predictions.items()}
    rows = [[float((a != b).mean()) for b in answers.values()] for a in answers.values()]
    return pd.DataFrame(rows, index=[*answers], columns=[*answers], dtype=float)


@dataclass(frozen=True)
class Pair:
    """How two networks' answers split the cases: four shares that sum to 1, and Cohen's kappa.

    ``1 - both_wrong`` is the accuracy of a judge who always picks the better of the two answers:
    no fusion of the answers alone gets above it. ``one_right`` is what there is to gain.
    ``kappa`` is the agreement beyond chance (1: always, 0: as by chance; NaN if both networks
    give one and the same answer to every case).
    """

    both_right: float
    first_right: float
    second_right: float
    both_wrong: float
    kappa: float

    @property
    def one_right(self) -> float:
        """Share of cases that exactly one of the two answers rightly."""
        return self.first_right + self.second_right


def compare_pair(first: Predictions, second: Predictions) -> Pair:
    r"""Split the cases by who is right, and measure the agreement.

    $$\kappa = \frac{p_o - p_e}{1 - p_e}$$

    with the observed agreement and the one expected if the answers were drawn independently.

    Raises:
        ValueError: predictions of different cases.

    Source: Cohen 1960; scikit-learn's ``cohen_kappa_score``.
    """
    _same_cases({"first": first, "second": second})
    a, b = first.correct, second.correct
    x, y = answers_of(first), answers_of(second)
    one_answer = len(np.union1d(x, y)) == 1
    return Pair(
        both_right=float((a & b).mean()),
        first_right=float((a & ~b).mean()),
        second_right=float((~a & b).mean()),
        both_wrong=float((~a & ~b).mean()),
        # 0/0, about which scikit-learn warns
        kappa=float("nan") if one_answer else float(cohen_kappa_score(x, y)),
    )


def patient_level(p: Predictions, rule: Rule) -> Predictions:
    r"""Return one row per patient, in the order of their first images.

    ``mean``: the patient's label is the label of every image, the probabilities are averaged,
    $p_P = \frac1{|P|}\sum_{n\in P} p_n$.

    ``highest``: classes are ordered states (none < … < worst); a patient's state is the highest
    of any image, for the labels as for the answers,
    $y_P = \max_{n\in P} y_n$, $\hat y_P = \max_{n\in P} \hat y_n$. Probabilities are then 1 for
    that answer and 0 elsewhere: accuracy, recall, F1 and confusion mean what they say, likelihood,
    calibration and AUC do not. One false alarm among a hundred images is enough to raise a
    patient, so this rule favours networks with few of them.

    Raises:
        ValueError: ``mean`` for a patient whose images carry different labels; or a rule of
            another name.
    """
    if rule not in ("mean", "highest"):
        raise ValueError(f"patient_level: expected the rule 'mean' or 'highest', found {rule!r}")
    names = tuple(dict.fromkeys(p.patients))
    place = {name: i for i, name in enumerate(names)}
    patient = np.array([place[name] for name in p.patients], dtype=np.int64)
    highest = _highest(p.labels, patient, len(names))
    if rule == "highest":
        answers = _highest(answers_of(p), patient, len(names))
        one_hot = np.eye(p.probabilities.shape[1], dtype=np.float64)
        return Predictions(one_hot[answers], highest, names)
    mixed = np.flatnonzero(p.labels != highest[patient])
    if len(mixed):
        name = p.patients[mixed[0]]
        found = sorted({int(y) for y in p.labels[patient == place[name]]})
        raise ValueError(
            f"patient_level: patient {name}: expected one label for all images, found {found}; "
            "labels per image need the rule 'highest'"
        )
    sums = np.zeros((len(names), p.probabilities.shape[1]))
    np.add.at(sums, patient, p.probabilities)
    return Predictions(sums / np.bincount(patient)[:, None], highest, names)


def confusion(p: Predictions, classes: Sequence[str]) -> pd.DataFrame:
    """Count cases by label (rows) and answer (columns); every class has its row and column.

    Raises:
        ValueError: not as many names as classes.
    """
    count = p.probabilities.shape[1]
    if len(classes) != count:
        raise ValueError(f"confusion: expected {count} class names, found {[*classes]}")
    table = confusion_matrix(p.labels, answers_of(p), labels=range(count))
    return pd.DataFrame(
        table, index=pd.Index(classes, name="label"), columns=pd.Index(classes, name="answer")
    )


def answers_of(p: Predictions) -> NDArray[np.int64]:
    """Return the most probable class per case."""
    return p.probabilities.argmax(1).astype(np.int64)


def _highest(
    values: NDArray[np.int64], patient: NDArray[np.int64], patients: int
) -> NDArray[np.int64]:
    highest = np.full(patients, -1, dtype=np.int64)
    np.maximum.at(highest, patient, values)
    return highest


def _same_cases(predictions: Mapping[str, Predictions]) -> None:
    if not predictions:
        raise ValueError("disagreement: expected predictions of at least one network, found none")
    reference, *others = predictions.items()
    for name, p in others:
        same = np.array_equal(p.labels, reference[1].labels)
        if not same or p.patients != reference[1].patients:
            raise ValueError(
                f"{name} and {reference[0]}: expected answers to the same cases in the same order, "
                "found other labels or patients; predict both from one loader"
            )
