"""Virtual raters: their displacement in closed form, and why a good proposal brings them closer."""

import numpy as np
import pytest
from scipy import ndimage, stats

from medkd_lib.evaluate.raters import (
    Variability,
    assisted,
    draw_raters,
    smooth_field,
    variability,
)
from medkd_lib.evaluate.segment import Mask, compare
from medkd_lib.evaluate.surface_distance_map import signed_distance


def ball(
    radius_mm: float, centre_mm: tuple[float, ...] = (30.0, 30.0, 30.0), shape: int = 30
) -> Mask:
    """Return a ball on voxels of 2 mm."""
    grid = 2.0 * np.indices((shape,) * len(centre_mm))
    centre = np.reshape(centre_mm, (-1, *[1] * len(centre_mm)))
    return np.asarray(((grid - centre) ** 2).sum(axis=0) < radius_mm**2)


SPACING = (2.0, 2.0, 2.0)


def test_the_field_is_a_standard_normal_with_the_stated_correlation() -> None:
    points = np.array([[0.0, 0, 0], [6, 0, 0], [0, 3, 4], [30, 0, 0]])
    drawn = np.array(
        [smooth_field(points, 6.0, np.random.default_rng(seed)) for seed in range(2000)]
    )
    np.testing.assert_allclose(drawn.mean(axis=0), 0, atol=0.06)
    np.testing.assert_allclose(drawn.var(axis=0), 1, atol=0.1)
    assert stats.kstest(drawn[:, 0], "norm").pvalue > 1e-3
    # e^(-d²/L²) at d = 6, 5 and 30
    expected = [np.exp(-1), np.exp(-25 / 36), 0]
    np.testing.assert_allclose(np.corrcoef(drawn.T)[0, 1:], expected, atol=0.06)


@pytest.mark.parametrize("rows_mm", [1.0, 3.0])
def test_a_plane_is_displaced_by_the_stated_sd(rows_mm: float) -> None:
    plane = np.zeros((48, 60), dtype=bool)
    plane[:24] = True
    masks = draw_raters(plane, (rows_mm, 2.0), raters=60, sd_mm=3.0, correlation_mm=6.0, seed=1)
    moved = (masks.sum(axis=1) - 24) * rows_mm
    assert masks[:, 0].all() and not masks[:, -1].any()
    assert abs(moved.mean()) < 0.3
    # rounding to voxels adds their uniform variance
    assert moved.std() == pytest.approx(np.sqrt(9 + rows_mm**2 / 12), rel=0.06)
    # boundary points 6 mm apart correlate by 1/e
    assert np.corrcoef(moved[:, :-3].ravel(), moved[:, 3:].ravel())[0, 1] == pytest.approx(
        np.exp(-1), abs=0.1
    )


def test_a_disc_is_displaced_by_the_stated_sd() -> None:
    disc = ball(40.0, (60.0, 60.0), 60)
    masks = draw_raters(disc, (2.0, 2.0), raters=50, sd_mm=4.0, correlation_mm=20.0, seed=2)
    rays = np.concatenate([masks[:, 30, 30:].sum(axis=1), masks[:, 30::-1, 30].sum(axis=1)])
    moved = 2.0 * (rays - disc[30, 30:].sum())
    assert abs(moved.mean()) < 1 and moved.std() == pytest.approx(np.sqrt(16 + 4 / 12), rel=0.15)


def test_a_rater_is_the_same_in_any_company_and_image() -> None:
    reference = ball(14.0)
    settings = {"sd_mm": 2.0, "correlation_mm": 10.0}
    few = draw_raters(reference, SPACING, raters=2, seed=5, **settings)
    many = draw_raters(reference, SPACING, raters=4, seed=5, **settings)
    np.testing.assert_array_equal(few, many[:2])
    assert (many[0] != many[1]).any() and (many[0] != reference).any()
    other = draw_raters(reference, SPACING, raters=2, seed=6, **settings)
    assert (other != few).any()
    wider = np.pad(reference, ((0, 9), (0, 5), (0, 7)))
    again = draw_raters(wider, SPACING, raters=2, seed=5, **settings)
    np.testing.assert_array_equal(again[:, :30, :30, :30], few)
    assert not again[:, 30:].any()


