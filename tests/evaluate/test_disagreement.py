"""Who answers differently and who is right alone, by hand; patients; confusion."""

import math

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from medkd_lib.evaluate.classify import Predictions, accuracy, macro_f1
from medkd_lib.evaluate.disagreement import (
    answers_of,
    compare_pair,
    confusion,
    disagreement,
    patient_level,
)

LABELS = [0, 0, 1, 1, 2, 2, 2, 0]


def answering(
    answers: list[int], labels: list[int] = LABELS, patients: str = "aabbccdd", classes: int = 3
) -> Predictions:
    """Predictions that give these answers with probability 0.8."""
    rest = 0.2 / (classes - 1)
    probabilities = np.full((len(answers), classes), rest)
    probabilities[np.arange(len(answers)), answers] = 0.8
    return Predictions(probabilities, np.array(labels), tuple(patients))


VGG = answering([0, 1, 1, 1, 2, 0, 0, 0])
VIT = answering([0, 0, 1, 0, 2, 0, 1, 0])


def test_the_matrix_of_disagreement() -> None:
    table = disagreement({"vgg": VGG, "vit": VIT, "again": VGG})
    assert [*table.index] == [*table.columns] == ["vgg", "vit", "again"]
    assert table.loc["vgg", "vit"] == 3 / 8
    assert table.loc["vgg", "again"] == 0
    np.testing.assert_array_equal(table, table.T)
    np.testing.assert_array_equal(np.diag(table), 0)


def test_a_pair_splits_the_cases() -> None:
    pair = compare_pair(VGG, VIT)
    assert pair.both_right == 4 / 8
    assert pair.first_right == 1 / 8 and pair.second_right == 1 / 8
    assert pair.both_wrong == 2 / 8  # one alike, one apart
    assert pair.one_right == 2 / 8
    total = pair.both_right + pair.one_right + pair.both_wrong
    assert total == 1
    assert pair.both_right + pair.first_right == accuracy(VGG)
    assert pair.both_right + pair.second_right == accuracy(VIT)


def test_kappa_by_hand() -> None:
    # VGG answers 0 four times, 1 three, 2 once; VIT 0 five times, 1 twice, 2 once
    observed, expected = 5 / 8, (4 * 5 + 3 * 2 + 1) / 64
    pair = compare_pair(VGG, VIT)
    assert pair.kappa == pytest.approx((observed - expected) / (1 - expected))
    assert pair.kappa == pytest.approx(cohen_kappa_score(answers_of(VGG), answers_of(VIT)))
    assert compare_pair(VGG, VGG).kappa == 1
    always = answering([1] * 8)
    assert math.isnan(compare_pair(always, always).kappa)
    assert compare_pair(always, VGG).kappa == pytest.approx(0)


def test_other_cases_cannot_be_compared() -> None:
    other_labels = answering([0] * 8, labels=[1] * 8)
    with pytest.raises(ValueError, match="b and a: expected answers to the same cases"):
        disagreement({"a": VGG, "b": other_labels})
    with pytest.raises(ValueError, match="second and first: expected answers to the same cases"):
        compare_pair(VGG, answering([0] * 8, patients="aabbccde"))
    with pytest.raises(ValueError, match="same cases"):
        compare_pair(VGG, answering([0] * 7, labels=LABELS[:7], patients="aabbccd"))
    with pytest.raises(ValueError, match="found none"):
        disagreement({})


def test_the_mean_of_a_patients_images() -> None:
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.45, 0.55]])
    p = Predictions(probabilities, np.array([0, 1, 0, 1]), ("z", "a", "z", "a"))
    by_patient = patient_level(p, "mean")
    assert by_patient.patients == ("z", "a")  # by first image, not by name
    np.testing.assert_allclose(by_patient.probabilities, [[0.65, 0.35], [0.325, 0.675]])
    assert by_patient.labels.tolist() == [0, 1]
    # two of three images right, and yet: a sure image outweighs an unsure one
    assert accuracy(p) == 0.75 and accuracy(by_patient) == 1


def test_the_highest_state_of_a_patients_slices() -> None:
    p = answering([0, 1, 2, 0, 0, 0], labels=[0, 2, 1, 0, 0, 1], patients="xxyyzz")
    by_patient = patient_level(p, "highest")
    assert by_patient.patients == ("x", "y", "z")
    assert by_patient.labels.tolist() == [2, 1, 1]
    np.testing.assert_array_equal(by_patient.probabilities, np.eye(3)[[1, 2, 0]])
    # one false alarm in a healthy patient is a false alarm
    healthy = answering([0] * 9 + [2], labels=[0] * 10, patients="h" * 10)
    assert accuracy(healthy) == 0.9 and accuracy(patient_level(healthy, "highest")) == 0


def test_one_image_per_patient_changes_nothing() -> None:
    p = answering([0, 2, 1], labels=[0, 1, 1], patients="abc")
    np.testing.assert_array_equal(patient_level(p, "mean").probabilities, p.probabilities)
    for rule in ("mean", "highest"):
        assert accuracy(patient_level(p, rule)) == accuracy(p)
        assert macro_f1(patient_level(p, rule)) == macro_f1(p)


def test_mixed_labels_need_the_other_rule() -> None:
    with pytest.raises(ValueError, match=r"patient b: expected one label .* found \[1, 2\]"):
        patient_level(answering([0, 0, 0], labels=[0, 1, 2], patients="abb"), "mean")
    with pytest.raises(ValueError, match="found 'worst'"):
        patient_level(VGG, "worst")  # type: ignore[arg-type]


def test_confusion_counts_labels_by_row() -> None:
    table = confusion(answering([0, 1, 1], labels=[0, 0, 1], patients="abc"), ["n", "o", "e"])
    assert table.to_numpy().tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]
    assert table.loc["n", "o"] == 1 and table.loc["o", "n"] == 0
    assert (table.index.name, table.columns.name) == ("label", "answer")
    assert [*table.columns] == ["n", "o", "e"]  # the class without a case has its place
    with pytest.raises(ValueError, match=r"expected 3 class names, found \['n', 'o'\]"):
        confusion(VGG, ["n", "o"])
