"""Lesions to detect: boxes against masks, hands against their habits, contrast against physics."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from medkd_lib.data.boxes import boxes_from_mask
from medkd_lib.phantom.anatomy import Box, FloatArray, Grid
from medkd_lib.phantom.lobulated_mass import LobulatedMass
from medkd_lib.phantom.nodule_boxes import (
    PADDING_SHARE,
    SMALLEST_PX,
    Habit,
    drawn_box,
    measured,
    true_box,
)
from medkd_lib.phantom.nodule_chest import hu_values, supersampled
from medkd_lib.phantom.nodule_cohort import HISTOLOGIES, histologies, nodule_patient, stream
from medkd_lib.phantom.nodule_patient import GAP_MM, SHOWN, NodulePatient
from medkd_lib.phantom.nodule_scan import averaged, scan_nodules
from medkd_lib.phantom.nodule_settings import (
    BURDENS,
    SCANNERS,
    VISIBILITY,
    Cohort,
    Difficulty,
    Scanner,
    visibility_bounds,
)

EXACT = Habit(jitter=0.0, margin=0.0, least_px=1, marked=1.0)
QUIET = Scanner("quiet", 5.0, "soft", 1e-3)
SIZE = (192, 192)


def scan(patient: NodulePatient, scanner: Scanner = QUIET, length_mm: float = 60.0):
    (found,) = scan_nodules(
        patient, (scanner,), size="small", height_mm=patient.lesions[0].mass.centre_mm[2],
        length_mm=length_mm, seed=stream("deeplesion", 0, 0, 1),
    )  # fmt: skip
    return found


def disc(radius: float, centre: tuple[float, float] = (60.0, 90.0)) -> NDArray[np.bool_]:
    i, j = np.indices(SIZE) + 0.5
    return (i - centre[0]) ** 2 + (j - centre[1]) ** 2 <= radius**2


def middle_mm(grid: Grid, box: Box, share: FloatArray) -> list[float]:
    """Centre of gravity, LPS."""
    axes = np.broadcast_arrays(*grid.coordinates(box))
    return [float(np.average(axis, weights=share)) for axis in axes]


def test_the_true_box_is_that_of_the_mask() -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        mask = disc(rng.uniform(0.6, 12.0), tuple(rng.uniform(20, 170, 2)))
        # masks are (column, row), pictures (row, column)
        assert [list(true_box(mask) or ())] == boxes_from_mask(mask.T).tolist()
    single = np.zeros(SIZE, bool)
    assert true_box(single) is None
    single[3, 5] = True
    assert true_box(single) == (3, 5, 4, 6)


def test_an_exact_hand_draws_the_true_box_and_a_noisy_one_what_its_habit_says() -> None:
    true = (50.0, 60.0, 90.0, 140.0)
    rng = np.random.default_rng(0)
    assert drawn_box(true, EXACT, rng, SIZE) == true
    habit = Habit(jitter=0.1, margin=0.05, least_px=1, marked=1.0)
    drawn = np.array([drawn_box(true, habit, rng, SIZE) for _ in range(4000)])
    outwards = (drawn - true) * [-1, -1, 1, 1] / [40, 80, 40, 80]
    np.testing.assert_allclose(outwards.mean(axis=0), 0.05, atol=0.006)
    np.testing.assert_allclose(outwards.std(axis=0), 0.1, atol=0.006)


def test_drawn_boxes_stay_inside_and_are_never_a_slip() -> None:
    rng = np.random.default_rng(1)
    wild = Habit(jitter=2.0, margin=0.0, least_px=1, marked=1.0)
    for true in ((0.0, 0.0, 3.0, 2.0), (190.0, 191.0, 192.0, 192.0), (80.0, 80.0, 81.0, 81.0)):
        drawn = np.array([drawn_box(true, wild, rng, SIZE) for _ in range(300)])
        assert (drawn == np.rint(drawn)).all()
        assert (drawn >= 0).all() and (drawn <= 192).all()
        assert (drawn[:, 2:] - drawn[:, :2] >= SMALLEST_PX).all()


def test_the_two_diameters_of_an_ellipse() -> None:
    i, j = np.indices(SIZE) + 0.5
    angle = np.deg2rad(30.0)
    u = (i - 90) * np.cos(angle) + (j - 80) * np.sin(angle)
    v = (j - 80) * np.cos(angle) - (i - 90) * np.sin(angle)
    found = measured((u / 30) ** 2 + (v / 14) ** 2 <= 1.0, EXACT, np.random.default_rng(0))
    # between centres of pixels: up to one pixel less than the ellipse's
    assert found.diameters_px == pytest.approx((60.0, 28.0), abs=1.5)
    along = found.points[1] - found.points[0]
    assert abs(np.degrees(np.arctan2(along[1], along[0])) % 180 - 30.0) < 3.0
    across = found.points[3] - found.points[2]
    assert abs(along @ across) / np.prod(found.diameters_px) < 0.05
    pad = PADDING_SHARE * SIZE[0]
    low, high = found.points.min(axis=0) - pad, found.points.max(axis=0) + pad
    assert found.box == pytest.approx((*low, *high))


def test_a_lesion_of_one_pixel_is_measured_as_a_point() -> None:
    mask = np.zeros(SIZE, bool)
    mask[10, 20] = True
    found = measured(mask, EXACT, np.random.default_rng(0))
    assert found.diameters_px == (0.0, 0.0)
    pad = PADDING_SHARE * SIZE[0]
    assert found.box == pytest.approx((10.5 - pad, 20.5 - pad, 10.5 + pad, 20.5 + pad))


def test_partial_volume_keeps_the_volume_that_fine_voxels_show() -> None:
    grid, fine = Grid((64, 64, 24), (2.0, 2.0, 5.0)), Grid((256, 256, 240), (0.5, 0.5, 0.5))
    for radius, tolerance in ((4.0, 0.1), (12.0, 0.02)):
        mass = LobulatedMass((3.3, -1.7, 0.9), radius, (1.1, 0.9, 1.01), 5)
        box, share = supersampled(mass, grid)
        assert share.shape == tuple(s.stop - s.start for s in box)
        assert share.min() >= 0.0 and share.max() <= 1.0
        volume = float(share.sum()) * grid.voxel_ml
        exact = float(mass.draw(fine)[1].sum()) * fine.voxel_ml
        assert volume == pytest.approx(exact, rel=tolerance)
        # of a ball, but for the waves on its surface
        assert exact == pytest.approx(4 / 3 * np.pi * radius**3 / 1000, rel=0.1)
        # and in the same place
        middles = middle_mm(grid, box, share), middle_mm(fine, *mass.draw(fine))
        np.testing.assert_allclose(*middles, atol=0.15)


def test_thick_slices_are_means_of_thin_ones() -> None:
    volume = np.arange(24.0).reshape(2, 2, 6)
    np.testing.assert_allclose(averaged(volume, 3)[0, 0], [1.0, 4.0])
    assert averaged(volume, 1) is volume


@pytest.mark.parametrize("cohort", BURDENS)
def test_difficulty_changes_visibility_alone(cohort: Cohort) -> None:
    for index in range(2):
        people = {
            d: nodule_patient(cohort, index, seed=5, difficulty=d) for d in VISIBILITY
        }  # fmt: skip
        first = people["clear"]
        for difficulty, person in people.items():
            assert person.body == first.body and len(person.lesions) == len(first.lesions)
            for ours, theirs in zip(person.lesions, first.lesions, strict=True):
                assert replace(ours, visibility=0.0) == replace(theirs, visibility=0.0)
                low, high = visibility_bounds(cohort, difficulty, ours.kind)
                assert low <= ours.visibility <= high


@pytest.mark.parametrize("cohort", BURDENS)
def test_lesions_keep_apart_and_are_seen(cohort: Cohort) -> None:
    kinds: Counter[str] = Counter()
    for index in range(4):
        patient = nodule_patient(cohort, index, seed=1, difficulty="clear")
        burden = BURDENS[cohort]
        for n, lesion in enumerate(patient.lesions):
            kinds[lesion.kind] += 1
            assert 0.5 * burden.smallest_mm <= lesion.diameter_mm <= burden.largest_mm
            for other in patient.lesions[:n]:
                apart = np.linalg.norm(
                    np.subtract(lesion.mass.centre_mm, other.mass.centre_mm)
                )  # fmt: skip
                assert apart > lesion.mass.radius_mm + other.mass.radius_mm + GAP_MM
        found = scan(patient)
        # of the volume, voxel by voxel, what nothing hides
        ball = 4 / 3 * np.pi * patient.lesions[0].mass.radius_mm ** 3
        voxel = float(np.prod(found.spacing_mm))
        assert found.shares[0].sum() * voxel / ball > 0.8 * SHOWN
    assert set(kinds) <= {k for k, share in burden.kind_share.items() if share}


def test_an_image_without_contrast_knows_of_no_lesion() -> None:
    patient = nodule_patient("lungct_roboflow", 2, seed=1, difficulty="none")
    blank = replace(patient, lesions=(patient.lesions[0],))
    moved = replace(
        blank.lesions[0],
        mass=replace(blank.lesions[0].mass, radius_mm=2.0 * blank.lesions[0].mass.radius_mm),
    )
    one, other = scan(blank), scan(replace(blank, lesions=(moved,)))
    np.testing.assert_array_equal(one.hu, other.hu)
    assert one.mask(0).any() and (one.mask(0) != other.mask(0)).any()


@pytest.mark.parametrize("difficulty", ["clear", "subtle"])
def test_contrast_is_what_the_truth_says(difficulty: Difficulty) -> None:
    patient = nodule_patient("lung_pet_ct_dx", 3, seed=2, difficulty=difficulty)
    lesion = patient.lesions[0]
    bare = replace(patient, lesions=(replace(lesion, visibility=0.0), *patient.lesions[1:]))
    seen, empty = scan(patient), scan(bare)
    inside = seen.shares[0] > 0.99
    assert inside.sum() > 5
    change = (seen.hu[inside].astype(float) - empty.hu[inside]).mean()
    values = hu_values(patient, iodine=False)
    # lung with its vessels is denser than lung: a little less than the contrast to lung alone
    expected = lesion.visibility * (values["lung lesion"] - values["lung"])
    assert seen.contrasts_hu[0] == pytest.approx(expected)
    assert 0.75 * expected < change < 1.02 * expected


def test_thin_and_thick_series_show_one_patient_with_their_own_noise() -> None:
    patient = nodule_patient("lung_pet_ct_dx", 1, seed=0, difficulty="clear")
    thick, thin = scan_nodules(
        patient, SCANNERS["lung_pet_ct_dx"], size="small",
        height_mm=patient.lesions[0].mass.centre_mm[2], length_mm=40.0,
        seed=stream("lung_pet_ct_dx", 1, 0, 1),
    )  # fmt: skip
    assert thin.hu.shape[2] == 2 * thick.hu.shape[2]
    np.testing.assert_allclose(averaged(thin.shares[0], 2), thick.shares[0], atol=1e-6)
    np.testing.assert_allclose(thin.affine[:3, 3] + [0, 0, 1.25], thick.affine[:3, 3], atol=1e-9)
    air = (thick.hu[:12, :12].std(), thin.hu[:12, :12].std())
    assert air[0] < air[1]


def test_contrast_medium_brightens_vessels_and_liver() -> None:
    patient = nodule_patient("deeplesion", 0, seed=0, difficulty="clear")
    plain, bright = (hu_values(patient, iodine=iodine) for iodine in (False, True))
    assert bright["blood"] > plain["blood"] + 80 and bright["liver"] > plain["liver"] + 30
    assert bright["lung"] == plain["lung"] and bright["adipose"] == plain["adipose"]
    # a liver lesion stays darker than the liver, and in enhanced liver more so
    assert bright["liver lesion"] - bright["liver"] < plain["liver lesion"] - plain["liver"] < 0


def test_histologies_have_the_releases_shares() -> None:
    whole = histologies(sum(HISTOLOGIES.values()))
    assert Counter(whole) == HISTOLOGIES
    assert whole[:40] == histologies(40)
    few = Counter(histologies(40))
    for letter, count in HISTOLOGIES.items():
        assert abs(few[letter] - 40 * count / 355) < 1.0


def test_small_cell_carcinomas_grow_nearer_to_the_middle_than_adenocarcinomas() -> None:
    away = {
        letter: np.mean([
            abs(nodule_patient("lung_pet_ct_dx", n, seed=7, difficulty="clear", histology=letter)
                .lesions[0].mass.centre_mm[0])
            for n in range(5)
        ])
        for letter in "AB"
    }  # fmt: skip
    assert away["B"] < away["A"] - 10.0
