"""Infarcts and mixtures: territories, volumes, the physics of ischaemia, thick slices."""

from __future__ import annotations

from collections import Counter
from typing import get_args

import numpy as np
import pytest

from medkd_lib.phantom.anatomy import Anatomy, Grid, Layer
from medkd_lib.phantom.brain import voxelise_brain
from medkd_lib.phantom.brain_frame import to_frame
from medkd_lib.phantom.brain_lesion_layers import volume_level
from medkd_lib.phantom.brain_patient import brain_patient
from medkd_lib.phantom.brain_shapes import Points
from medkd_lib.phantom.infarct import (
    AGE_H,
    PIECES_MAX,
    SMALLEST_ML,
    SUPPLIES,
    Territory,
    sample_infarct,
    territory_depth,
)
from medkd_lib.phantom.infarct_tissue import DEAD, infarcted, with_infarct_tissues
from medkd_lib.phantom.infarct_voxels import dead_share, with_infarct
from medkd_lib.phantom.mixture import anatomy_of, fractions_of, thick_slices
from medkd_lib.phantom.mr import PROTOCOLS, signal
from medkd_lib.phantom.tissue_mr import mr_table

GRID = Grid((80, 80, 52), (3.0, 3.0, 3.0))
BRAIN = brain_patient(2)
DRAWN = [sample_infarct(np.random.default_rng(n), BRAIN) for n in range(60)]


def test_cohort_of_strokes() -> None:
    territories = Counter(i.pieces[0].territory for i in DRAWN)
    assert sum(s.share for s in SUPPLIES.values()) == pytest.approx(1.0)
    assert set(territories) == set(get_args(Territory))
    assert territories.most_common(1)[0][0] == "middle"
    numbers = Counter(len(i.pieces) for i in DRAWN)
    assert numbers[1] > 10 and sum(n for pieces, n in numbers.items() if pieces > 1) > 10
    assert max(numbers) <= PIECES_MAX
    for infarct in DRAWN:
        assert AGE_H[0] <= infarct.age_h <= AGE_H[1]
        assert 0.5 < infarct.adc_ratio < 1.0
        volumes = [p.volume_ml for p in infarct.pieces]
        assert volumes == sorted(volumes, reverse=True) and min(volumes) >= SMALLEST_ML
        assert len({(p.side, p.territory) for p in infarct.pieces}) == 1, "one artery is shut"
        for piece in infarct.pieces:
            assert np.linalg.norm(piece.inwards) == pytest.approx(1.0)
            assert (piece.base_mm[0] > 0) == (piece.side == "left")
    assert {i.pieces[0].side for i in DRAWN} == {"left", "right"}


def test_every_piece_begins_in_its_territory() -> None:
    for infarct in DRAWN:
        for piece in infarct.pieces:
            at = Points(*(np.array([c], np.float32) for c in piece.base_mm))
            assert territory_depth(at, BRAIN, piece.territory)[0] > 0.0


def test_territories_do_not_overlap_but_for_the_deep_branches_of_one_artery() -> None:
    p = to_frame(BRAIN, GRID, GRID.everything)
    names: tuple[Territory, ...] = ("middle", "anterior", "posterior", "cerebellar")
    inside = np.sum([territory_depth(p, BRAIN, name) > 0.0 for name in names], axis=0)
    assert inside.max() == 1
    deep = territory_depth(p, BRAIN, "lacunar") > 0.0
    assert deep.any() and not (deep & (territory_depth(p, BRAIN, "cerebellar") > 0.0)).any()


@pytest.mark.parametrize("territory", get_args(Territory))
def test_dead_tissue_has_the_drawn_volume_and_place(territory: Territory) -> None:
    infarct = next(i for i in DRAWN if i.pieces[0].territory == territory)
    brain = voxelise_brain(BRAIN, GRID)
    piece = infarct.pieces[0]
    fractions = with_infarct(brain, [piece])
    before = fractions_of(brain)
    dead = np.sum([fractions[name] for name in DEAD.values()], axis=0)
    volume = float(dead.sum(dtype=np.float64)) * GRID.voxel_ml
    # a wedge of two dozen voxels is met to a few of them
    assert volume == pytest.approx(piece.volume_ml, rel=0.1, abs=6 * GRID.voxel_ml)
    for alive, name in DEAD.items():
        np.testing.assert_allclose(fractions[alive] + fractions[name], before[alive], atol=1e-6)
    for name in ("csf", "blood"):
        np.testing.assert_array_equal(fractions[name], before[name])
    p = to_frame(BRAIN, GRID, GRID.everything)
    home = (territory_depth(p, BRAIN, territory) > -4.0) & ((p.u > 0) == (piece.side == "left"))
    assert float(dead[home].sum() / dead.sum()) > 0.9, "the watershed holds"
    share = dead_share(fractions)
    assert share.min() >= 0.0 and share.max() <= 1.0 + 1e-6
    assert dead[share >= 0.5].sum() > 0.6 * dead.sum()


