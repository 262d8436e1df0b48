"""Dice, surface Dice and HD95: closed forms, MONAI on whole images, dense distances of scipy."""

import numpy as np
import pytest
import torch
from monai.metrics import compute_dice, compute_hausdorff_distance, compute_surface_dice
from scipy import ndimage

from medkd_lib.evaluate.segment import (
    Mask,
    boundary_distances,
    bounding_box,
    compare,
    measure_cases,
)

# MONAI's own calls pass an argument that it has deprecated
pytestmark = pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")

SPACING = (1.5, 0.8, 4.0)


def square(corner: int) -> Mask:
    mask = np.zeros((32, 32), dtype=bool)
    mask[8:16, corner : corner + 8] = True
    return mask


def blobs(seed: int, shape: tuple[int, ...] = (24, 20, 10), above: float = 0.1) -> Mask:
    """Return several smooth regions, some of them cut by the border of the image."""
    noise = np.random.default_rng(seed).standard_normal(shape)
    smooth = ndimage.gaussian_filter(noise, 1.5)
    return smooth > above


def in_monai(
    prediction: Mask, truth: Mask, spacing: tuple[float, ...], tolerance: float
) -> list[float]:
    p, t = (torch.as_tensor(m)[None, None] for m in (prediction, truth))
    return [
        float(compute_dice(p, t, include_background=True)),
        float(compute_surface_dice(p, t, [tolerance], include_background=True, spacing=spacing)),
        float(
            compute_hausdorff_distance(
                p, t, include_background=True, percentile=95, spacing=spacing
            )
        ),
    ]


def dense(
    prediction: Mask, truth: Mask, spacing: tuple[float, ...], tolerance: float
) -> list[float]:
    """Return the same from distance transforms of the whole image."""
    edges = [m & ~ndimage.binary_erosion(m) for m in (prediction, truth)]
    maps = [ndimage.distance_transform_edt(~edge, sampling=spacing) for edge in edges]
    ways = [maps[1][edges[0]], maps[0][edges[1]]]
    close = sum(int((way <= tolerance).sum()) for way in ways)
    return [
        2 * (prediction & truth).sum() / (prediction.sum() + truth.sum()),
        close / sum(map(len, ways)),
        max(float(np.percentile(way, 95)) for way in ways),
    ]


@pytest.mark.parametrize(("tolerance", "expected"), [(0.5, 24), (1, 32), (2, 56), (3, 56)])
def test_a_square_moved_by_two_pixels(tolerance: float, expected: int) -> None:
    found = compare(square(10), square(8), (1, 1), tolerance)
    # 28 boundary pixels each: of either, 12 lie on the other, 4 more are 1 away, all are within 2
    assert found.surface_dice == pytest.approx(expected / 56)
    assert found.surface_dice == pytest.approx(
        in_monai(square(10), square(8), (1, 1), tolerance)[1]
    )
    assert found.dice == 2 * 48 / 128 and found.hd95_mm == 2 and found.outcome == "both"


def test_tolerance_and_distance_are_in_millimetres() -> None:
    found = compare(square(10), square(8), (5, 0.5), 0.5)
    assert found.hd95_mm == 1 and found.surface_dice == pytest.approx(28 / 56)
    # one pixel along a row is within 0.5 mm, one along a column is not; the same in other units
    again = compare(square(10), square(8), (50, 5), 5)
    assert again.hd95_mm == 10 and again.surface_dice == found.surface_dice


def test_a_distance_of_exactly_the_tolerance_is_within_it() -> None:
    # 3 * 0.7 is a little less than 2.1, 3 * 0.1 a little more than 0.3
    for column_mm, tolerance in ((0.7, 2.1), (0.1, 0.3)):
        spacing = (100.0, column_mm)
        assert compare(square(11), square(8), spacing, tolerance).surface_dice == 1
        assert compare(square(11), square(8), spacing, 0.99 * tolerance).surface_dice < 1


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("tolerance", [0.0, 1.6, 4.0])
def test_monai_and_dense_distances_agree_in_three_dimensions(seed: int, tolerance: float) -> None:
    p, t = blobs(seed), blobs(seed + 10)
    found = compare(p, t, SPACING, tolerance)
    numbers = [found.dice, found.surface_dice, found.hd95_mm]
    assert numbers == pytest.approx(in_monai(p, t, SPACING, tolerance), rel=1e-5)
    assert numbers == pytest.approx(dense(p, t, SPACING, tolerance), rel=1e-5)
    assert 0 < found.dice < 1 and found.hd95_mm > 1


