"""A lung cancer patient before two scanners: places, volumes, contrasts, and what `none` hides."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy import ndimage

from medkd_lib.phantom.anatomy import Anatomy, Grid, Layer
from medkd_lib.phantom.chest import ChestPatient, sample_chest, voxelise_chest
from medkd_lib.phantom.chest_scan import TISSUE_IDS, ChestPair, scan_pair
from medkd_lib.phantom.chest_settings import SETTINGS, Difficulty
from medkd_lib.phantom.chest_shapes import capsules, turned_ellipsoid
from medkd_lib.phantom.chest_tissue import COLLAPSE, T2W, TUMOUR
from medkd_lib.phantom.chest_truth import least_distance, t2_ratio, touches
from medkd_lib.phantom.mr import signal

DIFFICULTIES: tuple[Difficulty, ...] = ("clear", "subtle", "none")


@cache
def patient(seed: int, difficulty: Difficulty = "subtle") -> ChestPatient:
    return sample_chest(np.random.default_rng(seed), difficulty)


@cache
def pair(seed: int, difficulty: Difficulty = "subtle") -> ChestPair:
    return scan_pair(patient(seed, difficulty), seed=np.random.SeedSequence(seed))


@cache
def with_collapse() -> int:
    for seed in range(60):
        if patient(seed).collapse is not None and patient(seed).tumour.volume_ml > 10.0:
            return seed
    raise AssertionError("60 patients and none with collapsed lung")


def mean(image: np.ndarray, where: np.ndarray) -> float:
    """Mean over what is left of a region after two voxels of its edge."""
    inner = ndimage.binary_erosion(where, np.ones((3, 3, 1), bool), 2)
    assert inner.sum() > 20
    return float(image[inner].mean())


def test_a_tube_and_a_turned_ellipsoid_have_their_volume() -> None:
    grid = Grid((60, 60, 60), (1.0, 1.0, 1.0))
    tube = capsules(grid, "tube", "blood", [(-15, 0, 0), (15, 0, 0)], 6.0)
    expected = np.pi * 6.0**2 * 30.0 + 4.0 / 3.0 * np.pi * 6.0**3
    assert tube.membership.sum() == pytest.approx(expected, rel=0.02)
    whole = turned_ellipsoid(grid, "e", "blood", (1, 2, -1), (18.0, 9.0), (1.0, -1.0, 0.5))
    assert whole.membership.sum() == pytest.approx(4.0 / 3.0 * np.pi * 18.0 * 81.0, rel=0.02)
    # its long axis is the one asked for
    assert isinstance(tube, Layer)
    x, y, z = (np.broadcast_to(a, whole.membership.shape) for a in grid.coordinates(whole.box))
    points = np.stack([a[whole.membership > 0.5] for a in (x, y, z)])
    longest = np.linalg.eigh(np.cov(points))[1][:, -1]
    assert abs(longest @ np.array([1.0, -1.0, 0.5]) / 1.5) == pytest.approx(1.0, abs=0.01)


def test_places_are_shared_out_and_mean_what_they_say() -> None:
    people = [patient(seed) for seed in range(40)]
    count = Counter(p.tumour.place for p in people)
    touching = 1.0 - count["lung"] / len(people)
    assert touching == pytest.approx(SETTINGS["subtle"].abutting, abs=0.25)
    assert set(count) == {"lung", "mediastinum", "hilum", "chest_wall"}
    assert {p.tumour.side for p in people} == {"left", "right"}
    volumes = np.log([p.tumour.volume_ml for p in people])
    assert np.exp(np.median(volumes)) == pytest.approx(20.0, rel=0.6)
    assert np.all(volumes >= 0.0) and np.all(volumes <= np.log(150.0))
    near: dict[str, list[float]] = {"mediastinum": [], "chest_wall": []}
    for p in people[:16]:
        anatomy = voxelise_chest(p, p.grid("small"))
        inside = anatomy.tumour >= 0.5
        if p.tumour.place in near:
            assert touches(anatomy, inside), p.tumour
            near[p.tumour.place].append(least_distance(anatomy, inside))
    assert np.median(near["mediastinum"]) <= 4.0
    assert np.median(near["chest_wall"]) > 8.0


@pytest.mark.parametrize("seed", range(6))
def test_the_tumour_has_its_volume_and_leaves_heart_and_bone_alone(seed: int) -> None:
    p = patient(seed)
    anatomy = voxelise_chest(p, p.grid("small"))
    inside = anatomy.tumour >= 0.5
    found = float(inside.sum()) * anatomy.grid.voxel_ml
    assert found == pytest.approx(p.tumour.volume_ml, rel=0.1, abs=0.3)
    organs = anatomy.fraction("blood", "myocardium", "cortical_bone", "vertebra")
    assert not (inside & (organs > 0.5)).any()
    # one piece, and all of it within the scan
    assert ndimage.label(inside, np.ones((3, 3, 3)))[1] <= 2
    assert not inside[:, :, [0, -1]].any()


def test_the_same_patient_lies_on_both_sizes() -> None:
    p = patient(3)
    small, full = (voxelise_chest(p, p.grid(size)) for size in ("small", "full"))
    centres, volumes = [], []
    for anatomy in (small, full):
        x, y, z = (np.broadcast_to(a, anatomy.grid.shape) for a in anatomy.grid.coordinates())
        share = anatomy.tumour
        centres.append([float((a * share).sum() / share.sum()) for a in (x, y, z)])
        volumes.append(float(share.sum()) * anatomy.grid.voxel_ml)
    np.testing.assert_allclose(centres[0], centres[1], atol=1.0)
    assert volumes[0] == pytest.approx(volumes[1], rel=0.05)


def test_ct_numbers_of_the_tissues() -> None:
    both, p = pair(with_collapse()), patient(with_collapse())
    hu = both.ct.hu
    expected = {"fat": -79.0, "tumour": 43.0 + p.tumour.contrast_hu, "lung": p.body.lung_hu}
    for name, value in expected.items():
        assert mean(hu, both.tissue == TISSUE_IDS[name]) == pytest.approx(value, abs=14.0), name
    assert hu.min() >= -1024.0 and np.array_equal(hu, np.rint(hu))
    # CT cannot tell collapsed lung from tumour, and hardly either from muscle
    collapse = mean(hu, both.tissue == TISSUE_IDS["collapse"])
    assert abs(collapse - expected["tumour"]) < 12.0


def test_t2w_has_the_order_of_a_chest() -> None:
    both, p = pair(with_collapse()), patient(with_collapse())
    value = {
        name: mean(both.t2w, both.tissue == TISSUE_IDS[name])
        for name in ("lung", "fat", "soft", "tumour", "collapse")
    }
    assert value["lung"] < 0.5 * value["soft"] < 0.5 * value["tumour"] < 0.5 * value["collapse"]
    assert value["fat"] < value["soft"]
    clean = {t: signal(p.tissues[t], T2W) for t in ("csf", "adipose", "muscle", "blood")}
    assert clean["csf"] > clean["muscle"] > 2.0 * clean["blood"]  # flow void
    assert clean["adipose"] < 0.6 * clean["muscle"]  # suppressed
    bright = signal(p.tissues["adipose"], replace(T2W, fat_saturation=0.0))
    assert bright > 2.0 * clean["muscle"]


def test_the_tumours_t2_signal_is_as_published() -> None:
    # §1.2 R: 2.14 ± 0.63 times muscle
    ratios = [t2_ratio(patient(seed), TUMOUR) for seed in range(40)]
    assert np.mean(ratios) == pytest.approx(2.14, abs=0.4)
    assert np.std(ratios) == pytest.approx(0.63, abs=0.3)


def test_difficulty_changes_contrast_and_nothing_else() -> None:
    seed = with_collapse()
    people = {d: patient(seed, d) for d in DIFFICULTIES}
    assert len({p.tumour.centre_mm for p in people.values()}) == 1
    labels = [pair(seed, d).label for d in DIFFICULTIES]
    np.testing.assert_array_equal(labels[0], labels[1])
    np.testing.assert_array_equal(labels[0], labels[2])
    contrast = {d: p.tumour.contrast_hu for d, p in people.items()}
    assert contrast["clear"] - contrast["subtle"] == pytest.approx(-23.0)
    assert contrast["none"] == contrast["subtle"]
    np.testing.assert_array_equal(pair(seed, "none").ct.hu, pair(seed, "subtle").ct.hu)
    np.testing.assert_array_equal(pair(seed, "clear").t2w, pair(seed, "subtle").t2w)


def test_none_gives_mr_no_advantage() -> None:
    for seed in (with_collapse(), 1, 2):
        p = patient(seed, "none")
        assert t2_ratio(p, TUMOUR) == pytest.approx(1.0, abs=1e-6)
        for tissue in (COLLAPSE, "blood", "myocardium", "node"):
            assert t2_ratio(p, tissue) == pytest.approx(1.0, abs=1e-6)
    both = pair(with_collapse(), "none")
    tumour, soft = (mean(both.t2w, both.tissue == TISSUE_IDS[n]) for n in ("tumour", "soft"))
    assert tumour == pytest.approx(soft, rel=0.25)  # shading of the coil remains


def test_the_maps_agree_with_each_other() -> None:
    both = pair(1)
    tumour = both.tissue == TISSUE_IDS["tumour"]
    np.testing.assert_array_equal(tumour, both.label > 0)
    assert not (both.lung & tumour).any()
    assert (both.mediastinum_mm[both.tissue == TISSUE_IDS["mediastinum"]] == 0.0).all()
    assert both.mediastinum_mm.shape == both.ct.hu.shape == both.t2w.shape
    assert both.mediastinum_mm[both.lung].max() > 40.0
    litres = float(both.lung.sum()) * np.prod(both.spacing_mm) / 1e6
    assert 0.3 < litres < 6.0
    again = scan_pair(patient(1), seed=np.random.SeedSequence(1))
    np.testing.assert_array_equal(again.ct.hu, both.ct.hu)
    np.testing.assert_array_equal(again.t2w, both.t2w)
    assert isinstance(voxelise_chest(patient(1), patient(1).grid("small")), Anatomy)


def test_an_unknown_difficulty_is_named() -> None:
    with pytest.raises(ValueError, match="'hard'"):
        sample_chest(np.random.default_rng(0), "hard")  # type: ignore[arg-type]
