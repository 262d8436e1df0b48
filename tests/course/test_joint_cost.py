"""What a source costs: linear in their number, by construction of the method."""

import pytest

from medkd_lib.course.experiments.joint_cost import SourceCost, cost_of_sources, line_through
from tests.course.test_joint_study import TINY


def test_memory_grows_by_the_same_for_every_source() -> None:
    found = cost_of_sources((1, 2, 4), TINY, size=(32, 32), rounds=2)
    assert [c.sources for c in found] == [1, 2, 4]
    line = line_through(found, "megabytes")
    assert line.r_squared > 0.999 and line.slope > 0
    assert all(c.asked_ms > 0 and c.kept_ms > 0 for c in found)


def test_a_line_is_least_squares() -> None:
    points = [SourceCost(k, 3.0 + 2 * k, 0.0, (k - 2.0) ** 2, (1, 1, 1)) for k in (1, 2, 3)]
    straight = line_through(points, "asked_ms")
    assert (straight.slope, straight.intercept, straight.r_squared) == pytest.approx((2, 3, 1))
    # 1, 0, 1 has no slope, so a line explains nothing
    assert line_through(points, "megabytes").r_squared == pytest.approx(0)