def test_the_box_around_both_changes_no_distance() -> None:
    for seed in range(5):
        p, t = np.zeros((2, 40, 36, 18), dtype=bool)
        # apart, in a corner of the image, and up to its border
        p[3:15, :12, 8:] = blobs(seed, (12, 12, 10))
        t[6:20, 2:16, 6:16] = blobs(seed + 10, (14, 14, 10))
        box = bounding_box(p | t)
        assert (p[box] | t[box]).sum() == (p | t).sum() and p[box].size < p.size / 3
        whole = boundary_distances(p, t, SPACING)
        cut = boundary_distances(p[box], t[box], SPACING)
        for expected, found in zip(whole, cut, strict=True):
            np.testing.assert_array_equal(np.sort(found), np.sort(expected))


def test_symmetric_and_the_same_along_any_axis() -> None:
    p, t = blobs(0), blobs(1)
    found = compare(p, t, SPACING, 1.6)
    assert compare(t, p, SPACING, 1.6) == found
    turned = compare(p.transpose(2, 0, 1), t.transpose(2, 0, 1), (4.0, 1.5, 0.8), 1.6)
    assert vars(turned) == pytest.approx(vars(found))
    same = compare(p, p.copy(), SPACING, 0.0)
    assert (same.dice, same.surface_dice, same.hd95_mm) == (1, 1, 0)


def test_what_is_empty_is_said_and_scored_by_the_truth() -> None:
    there, empty = square(8), np.zeros((32, 32), dtype=bool)
    missed = compare(empty, there, (2, 1), 1)
    assert (missed.dice, missed.surface_dice, missed.outcome) == (0, 0, "missed")
    assert missed.hd95_mm == pytest.approx(np.hypot(2 * 31, 31))
    for prediction, outcome in ((there, "false alarm"), (empty, "neither")):
        found = compare(prediction, empty, (2, 1), 1)
        assert found.outcome == outcome
        assert np.isnan([found.dice, found.surface_dice, found.hd95_mm]).all()


def test_a_tumour_found_in_the_far_corner_scores_as_one_missed() -> None:
    corners = np.zeros((2, 9, 7), dtype=bool)
    corners[0, 0, 0] = corners[1, -1, -1] = True
    empty = np.zeros((9, 7), dtype=bool)
    apart = compare(corners[0], corners[1], (3, 2), 1)
    assert apart.outcome == "both" and apart.dice == 0
    assert apart.hd95_mm == pytest.approx(compare(empty, corners[1], (3, 2), 1).hd95_mm)


def test_a_table_of_cases() -> None:
    truths = {"b/1": blobs(0), "a/1": np.zeros((24, 20, 10), dtype=bool), "a/2": blobs(1)}
    predictions = {"a/2": np.zeros((24, 20, 10), dtype=bool), "a/1": blobs(3), "b/1": blobs(2)}
    table = measure_cases(predictions, truths, SPACING, 2.0)
    assert [*table.index] == ["b/1", "a/1", "a/2"] and table.index.name == "case"
    assert [*table.outcome] == ["both", "false alarm", "missed"]
    one = compare(blobs(2), blobs(0), SPACING, 2.0)
    assert table.loc["b/1", "dice"] == one.dice and table.loc["b/1", "hd95_mm"] == one.hd95_mm
    ml = 1.5 * 0.8 * 4.0 / 1000
    np.testing.assert_allclose(table.truth_ml, [blobs(0).sum() * ml, 0, blobs(1).sum() * ml])
    np.testing.assert_allclose(table.predicted_ml, [blobs(2).sum() * ml, blobs(3).sum() * ml, 0])
    # what the truth leaves out is left out of the mean, in every arm
    assert table.dice.mean() == pytest.approx(one.dice / 2)


def test_errors_name_what_is_wrong() -> None:
    p, t = blobs(0), blobs(1)
    with pytest.raises(ValueError, match=r"found uint8 and bool; of label ids take mask == label"):
        compare(p.astype(np.uint8), t, SPACING, 1)
    with pytest.raises(ValueError, match=r"found \(24, 20, 10\) and \(20, 20, 10\)"):
        compare(p, t[:20], SPACING, 1)
    with pytest.raises(ValueError, match=r"3 positive spacings in mm, found \(1, 1\)"):
        compare(p, t, (1, 1), 1)
    with pytest.raises(ValueError, match="tolerance_mm >= 0, found -1"):
        compare(p, t, SPACING, -1)
    with pytest.raises(ValueError, match="tolerance_mm >= 0, found nan"):
        compare(p, t, SPACING, float("nan"))
    with pytest.raises(ValueError, match=r"found \['b'\] on one side"):
        measure_cases({"a": p}, {"a": t, "b": t}, SPACING, 1)
    with pytest.raises(ValueError, match=r"a: expected two volumes .* \(24, 20\)"):
        measure_cases({"a": p[..., 0]}, {"a": t[..., 0]}, SPACING, 1)
