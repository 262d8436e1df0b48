"""What lesson 07 goes on with where its exercises are open."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from medkd_lib.course.mended_tasks import (
    auc_within,
    found_at,
    hint_on_boxes,
    told_by_house,
    within,
)


def test_a_house_answers_with_its_most_frequent_class() -> None:
    houses, classes = ["a", "a", "a", "b", "b", "b", "b"], [0, 1, 1, 2, 2, 0, 0]
    # b has two of either; in the whole set class 0 is ahead
    assert told_by_house(houses, classes, ["a", "b", "elsewhere"]).tolist() == [1, 0, 0]


def test_pairs_of_one_house_alone_count() -> None:
    rng = np.random.default_rng(0)
    positive, scores = rng.random(60) < 0.4, np.round(rng.random(60), 1)
    one = np.array(["a"] * 60)
    # a single house: the AUC of everybody
    assert auc_within(scores, positive, one) == pytest.approx(roc_auc_score(positive, scores))
    two = np.array(["a"] * 40 + ["b"] * 20)
    parts = [slice(0, 40), slice(40, 60)]
    pairs = [positive[p].sum() * (~positive[p]).sum() for p in parts]
    expected = np.average([roc_auc_score(positive[p], scores[p]) for p in parts], weights=pairs)
    assert auc_within(scores + 10 * (two == "a"), positive, two) == pytest.approx(expected)
    assert within(scores, positive, two)[1] == "b"
    assert np.isnan(auc_within(scores[:2], np.array([True, False]), np.array(["a", "b"])))


def test_equal_scores_pass_together() -> None:
    scores, hit = np.array([0.9, 0.8, 0.8, 0.1]), np.array([True, True, False, False])
    assert [found_at(scores, hit, 4, 2, rate) for rate in (0.25, 0.5, 1)] == [0.25, 0.5, 0.5]
    assert found_at(scores[2:], hit[2:], 4, 1, 0.5) == 0


def test_a_hint_looks_at_boxes_and_where_the_student_is_furthest() -> None:
    teacher = torch.zeros(1, 2, 2, 2)
    student = torch.tensor([[[[1.0, 0.0], [2.0, 3.0]], [[1.0, 0.0], [2.0, 3.0]]]])
    inside = torch.tensor([[[True, False], [False, False]]])
    assert float(hint_on_boxes(student, teacher, inside)) == pytest.approx((1 + 9) / 2)
