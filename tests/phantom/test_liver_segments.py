"""Couinaud's segments: neighbours as in the textbook, none empty, the same on another grid."""

from __future__ import annotations

import numpy as np

from medkd_lib.phantom.abdomen import AbdomenAnatomy, sample_abdomen, voxelise_abdomen
from medkd_lib.phantom.liver_segments import SEGMENTS, liver_segments
from medkd_lib.phantom.thigh_grid import PlacedGrid

COARSE = PlacedGrid((64, 40, 26), (5.0, 5.0, 8.0), (-160.0, -100.0, -90.0))
FINE = PlacedGrid((107, 67, 42), (3.0, 3.0, 5.0), (-160.0, -100.0, -90.0))


def on(grid: PlacedGrid, number: int) -> tuple[AbdomenAnatomy, np.ndarray]:
    anatomy = voxelise_abdomen(sample_abdomen(np.random.default_rng(number)), grid)
    return anatomy, np.where(anatomy.organs == 1, liver_segments(anatomy.landmarks, grid), 0)


def millilitres(segments: np.ndarray, grid: PlacedGrid) -> np.ndarray:
    return np.bincount(segments.ravel(), minlength=9)[1:] * grid.voxel_ml


def test_eight_segments_fill_the_liver_and_lie_as_in_the_textbook() -> None:
    assert len(SEGMENTS) == 8
    for number in range(4):
        anatomy, segments = on(COARSE, number)
        np.testing.assert_array_equal(segments > 0, anatomy.organs == 1)
        assert set(np.unique(segments)) == set(range(9)), "no segment is empty"
        x, y, z = (
            [float(np.broadcast_to(axis, COARSE.shape)[segments == n].mean()) for n in range(9)]
            for axis in COARSE.coordinates()
        )
        # from the patient's right to the left, x grows to the left
        assert max(x[5:9]) < x[4] < x[3]
        assert y[7] > y[8] and y[6] > y[5] and y[2] > y[3], "y grows to the back"
        assert z[8] > z[5] and z[7] > z[6]
        split = anatomy.landmarks.portal_split
        assert y[1] > split[1] and z[1] > split[2], "the caudate lies behind and above the hilum"


def test_a_grid_does_not_move_the_borders() -> None:
    first, second = (millilitres(on(grid, 2)[1], grid) for grid in (COARSE, FINE))
    # small segments are a few coarse voxels thick
    large = first > 120.0
    assert large.sum() >= 4
    np.testing.assert_allclose(second[large], first[large], rtol=0.12)


def test_the_planes_stand_where_the_veins_run() -> None:
    anatomy, _ = on(COARSE, 1)
    marks = anatomy.landmarks
    segments = liver_segments(marks, FINE)
    axes = [axis.ravel() for axis in FINE.coordinates()]

    def label(point: tuple[float, float, float], right_mm: float) -> int:
        place = (point[0] - right_mm, point[1], point[2])
        i, j, k = (int(np.argmin(np.abs(a - p))) for a, p in zip(axes, place, strict=True))
        return int(segments[i, j, k])

    # across the middle vein from V or VIII to IV, across the left one from III to II
    assert {label(marks.middle_vein, 8.0)} <= {5, 8} and label(marks.middle_vein, -8.0) == 4
    assert label(marks.left_vein, 8.0) == 3 and label(marks.left_vein, -8.0) == 2
    assert label(marks.umbilical, 8.0) == 4 and label(marks.umbilical, -8.0) == 3
