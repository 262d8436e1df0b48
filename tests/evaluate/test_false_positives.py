"""Predicted regions on sections without tumour, counted by hand."""

import numpy as np
import pytest

from medkd_lib.evaluate.false_positives import by_case, false_positives
from medkd_lib.evaluate.intervals import patient_bootstrap
from medkd_lib.evaluate.segment import Mask

SPACING = (2.0, 3.0, 5.0)  # a pixel of 6 mm², a voxel of 0.03 mL
IDS = [f"a/k{k:03d}" for k in range(5)] + [f"b/k{k:03d}" for k in range(2)]


def masks() -> tuple[Mask, Mask]:
    predictions, truths = np.zeros((2, 7, 8, 8), dtype=bool)
    truths[4, 2:4, 2:4] = True  # the last section of a
    predictions[4] = truths[4]
    predictions[0, 0, 0:3] = True  # three pixels in a row
    predictions[1, 0, 0] = predictions[1, 4, 4] = predictions[1, 7, 7] = (
        True  # three regions of one
    )
    predictions[2, 1, 1] = predictions[2, 2, 2] = True  # two that share a corner
    predictions[5, 5, 5] = predictions[6, 5, 5] = True  # one above the other
    return predictions, truths


def test_regions_by_hand() -> None:
    predictions, truths = masks()
    table = false_positives(predictions, truths, IDS, SPACING, least_mm2=12)
    assert [*table.index] == [name for name in IDS if name != "a/k004"]
    assert table.index.name == "id"
    assert table.largest_mm2.tolist() == [18, 6, 12, 0, 6, 6]
    # a region of exactly 12 mm² counts; one that goes on in the next section does not grow by it
    assert table.flagged.tolist() == [True, False, True, False, False, False]
    np.testing.assert_allclose(table.predicted_ml, [0.09, 0.09, 0.06, 0, 0.03, 0.03])
    assert table.from_tumour_mm.tolist() == [20, 15, 10, 5, np.inf, np.inf]
    assert table.case.tolist() == [*"aaaabb"]


def test_every_case_in_one_line() -> None:
    table = by_case(false_positives(*masks(), IDS, SPACING, least_mm2=12))
    assert table.index.tolist() == ["a", "b"] and table.sections.tolist() == [4, 2]
    assert table.share.tolist() == [0.5, 0]
    np.testing.assert_allclose(table.predicted_ml, [0.24, 0.06])


def test_the_share_has_an_interval_over_patients() -> None:
    table = false_positives(*masks(), IDS, SPACING, least_mm2=12)
    low, high = patient_bootstrap(table.flagged.to_numpy(), table.case.tolist(), draws=500)
    # only a or only b may be drawn, each on its own
    assert (low, high) == (0, 0.5)


def test_the_order_of_sections_does_not_matter() -> None:
    predictions, truths = masks()
    order = np.random.default_rng(0).permutation(7)
    straight = false_positives(predictions, truths, IDS, SPACING, least_mm2=12)
    ids = [IDS[i] for i in order]
    mixed = false_positives(predictions[order], truths[order], ids, SPACING, least_mm2=12)
    assert mixed.loc[straight.index].equals(straight)


def test_a_least_area_of_many_pixels_is_not_missed_by_rounding() -> None:
    predictions, truths = np.zeros((2, 1, 8, 8), dtype=bool)
    predictions[0, 0, :3] = True
    # 3 * (0.7 * 0.1) is a little more than 0.21, 0.7 * 0.3 a little less
    for least in (0.21, 0.7 * 0.3, 3 * (0.7 * 0.1)):
        found = false_positives(predictions, truths, ["a/k0"], (0.7, 0.1, 1), least_mm2=least)
        assert found.flagged.tolist() == [True]


def test_no_section_without_tumour_is_an_empty_table() -> None:
    full = np.ones((2, 4, 4), dtype=bool)
    table = false_positives(full, full, ["a/k0", "a/k1"], SPACING, least_mm2=1)
    assert len(table) == 0 and len(by_case(table)) == 0


def test_errors_name_what_is_wrong() -> None:
    predictions, truths = masks()
    with pytest.raises(ValueError, match="found bool and uint8; of label ids take"):
        false_positives(predictions, truths.astype(np.uint8), IDS, SPACING, least_mm2=1)
    with pytest.raises(ValueError, match=r"found \(7, 8, 8\), \(7, 8, 8\) and 6 ids"):
        false_positives(predictions, truths, IDS[:6], SPACING, least_mm2=1)
    with pytest.raises(ValueError, match=r"three positive spacings in mm, found \(2.0, 3.0\)"):
        false_positives(predictions, truths, IDS, SPACING[:2], least_mm2=1)
    with pytest.raises(ValueError, match="least_mm2 > 0, found 0"):
        false_positives(predictions, truths, IDS, SPACING, least_mm2=0)
    with pytest.raises(ValueError, match="expected each section 1 after"):
        gaps = [*IDS[:4], "a/k005", *IDS[5:]]
        false_positives(predictions, truths, gaps, SPACING, least_mm2=1)
