"""Groups of equal size by a measure in which zero counts."""

import numpy as np
import pytest

from medkd_lib.evaluate.thirds import thirds

NAMES = ("near", "middle", "far")


def test_nine_cases_are_three_times_three_and_zero_belongs_to_the_nearest() -> None:
    values = np.array([8.0, 0.0, 4.0, 1.0, 5.0, 2.0, 6.0, 3.0, 7.0])
    labels, order = thirds(values, NAMES, "mm")
    assert order == ["near, 0 to 2 mm", "middle, 3 to 5 mm", "far, 6 to 8 mm"]
    assert [order.index(label) for label in labels] == [2, 0, 1, 0, 1, 0, 2, 1, 2]


def test_what_nobody_measured_belongs_to_none() -> None:
    labels, _ = thirds(np.array([1.0, np.nan, 2.0, 3.0]), NAMES)
    assert labels[1] == "" and labels[0] == "near, 1 to 1"


def test_equal_values_are_never_divided() -> None:
    values = np.array([0.0] * 5 + [10.0, 20.0])
    labels, order = thirds(values, NAMES)
    assert len({*labels[:5]}) == 1 and len(order) == len({*labels})
    assert labels[0].startswith("near")


def test_three_names_and_a_value_are_needed() -> None:
    for values, names in (
        (np.array([np.nan]), NAMES),
        (np.ones((2, 2)), NAMES),
        (np.ones(3), NAMES[:2]),
    ):
        with pytest.raises(ValueError, match="thirds: "):
            thirds(values, names)