def test_the_larger_the_sd_the_further_and_none_is_the_reference() -> None:
    reference = ball(14.0)
    dice = []
    for sd_mm in (0.0, 1.0, 2.0, 4.0):
        masks = draw_raters(reference, SPACING, raters=2, sd_mm=sd_mm, correlation_mm=10.0, seed=0)
        dice.append(float(np.mean([compare(m, reference, SPACING, 1).dice for m in masks])))
    assert dice[0] == 1 and dice == sorted(dice, reverse=True) and dice[-1] < 0.9


def test_without_tolerance_she_draws_and_without_objection_she_accepts() -> None:
    reference = ball(14.0)
    own, proposal = draw_raters(
        reference, SPACING, raters=2, sd_mm=3.0, correlation_mm=10.0, seed=0
    )
    assert (own != proposal).any()
    np.testing.assert_array_equal(assisted(own, proposal, SPACING, tolerance_mm=0.0), own)
    np.testing.assert_array_equal(assisted(own, proposal, SPACING, tolerance_mm=1e3), proposal)
    np.testing.assert_array_equal(assisted(own, own, SPACING, tolerance_mm=2.0), own)
    # between the two every voxel is from one of them
    between = assisted(own, proposal, SPACING, tolerance_mm=2.0)
    assert ((between == own) | (between == proposal)).all()
    assert (between != own).any() and (between != proposal).any()


def test_she_moves_the_boundary_only_where_it_is_too_far() -> None:
    own, proposal = np.zeros((2, 40, 80), dtype=bool)
    own[:20] = True
    proposal[:22, :40] = True  # 2 mm away in the left half
    proposal[:29, 40:] = True  # 9 mm away in the right half
    found = assisted(own, proposal, (1.0, 1.0), tolerance_mm=4.0)
    np.testing.assert_array_equal(found[:, :36], proposal[:, :36])
    np.testing.assert_array_equal(found[:, 44:], own[:, 44:])
    np.testing.assert_array_equal(assisted(own, proposal, (3.0, 1.0), tolerance_mm=4.0), own)


@pytest.mark.parametrize(("tolerance_mm", "seed"), [(2.5, 0), (4.0, 1), (6.0, 2)])
def test_a_scattered_proposal_is_judged_as_on_the_whole_image(
    tolerance_mm: float, seed: int
) -> None:
    """Only a part of the image is looked at; the definition, read everywhere, says the same."""
    rng = np.random.default_rng(seed)
    # sides of three lengths: of points equally near on two axes either may be taken
    spacing = (2.0, 2.3, 3.1)
    own = ball(9.0, (40.0, 36.0, 30.0), 44)
    specks = ndimage.zoom(rng.random((11, 11, 11)), 4, order=1) > 0.62
    proposal = np.asarray(ball(9.0, (42.0, 36.0, 30.0), 44) | specks)
    mine, theirs = signed_distance(own, spacing), signed_distance(proposal, spacing)
    disagreement = np.maximum.reduce(
        [
            np.abs(mine.mm),
            np.abs(ndimage.map_coordinates(mine.mm, theirs.nearest, order=1, mode="nearest")),
            np.abs(ndimage.map_coordinates(theirs.mm, mine.nearest, order=1, mode="nearest")),
        ]
    )
    expected = np.where(disagreement <= tolerance_mm, proposal, own)
    found = assisted(own, proposal, spacing, tolerance_mm=tolerance_mm)
    np.testing.assert_array_equal(found, expected)
    assert (found != own).any() and (found != proposal).any()


def test_a_region_too_many_is_deleted_and_one_too_few_is_added() -> None:
    tumour, second = ball(10.0, (20.0, 20.0, 30.0)), ball(6.0, (46.0, 46.0, 30.0))
    both = tumour | second
    np.testing.assert_array_equal(assisted(tumour, both, SPACING, tolerance_mm=4.0), tumour)
    np.testing.assert_array_equal(assisted(both, tumour, SPACING, tolerance_mm=4.0), both)
    empty = np.zeros_like(tumour)
    np.testing.assert_array_equal(assisted(tumour, empty, SPACING, tolerance_mm=4.0), tumour)
    np.testing.assert_array_equal(assisted(empty, tumour, SPACING, tolerance_mm=4.0), empty)


