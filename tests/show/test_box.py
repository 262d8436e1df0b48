"""Slices of boxes hang as those of volumes do."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

from medkd_lib.data.volume import Volume
from medkd_lib.show.box import BoxPlane, box_slice, fullest_slice, patient_sides, pixel_aspect
from medkd_lib.show.plane import picture

mpl.use("agg")


@pytest.mark.parametrize(("plane", "along"), [("axial", 0), ("coronal", 1)])
def test_a_box_hangs_as_the_volume_it_is_of(plane: BoxPlane, along: int) -> None:
    lps = np.random.default_rng(0).random((4, 5, 7))
    # LPS's first axes are world axes turned over: x and y fall as i and j grow
    volume = Volume(lps, np.diag([-2.0, -3.0, 5.0, 1.0]))
    box = lps.transpose(2, 1, 0)
    for number in range(box.shape[along]):
        shown = picture(volume, plane, number / (box.shape[along] - 1))
        np.testing.assert_array_equal(box_slice(box, plane, number), shown.pixels)
        assert pixel_aspect((5.0, 3.0, 2.0), plane) == shown.aspect
    figure, axis = plt.subplots()
    patient_sides(axis, plane)
    assert [t.get_text() for t in axis.texts] == [shown.letters[0], shown.letters[2]]
    plt.close(figure)


def test_the_fullest_slice_holds_most_of_the_mask() -> None:
    mask = np.zeros((6, 8, 10), bool)
    mask[1:5, 2, 3] = mask[4, 2:5, 3] = True
    assert (fullest_slice(mask, "axial"), fullest_slice(mask, "coronal")) == (4, 2)
    assert fullest_slice(np.zeros((6, 8, 10)), "coronal") == 4


def test_what_is_no_slice_of_a_box_is_refused() -> None:
    box = np.zeros((2, 3, 4))
    with pytest.raises(ValueError, match="expected one of"):
        box_slice(box, "sagittal", 0)  # type: ignore[arg-type]
    for wrong, plane, number in ((box, "coronal", 3), (box, "axial", -1), (box[0], "axial", 0)):
        with pytest.raises(ValueError, match=rf"found .* and number {number}"):
            box_slice(wrong, plane, number)  # type: ignore[arg-type]
