"""Region ids: organs keep their numbers, components of a mass get one each, errors."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from medkd_lib.data.region_ids import RegionIds, region_ids

ORGANS = {"liver": 6, "spleen": 1}


def labels() -> NDArray[np.uint8]:
    """A liver with a large mass at the border, a small one, a speck, and a corner contact."""
    found = np.zeros((8, 8, 8), np.uint8)
    found[1:7] = 6
    found[0:3, 0:3, 0:3] = 9  # 27 voxels, touches three faces of the map
    found[5:7, 5:7, 5:7] = 9  # 8 voxels
    found[7, 7, 7] = 9  # touches the one above by a corner
    found[4, 0, 7] = 9  # a speck
    found[7, 0, 0] = 3  # something nobody asked for
    return found


def test_components_are_numbered_by_size_after_the_organs() -> None:
    result = region_ids(labels(), ORGANS, {"mass": 9}, components=3)
    assert result.names == ("liver", "spleen", "mass 1", "mass 2", "mass 3")
    ids = result.ids
    assert ids.dtype == np.uint8 and ids.shape == (8, 8, 8)
    assert (ids[labels() == 6] == 1).all() and not (ids == 2).any()  # no spleen, number kept
    assert [int((ids == n).sum()) for n in (3, 4, 5)] == [27, 9, 1]
    assert ids[0, 0, 0] == 3 and ids[7, 7, 7] == ids[5, 5, 5] == 4 and ids[7, 0, 0] == 0


def test_specks_are_dropped_and_no_mass_is_no_region() -> None:
    result = region_ids(labels(), ORGANS, {"mass": 9}, components=2, least_voxels=2)
    assert sorted(np.unique(result.ids)) == [0, 1, 3, 4]
    assert result.ids[4, 0, 7] == 0
    empty = region_ids(np.zeros((4, 4), np.int32), ORGANS, {"mass": 9})
    assert not empty.ids.any() and len(empty.names) == 5


def test_two_hundred_components_and_more() -> None:
    grid = np.zeros((30, 40), np.uint8)
    grid[::2, ::2] = 1  # 300 single voxels
    result = region_ids(grid, {}, {"spot": 1}, components=300)
    assert result.ids.dtype == np.int16 and result.ids.max() == 300
    # equal sizes: in reading order
    assert result.ids[0, 0] == 1 and result.ids[0, 2] == 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: region_ids(labels(), ORGANS, {"mass": 9}, components=2), "mass: expected at most"),
        (lambda: region_ids(labels().astype(float), ORGANS), "whole numbers"),
        (lambda: region_ids(labels(), ORGANS, {"mass": 6}), "each once"),
        (lambda: region_ids(labels(), {"air": 0}), "background"),
        (lambda: region_ids(labels(), ORGANS, components=0), "components: expected 1"),
        (lambda: region_ids(labels(), ORGANS, least_voxels=0), "least_voxels: expected 1"),
    ],
)
def test_errors_name_what_is_wrong(call: Callable[[], RegionIds], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