def test_a_good_proposal_brings_raters_closer_and_a_bad_one_does_not() -> None:
    reference = ball(14.0)
    own = draw_raters(reference, SPACING, raters=4, sd_mm=2.0, correlation_mm=12.0, seed=4)
    far = ball(14.0, (30.0, 44.0, 30.0))
    spread = {
        name: variability(masks, SPACING, tolerance_mm=2.0)
        for name, masks in {
            "alone": own,
            "good": np.stack([assisted(o, reference, SPACING, tolerance_mm=4.0) for o in own]),
            "bad": np.stack([assisted(o, far, SPACING, tolerance_mm=4.0) for o in own]),
        }.items()
    }
    alone, good, bad = spread["alone"], spread["good"], spread["bad"]
    assert good.dice > alone.dice + 0.15 and good.surface_dice > alone.surface_dice + 0.2
    assert good.volume_sd_ml < 0.5 * alone.volume_sd_ml
    # where outlines cross it, a bad one is accepted too: a little more of shared boundary
    assert abs(bad.dice - alone.dice) < 0.05 * (good.dice - alone.dice)
    assert bad.volume_sd_ml == pytest.approx(alone.volume_sd_ml, rel=0.05)
    assert (
        0 < bad.surface_dice - alone.surface_dice < 0.4 * (good.surface_dice - alone.surface_dice)
    )


def test_variability_by_hand() -> None:
    a, b = np.zeros((2, 8, 8, 4), dtype=bool)
    a[2:6, 2:6] = True  # 64 voxels of 0.008 mL
    b[2:6, 2:4] = True  # 32 of them
    found = variability(np.stack([a, a, b]), SPACING, tolerance_mm=0.0)
    surface = compare(a, b, SPACING, 0.0).surface_dice
    assert found.dice == pytest.approx((1 + 2 * 2 / 3) / 3)
    assert found.surface_dice == pytest.approx((1 + 2 * surface) / 3)
    assert found.volume_ml == pytest.approx(0.008 * 160 / 3)
    assert found.volume_sd_ml == pytest.approx(0.008 * np.std([64, 64, 32], ddof=1))


def test_raters_who_draw_nothing() -> None:
    a, empty = ball(6.0), np.zeros_like(ball(6.0))
    assert variability(np.stack([empty, empty]), SPACING, tolerance_mm=1.0) == Variability(
        1.0, 1.0, 0.0, 0.0
    )
    for masks in ((a, empty), (empty, a)):
        one = variability(np.stack(masks), SPACING, tolerance_mm=1.0)
        assert (one.dice, one.surface_dice) == (0, 0)
    thirds = variability(np.stack([a, a, empty]), SPACING, tolerance_mm=1.0)
    assert thirds.dice == pytest.approx(1 / 3)


def test_errors_name_what_is_wrong() -> None:
    a = ball(6.0)
    with pytest.raises(ValueError, match=r"found 0, 1.0 and 5.0"):
        draw_raters(a, SPACING, raters=0, sd_mm=1.0, correlation_mm=5.0, seed=0)
    with pytest.raises(ValueError, match=r"found 2, 1.0 and 0.0"):
        draw_raters(a, SPACING, raters=2, sd_mm=1.0, correlation_mm=0.0, seed=0)
    with pytest.raises(ValueError, match="found an empty mask"):
        draw_raters(a & ~a, SPACING, raters=2, sd_mm=1.0, correlation_mm=5.0, seed=0)
    with pytest.raises(ValueError, match=r"bool \(30, 30, 30\) and bool \(20, 30, 30\)"):
        assisted(a, a[:20], SPACING, tolerance_mm=1.0)
    with pytest.raises(ValueError, match="tolerance_mm >= 0, found -1"):
        assisted(a, a, SPACING, tolerance_mm=-1.0)
    with pytest.raises(ValueError, match=r"two raters or more, found \(30, 30, 30\)"):
        variability(a, SPACING, tolerance_mm=1.0)