def test_a_wedge_is_wider_at_the_surface_than_in_the_depth() -> None:
    infarct = max((i for i in DRAWN if i.pieces[0].territory == "middle"),
                  key=lambda i: i.pieces[0].volume_ml)  # fmt: skip
    piece = infarct.pieces[0]
    fractions = with_infarct(voxelise_brain(BRAIN, GRID), [piece])
    dead = np.sum([fractions[name] for name in DEAD.values()], axis=0)
    p = to_frame(BRAIN, GRID, GRID.everything)
    depth = np.asarray(
        sum((a - b) * d for a, b, d in zip(p, piece.base_mm, piece.inwards, strict=True))
    )
    deepest = float(depth[dead > 0.5].max())
    outer = dead[(depth > 0.0) & (depth <= deepest / 2)].sum()
    assert outer > 1.5 * dead[depth > deepest / 2].sum()


def test_ischaemia_lowers_adc_and_lifts_dwi_and_flair_by_age() -> None:
    for field in (1.5, 3.0):
        table = mr_table(field)
        for alive in DEAD:
            normal = table[alive]
            young, old = infarcted(normal, 2.0, 0.74), infarcted(normal, 20.0, 0.74)
            assert young.adc_um2_ms == old.adc_um2_ms == pytest.approx(0.74 * normal.adc_um2_ms)
            dwi, flair = PROTOCOLS["dwi_b1000"], PROTOCOLS["t2f"]
            assert signal(young, dwi) > 1.2 * signal(normal, dwi)
            ratio = [signal(t, flair) / signal(normal, flair) for t in (young, old)]
            assert 1.0 < ratio[0] < 1.1 < 1.2 < ratio[1], "slightly, then clearly bright"
            assert infarcted(normal, 20.0, 0.74, contrast=0.0).t2_ms == pytest.approx(normal.t2_ms)
            half = infarcted(normal, 20.0, 0.74, contrast=0.5)
            assert old.adc_um2_ms < half.adc_um2_ms < normal.adc_um2_ms


def test_six_hours_in_grey_matter_are_those_of_the_table() -> None:
    for field in (1.5, 3.0):
        table = mr_table(field)
        grown, known = infarcted(table["grey_matter"], 6.0, 0.627 / 0.843), table["infarct"]
        assert grown.t1_ms == pytest.approx(known.t1_ms)
        assert grown.t2_ms == pytest.approx(known.t2_ms)
        assert grown.adc_um2_ms == pytest.approx(known.adc_um2_ms, rel=0.02)
    added = with_infarct_tissues(mr_table(3.0), DRAWN[0], 1.0)
    assert set(added) - set(mr_table(3.0)) == set(DEAD.values())


def coats() -> Anatomy:
    rng = np.random.default_rng(3)
    grid = Grid((5, 4, 6), (1.0, 1.0, 1.0))
    tissues = ("csf", "grey_matter", "csf", "white_matter")
    return Anatomy(
        grid,
        tuple(
            Layer(f"{n}", tissue, grid.everything, rng.random(grid.shape).astype(np.float32))
            for n, tissue in enumerate(tissues)
        ),
    )


def test_fractions_and_coats_of_paint_are_two_ways_to_say_the_same() -> None:
    anatomy = coats()
    fractions = fractions_of(anatomy)
    values = {"air": -3.0, "csf": 5.0, "grey_matter": 1.0, "white_matter": 0.5}
    again = anatomy_of(fractions, anatomy.grid)
    np.testing.assert_allclose(again.paint(values), anatomy.paint(values), atol=2e-5)
    air = 1.0 - np.sum(list(fractions.values()), axis=0)
    np.testing.assert_allclose(air, anatomy.fraction("air"), atol=1e-6)
    empty = {name: np.zeros_like(f) for name, f in fractions.items()}
    assert np.all(anatomy_of(empty, anatomy.grid).paint(values) == -3.0)
    with pytest.raises(ValueError, match="at most 1"):
        anatomy_of({n: f + 0.6 for n, f in fractions.items()}, anatomy.grid)


def test_a_thick_slice_is_the_mean_of_thin_ones() -> None:
    anatomy = coats()
    values = {"air": -3.0, "csf": 5.0, "grey_matter": 1.0, "white_matter": 0.5}
    thick = anatomy_of(
        thick_slices(fractions_of(anatomy), 3), Grid((5, 4, 2), (1.0, 1.0, 3.0))
    ).paint(values)
    thin = anatomy.paint(values)
    np.testing.assert_allclose(thick[:, :, 0], thin[:, :, :3].mean(axis=2), atol=2e-5)
    np.testing.assert_allclose(thick[:, :, 1], thin[:, :, 3:].mean(axis=2), atol=2e-5)
    with pytest.raises(ValueError, match="thinner = 4 slices, found 6"):
        thick_slices(fractions_of(anatomy), 4)


def test_the_level_of_a_volume() -> None:
    field = np.array([5.0, 1.0, 3.0, 2.0], np.float32)
    room = np.array([1.0, 1.0, 0.5, 0.0], np.float32)
    assert volume_level(field, 2.0, room, 2.0) == 1.0
    assert volume_level(field, 3.0, room, 2.0) == 3.0
    assert volume_level(field, 99.0, room, 2.0) == 5.0, "less room than wanted"
