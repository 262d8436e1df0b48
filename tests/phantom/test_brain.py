"""The brain phantom: geometry, folds, symmetry, tumours."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from medkd_lib.phantom.anatomy import Grid
from medkd_lib.phantom.brain import BrainAnatomy, sheet, voxelise_brain
from medkd_lib.phantom.brain_frame import (
    FULL_GRID,
    SMALL_GRID,
    Push,
    atlas_affine,
    refine,
    to_frame,
    to_grid_mm,
)
from medkd_lib.phantom.brain_lesion_layers import label_map, voxelise_tumours
from medkd_lib.phantom.brain_lesions import Lesion, Tumour, sample_lesions
from medkd_lib.phantom.brain_parts import VENTRICLES
from medkd_lib.phantom.brain_patient import brain_patient
from medkd_lib.phantom.brain_shapes import Points, ellipsoid_depth
from medkd_lib.phantom.waves import random_waves, stretched

SEEDS = range(6)


@pytest.fixture(scope="module")
def brains() -> list[BrainAnatomy]:
    return [voxelise_brain(brain_patient(seed), SMALL_GRID) for seed in SEEDS]


def tumours(
    tumour: Tumour, seed: int, grid: Grid = SMALL_GRID
) -> tuple[tuple[Lesion, ...], BrainAnatomy]:
    brain = brain_patient(seed)
    lesions = sample_lesions(np.random.default_rng([seed, 1]), tumour, brain)
    return lesions, voxelise_tumours(brain, lesions, grid)


def test_atlas_affine_is_the_releases_own() -> None:
    expected = np.diag([-1.0, -1.0, 1.0, 1.0])
    expected[1, 3] = 239.0
    np.testing.assert_array_equal(atlas_affine(FULL_GRID), expected)
    # both grids have their middle at the same place of the world
    for grid in (FULL_GRID, SMALL_GRID):
        middle = (np.array(grid.shape) - 1) / 2
        world = atlas_affine(grid) @ [*middle, 1.0]
        np.testing.assert_allclose(world, [-119.5, 119.5, 77.0, 1.0])


def test_volumes_are_those_of_adults(brains: list[BrainAnatomy]) -> None:
    for brain in brains:
        stripped = brain.inside.sum() * brain.grid.voxel_ml
        grey, white = brain.tissue_ml("grey_matter", "deep_grey"), brain.tissue_ml("white_matter")
        assert 1150 < stripped < 1800
        assert 900 < grey + white < 1500
        assert 1.15 < grey / white < 1.6  # BrainWeb 903 : 671 = 1.35
        assert 8 < brain.ventricle_ml() < 70
        fluid, blood = brain.tissue_ml("csf"), brain.tissue_ml("blood")
        assert 2 < blood < 30
        assert fluid + blood + grey + white == pytest.approx(stripped, rel=1e-4)


def test_air_outside_is_exact_and_the_brain_is_clear_of_the_border(
    brains: list[BrainAnatomy],
) -> None:
    for brain in brains:
        air = brain.fraction("air")
        assert set(np.unique(air)) == {0.0, 1.0}
        np.testing.assert_array_equal(air == 0.0, brain.inside)
        for axis in range(3):
            edge = np.moveaxis(brain.inside, axis, 0)
            assert not edge[0].any()
            assert not edge[-1].any()


def test_ventricles_are_symmetric_about_the_patients_own_midline(
    brains: list[BrainAnatomy],
) -> None:
    ratios, middles = [], []
    for brain in brains:
        layer = brain.layer("lateral ventricles")
        u = to_frame(brain.patient, brain.grid, layer.box).u
        share = layer.membership
        left, right = (float(share[side].sum()) for side in (u > 0, u < 0))
        ratios.append(left / right)
        middles.append(float((share * u).sum() / share.sum()))
        # they are in the brain's middle, not at its edge
        assert np.abs(u[share > 0.5]).max() < 45
    # each patient is a little lopsided (the frame is bent), patients on average are not
    assert max(abs(np.log(ratios))) < 0.25
    assert max(np.abs(middles)) < 2.2
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.1)


def test_vessels_run_in_fluid(brains: list[BrainAnatomy]) -> None:
    for brain in brains:
        layer = brain.layer("sulcal vessels")
        without = replace(brain, layers=tuple(x for x in brain.layers if x.tissue != "blood"))
        fluid = without.fraction("csf")[layer.box]
        vessels = layer.membership > 0.2
        assert vessels.sum() > 50
        assert fluid[vessels].mean() > 2.0 * fluid[brain.inside[layer.box]].mean()


def test_third_ventricle_lies_between_the_thalami(brains: list[BrainAnatomy]) -> None:
    brain = brains[0]
    for name, low, high in (("third ventricle", 0.0, 3.0), ("thalamus", 6.0, 16.0)):
        layer = brain.layer(name)
        u = np.abs(to_frame(brain.patient, brain.grid, layer.box).u)
        mean = float((layer.membership * u).sum() / layer.membership.sum())
        assert low < mean < high


def test_cortex_is_folded_and_the_halves_differ(brains: list[BrainAnatomy]) -> None:
    for brain in brains[:3]:
        layer = brain.layer("cortex")
        u = to_frame(brain.patient, brain.grid, layer.box).u
        fluid = (layer.membership < 0.5) & brain.inside[layer.box]
        deep = brain.layer("cerebral white").membership > 0.5
        # white matter near fluid on many sides: far more surface than a smooth body's
        volume = float(deep.sum())
        surface = float((binary_dilation(deep) & ~deep).sum())
        smooth = 4.836 * volume ** (2 / 3)  # of a ball, in voxel faces
        assert surface > 2.5 * smooth
        assert float(deep[u > 0].mean() / deep[u < 0].mean()) == pytest.approx(1.0, abs=0.15)
        flat = fluid & (np.abs(u) > 10)
        mirror = flat[::-1]
        assert float((flat & mirror).sum()) < 0.6 * float(flat.sum())


def test_strangers_have_other_folds_and_atrophy_costs_tissue(brains: list[BrainAnatomy]) -> None:
    both = brains[0].inside & brains[1].inside
    first, second = (b.fraction("csf")[both] for b in brains[:2])
    assert np.corrcoef(first, second)[0, 1] < 0.6
    patient = brain_patient(0)
    young, old = (
        voxelise_brain(replace(patient, atrophy=a), SMALL_GRID).tissue_ml("csf") for a in (0.0, 1.0)
    )
    assert old > 1.25 * young


def test_fine_and_coarse_grids_show_the_same_brain() -> None:
    patient = brain_patient(2)
    fine_grid = Grid((240, 240, 156), (1.0, 1.0, 1.0))
    fine = voxelise_brain(patient, fine_grid).fraction("white_matter")
    coarse = voxelise_brain(patient, SMALL_GRID).fraction("white_matter")
    mean = fine.reshape(120, 2, 120, 2, 78, 2).mean(axis=(1, 3, 5))
    assert np.corrcoef(mean.ravel(), coarse.ravel())[0, 1] > 0.95
    assert mean.sum() == pytest.approx(coarse.sum(), rel=0.05)


def test_frame_and_grid_places_are_inverse() -> None:
    patient = brain_patient(3)
    grid = Grid((40, 40, 40), (4.0, 4.0, 4.0))
    p = to_frame(patient, grid, grid.everything)
    picks = [(3, 20, 30), (20, 20, 20), (37, 8, 11)]
    places = [[float(a[i]) for a in p] for i in picks]
    mm = [[(i - 19.5) * 4.0 for i in pick] for pick in picks]
    np.testing.assert_allclose(to_grid_mm(patient, places), mm, atol=0.02)


def test_refine_is_exact_for_linear_fields() -> None:
    coarse, fine = Grid((10, 12, 14), (2.0, 2.0, 2.0)), Grid((20, 24, 28), (1.0, 1.0, 1.0))

    def field(grid: Grid, box: tuple[slice, slice, slice]) -> np.ndarray:
        x, y, z = grid.coordinates(box)
        return np.asarray(2.0 * x - y + 0.5 * z + 1.0)

    coarse_box = (slice(1, 9), slice(0, 12), slice(2, 13))
    fine_box = (slice(4, 15), slice(3, 20), slice(6, 22))
    got = refine(field(coarse, coarse_box), coarse, coarse_box, fine, fine_box)
    np.testing.assert_allclose(got, field(fine, fine_box), atol=1e-4)


def test_push_is_one_to_one_and_local() -> None:
    push = Push((0.0, 0.0, 0.0), 20.0, 0.85)
    r = np.linspace(0.0, 200.0, 400, dtype=np.float32)
    zero = np.zeros_like(r)
    source = push(Points(r, zero, zero)).u
    assert (np.diff(source) > 0).all()
    assert source[40] < 0.75 * r[40]  # near: tissue came from nearer the centre
    np.testing.assert_allclose(source[-100:], r[-100:], atol=1e-3)


def test_waves_have_unit_variance_and_run_where_stretched() -> None:
    rng = np.random.default_rng(0)
    waves = random_waves(rng, 10.0, 20.0, 40)
    p = rng.uniform(-200, 200, (3, 4000)).astype(np.float32)
    value = waves(*p)
    assert abs(value.mean()) < 0.08
    assert value.std() == pytest.approx(1.0, abs=0.08)
    long = stretched(waves, 0.1)
    along = [abs(long(p[0] + d, p[1], p[2]) - long(*p)).mean() for d in (2.0,)]
    across = [abs(long(p[0], p[1] + d, p[2]) - long(*p)).mean() for d in (2.0,)]
    assert along[0] < 0.3 * across[0]


@pytest.mark.parametrize("half", [0.1, 0.3, 0.8, 2.0])
def test_a_thin_sheet_keeps_its_volume(half: float) -> None:
    for offset in (0.0, 0.2, 0.5):
        distance = np.arange(-10, 11) + offset
        volume = sheet(distance.copy(), np.full(21, half)).sum()
        assert volume == pytest.approx(2 * half, abs=1e-6)


def test_ellipsoid_depth_is_a_distance_at_the_surface() -> None:
    x = np.array([29.0, 30.0, 31.0], np.float32)
    zero = np.zeros_like(x)
    depth = ellipsoid_depth(Points(x, zero, zero), (0, 0, 0), (30, 10, 5))
    np.testing.assert_allclose(depth, [1.0, 0.0, -1.0], atol=0.05)
    depth = ellipsoid_depth(Points(zero, zero, x / 6), (0, 0, 0), (30, 10, 5))
    np.testing.assert_allclose(depth, [1 / 6, 0.0, -1 / 6], atol=0.02)


@pytest.mark.parametrize("seed", [1, 2, 5])
def test_glioma_is_nested_and_has_its_volumes(seed: int) -> None:
    (lesion,), anatomy = tumours("glioma", seed)
    labels = label_map(anatomy)
    ml = [float((labels == i).sum()) * anatomy.grid.voxel_ml for i in (1, 2, 3)]
    assert sum(ml) == pytest.approx(lesion.mass_ml + lesion.oedema_ml, rel=0.12)
    assert ml[0] + ml[2] == pytest.approx(lesion.mass_ml, rel=0.1)
    assert ((labels > 0) <= anatomy.inside).all()
    # fluid never touches oedema or brain: around it lie rim, core or the stripped edge
    necrosis = anatomy.fraction("necrosis") > 0.5
    around = binary_dilation(necrosis) & ~necrosis & anatomy.inside
    solid = anatomy.fraction("tumour", "tumour_core", "necrosis") > 0.5
    assert solid[around].mean() > 0.95
    core = np.isin(labels, (1, 3))
    wet = binary_dilation(core, iterations=2) & ~core & anatomy.inside
    assert (labels[wet] == 2).mean() > 0.2


@pytest.mark.parametrize("seed", [1, 3])
def test_oedema_follows_white_matter_of_its_own_side(seed: int) -> None:
    (lesion,), anatomy = tumours("glioma", seed)
    before = replace(
        anatomy, layers=tuple(x for x in anatomy.layers if not x.name.startswith("lesion"))
    )
    oedema = label_map(anatomy) == 2
    white, grey = (before.fraction(t)[oedema].mean() for t in ("white_matter", "grey_matter"))
    assert white > 2.0 * grey
    assert before.fraction("csf")[oedema].mean() < 0.1
    p = to_frame(anatomy.patient, anatomy.grid, anatomy.grid.everything)
    side = 1.0 if lesion.side == "left" else -1.0
    assert (side * p.u[oedema] > 0).mean() > 0.85


def test_ventricles_stay_dry_and_are_displaced() -> None:
    (lesion,), anatomy = tumours("glioma", 2)
    healthy = voxelise_brain(anatomy.patient, SMALL_GRID)
    assert lesion.push is not None
    for name in VENTRICLES:
        assert anatomy.layer(name).membership.shape == healthy.layer(name).membership.shape
    moved = anatomy.layer("lateral ventricles").membership
    still = healthy.layer("lateral ventricles").membership
    assert np.abs(moved - still).sum() > 0.05 * still.sum()
    np.testing.assert_array_equal(anatomy.inside, healthy.inside)  # the skull does not move


def test_priors_of_many_patients() -> None:
    rng = np.random.default_rng(5)
    brain = brain_patient(0)
    counts, diameters = [], []
    for _ in range(150):
        lesions = sample_lesions(rng, "metastasis", brain)
        counts.append(len(lesions))
        diameters += [2.0 * lesion.radius_mm for lesion in lesions]
    # geometric with mean 2.2: standard error 1.62 / √150 = 0.13
    assert np.mean(counts) == pytest.approx(2.2, abs=0.45)
    assert np.median(diameters) == pytest.approx(7.0, abs=1.0)
    gliomas = [sample_lesions(rng, "glioma", brain)[0] for _ in range(150)]
    assert np.median([g.necrosis_ml for g in gliomas]) == pytest.approx(10.0, rel=0.35)
    assert np.median([g.enhancing_ml for g in gliomas]) == pytest.approx(18.0, rel=0.35)
    assert np.median([g.oedema_ml for g in gliomas]) == pytest.approx(50.0, rel=0.35)
    logs = np.log([[g.necrosis_ml, g.enhancing_ml, g.oedema_ml] for g in gliomas])
    assert np.corrcoef(logs.T)[0, 1] > 0.4  # a shared factor
    assert all(g.mass_ml + g.oedema_ml < 191 for g in gliomas)
    assert 50 < sum(g.side == "left" for g in gliomas) < 100


def test_metastases_are_apart_and_near_the_cortex() -> None:
    for seed in SEEDS:
        lesions, anatomy = tumours("metastasis", seed)
        for number, lesion in enumerate(lesions):
            for other in lesions[:number]:
                gap = np.linalg.norm(np.subtract(lesion.centre_mm, other.centre_mm))
                assert gap > lesion.radius_mm + other.radius_mm
        labels = label_map(anatomy)
        if max(lesion.radius_mm for lesion in lesions) > 3.0:
            assert (labels == 3).any()


def test_meningioma_touches_the_stripped_edge_and_is_solid() -> None:
    touching = 0
    for seed in SEEDS:
        (lesion,), anatomy = tumours("meningioma", seed)
        labels = label_map(anatomy)
        assert set(np.unique(labels)) <= {0, 2, 3}
        tumour = labels == 3
        assert tumour.sum() * anatomy.grid.voxel_ml == pytest.approx(lesion.mass_ml, rel=0.15)
        touching += bool((binary_dilation(tumour) & ~anatomy.inside).any())
    assert touching >= 4
